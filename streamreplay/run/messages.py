"""Sentences that a run says to the person who started it."""

from __future__ import annotations

import shlex
from pathlib import Path

from streamreplay.config import Job

__all__ = ["how_to_resume"]


def how_to_resume(job: Job, out: Path | None) -> str:
    """Say with which command a run that was stopped goes on.

    Examples
    --------
    >>> how_to_resume(Job.model_validate({"source": {"path": "rows.csv"}}), Path("my run"))
    "resume with: streamreplay run --resume --out 'my run'"
    """
    if out is None:
        return "nothing was saved, as there is no --out"
    trust = "--trust " if any(each.river for each in job.learners) else ""
    command = f"streamreplay run --resume {trust}--out {shlex.quote(str(out))}"
    if job.source.path != "-":
        return f"resume with: {command}"
    return f"resume with: {command} (same input again, or --continue and what comes next)"
