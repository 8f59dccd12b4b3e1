"""Reading the logs of a run folder in order, as lines or as records, whatever their size.

A log may have several files: finished ones, ``metrics.000001.jsonl`` and so on, and the active
one, ``metrics.jsonl``. The oldest files may have been deleted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from streamreplay.errors import RunFolderError
from streamreplay.log import lines
from streamreplay.log.lines import NumberedLine, parse_line, segments

JOB_FILE = "job.toml"
_KIND = re.compile(rb'\{(?:"learner":"[^"\\]*",)?"kind":"([^"\\]*)"')


def check_run(run: Path) -> None:
    """Raise an error unless a folder is a run folder.

    Raises
    ------
    RunFolderError
        The folder does not exist, or has neither a job nor a log.
    """
    if not run.is_dir():
        what = "is a file, not the folder of a run" if run.exists() else "there is no such folder"
        raise RunFolderError(f"{run}: {what}")
    if not (run / JOB_FILE).exists() and not segments(run):
        raise RunFolderError(
            f"{run}: is no run folder: it has neither {JOB_FILE} nor metrics.jsonl"
        )


def is_cut(run: Path, name: str = "metrics") -> bool:
    """Return whether the oldest files of a log were deleted.

    Parameters
    ----------
    run : Path
    name : str
        Which log.
    """
    files = segments(run, name)
    return bool(files) and files[0].name not in (f"{name}.jsonl", f"{name}.000001.jsonl")


def read_lines(run: Path, name: str = "metrics") -> Iterator[bytes]:
    """Yield the whole lines of a log, one at a time, each with its line break.

    An unfinished last line, which a running or killed run may leave, is skipped. Lines that are
    written after the call are not waited for.

    Raises
    ------
    RunFolderError
        There is no such folder or log.
    """
    return (line for _, _, line in number_lines(run, name))


def read_records(
    run: Path, *, kinds: Collection[str] | None = None, name: str = "metrics"
) -> Iterator[dict[str, Any]]:
    """Yield the records of a log. Lines of other kinds are skipped without being parsed.

    Parameters
    ----------
    run : Path
    kinds : collection of str, optional
        Such as ``("retention", "drift")``; by default all, including records without a kind.
    name : str
        Which log.

    Raises
    ------
    RunFolderError
        There is no such folder or log, a line is damaged, or is of a later version of the log.
    """
    wanted = None if kinds is None else frozenset(kinds)
    for path, number, line in number_lines(run, name):
        if wanted is None or (kind := kind_of(line)) is None or kind in wanted:
            record = parse_line(line, path, number)
            if wanted is None or record.get("kind") in wanted:
                yield record


def kind_of(line: bytes) -> str | None:
    """Return the kind of a line from its first bytes; None if it has to be parsed.

    Examples
    --------
    >>> kind_of(b'{"kind":"drift","v":1,"position":7}'), kind_of(b'{"position":7}')
    ('drift', None)
    """
    found = _KIND.match(line)
    return None if found is None else found[1].decode()


def number_lines(run: Path, name: str = "metrics") -> Iterator[NumberedLine]:
    """Yield the whole lines of a log, each with its file and line number.

    Raises
    ------
    RunFolderError
        There is no such folder or log.
    """
    check_run(run)
    yield from lines.number_lines(run, name)
