"""Messages of a run for the person who started it."""

from __future__ import annotations

import shlex
from pathlib import Path

from streamreplay.config.job import Job, SourceSection
from streamreplay.config.parsing.inputs import listed
from streamreplay.config.parsing.outside import reaches_out
from streamreplay.ingest.decode.absent_columns import set_with


def how_to_resume(job: Job, out: Path | None) -> str:
    """Return how to resume a run that was stopped.

    Examples
    --------
    >>> how_to_resume(Job.model_validate({"source": {"path": "rows.csv"}}), Path("my run"))
    "resume with: streamreplay run --resume --out 'my run'"
    """
    if out is None:
        return "nothing was saved, as there is no --out"
    return f"{resume_how(job)}: {resume_command(job, out)}"


def resume_how(job: Job) -> str:
    """Return the words in front of the command that resumes a run.

    Examples
    --------
    >>> resume_how(Job())
    'resume with the same input again, or --continue and what comes next'
    """
    if listed(job.source.path)[-1] == "-":
        return "resume with the same input again, or --continue and what comes next"
    return "resume with"


def resume_command(job: Job, out: Path) -> str:
    """Return the command that resumes a run."""
    trusted = any(each.river for each in job.learners) or reaches_out(job)
    trust = "--trust " if trusted else ""
    return f"streamreplay run --resume {trust}--out {shlex.quote(str(out))}"


def nothing_learned(source: SourceSection) -> str:
    """Return the message that no row had what is to be predicted."""
    key = "label" if source.target is None else "target"
    asked = source.label if source.target is None else source.target
    where = "" if asked is None else f" in {asked!r}"
    return f"no row had a {key}{where}: nothing was learned; {set_with(key)}"
