"""Options of ``streamreplay run`` that are not part of the job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamreplay.config.job import Job
from streamreplay.config.parsing.inputs import listed
from streamreplay.errors import ConfigError


@dataclass(frozen=True)
class RunOptions:
    """Options of the command line that are not part of the job.

    Attributes
    ----------
    out : Path or None
        The run folder; without it nothing is written to disk.
    resume : bool
        Go on with the folder's run.
    go_on : bool
        The files or the pipe given are what comes next, not the stream from its start.
    quiet : bool
        No progress and no summary; warnings are shown.
    trust : bool
        The folder's job may import code, and its checkpoints may be loaded also if that runs code,
        as a pickle does.
    follow : bool
        The files may grow, and folders have more of them, until a signal stops the run.
    """

    out: Path | None = None
    resume: bool = False
    go_on: bool = False
    quiet: bool = False
    trust: bool = False
    follow: bool = False

    def check(self, job: Job) -> None:
        """Raise ConfigError if these options do not go together, or with a job."""
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out: the folder of the run to go on with")
        if self.go_on and not self.resume:
            raise ConfigError(
                "--continue goes with --resume, and the files or the pipe that come next"
            )
        if not self.resume and "-" in listed(job.source.path)[:-1]:
            raise ConfigError(f"source.path: standard input (-) comes last, got {job.source.path}")
        if self.trust and not self.resume:
            raise ConfigError("--trust goes with --resume: it is about the folder to go on from")
        if self.out is not None:
            _check_pickles(job)


def _check_pickles(job: Job) -> None:
    for place, learner in enumerate(job.learners):
        if learner.river is not None and not learner.allow_pickle:
            key = f"learner.{place}" if job.several else "learner"
            raise ConfigError(
                f"{key}.river: its checkpoints are pickles, which --out writes only with "
                f"{key}.allow_pickle = true (--set {key}.allow_pickle=true)"
            )
