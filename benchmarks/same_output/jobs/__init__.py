"""The jobs, by what they are about."""

from __future__ import annotations

from benchmarks.same_output.job import Job
from benchmarks.same_output.jobs.buffers import buffers
from benchmarks.same_output.jobs.interrupted import killed, resumed
from benchmarks.same_output.jobs.learners import learners, levers, models
from benchmarks.same_output.jobs.methods import methods
from benchmarks.same_output.jobs.readers import readers
from benchmarks.same_output.jobs.sources import sources
from benchmarks.same_output.jobs.streams import streams
from benchmarks.same_output.jobs.targets import named_metrics, targets


def all_jobs() -> list[Job]:
    """Return all jobs, in the order in which they run."""
    groups = (methods, buffers, sources, streams, learners, targets, named_metrics, levers, models)
    return [job for group in (*groups, resumed, killed, readers) for job in group()]
