"""What to type to go on with a run."""

from __future__ import annotations

import shlex
from pathlib import Path

from streamreplay.config import Job

__all__ = ["how_to_resume"]


def how_to_resume(job: Job, out: Path) -> str:
    """Say with which command a run goes on.

    Examples
    --------
    >>> how_to_resume(Job.model_validate({"source": {"path": "rows.csv"}}), Path("my run"))
    "resume with: streamreplay run --resume --out 'my run'"
    """
    trust = "--trust " if any(each.river for each in job.learners) else ""
    command = f"streamreplay run --resume {trust}--out {shlex.quote(str(out))}"
    if job.source.path != "-":
        return f"resume with: {command}"
    return f"resume with: {command} (same input again, or --continue and what comes next)"
