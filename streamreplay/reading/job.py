"""The job of a run, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamreplay.errors import RunFolderError
from streamreplay.log.lines import JOB_FILE, check_run
from streamreplay.regular_files import exists

if TYPE_CHECKING:
    from streamreplay.config import Job


def read_job(run: Path) -> Job:
    """Return the job of a run.

    Raises
    ------
    RunFolderError
        The folder does not exist, or has no job file.
    ConfigError
        The job file was written by another version, or was changed.
    """
    check_run(run)
    if not exists(run / JOB_FILE):
        raise RunFolderError(f"{run}: has no {JOB_FILE}")
    from streamreplay.config.parsing.load import load_saved_job  # noqa: PLC0415 - slow

    return load_saved_job(run / JOB_FILE)
