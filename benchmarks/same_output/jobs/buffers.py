"""Jobs with every buffer, and with mixers that draw by group."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.same_output.job import Job
from benchmarks.same_output.jobs.parts import EXPERIENCES, LABEL, whole

BUFFERS = {
    "class-groups": ("kind=class_balanced", "groups=4"),
    "task": ("kind=task_balanced",),
    "experience": ("kind=experience_balanced",),
    "reservoir-bytes": ("kind=reservoir", "max_bytes=4000"),
    "reservoir-storage": ("kind=reservoir", "storage=stored"),
    "window-ttl": ("kind=window", "ttl=300"),
    "decayed": ("kind=decayed", "half_life=200"),
    "decayed-seconds": ("kind=decayed", "half_life_seconds=90.0", "ttl_seconds=200.0"),
    "random": ("kind=parametric", "selection=random", "groupby=task"),
    "herding": ("kind=parametric", "selection=herding", "groupby=class"),
    "closest": ("kind=parametric", "selection=closest_to_center", "groupby=experience"),
    "loss-aware": ("kind=parametric", "selection=loss_aware"),
    "gss-greedy": ("kind=parametric", "selection=gss_greedy", "groupby=none"),
    "own-selection": ("kind=parametric", "selection=ownpieces:newest", "groupby=class"),
}


def buffers() -> Iterator[Job]:
    """Yield a job for each buffer, for an empty one, and for each group that a mixer draws by."""
    columns = (LABEL, EXPERIENCES, "source.task=task", "source.time=time", "learner.method=er")
    for name, given in BUFFERS.items():
        yield whole(f"buffer-{name}", *columns, *(f"buffer.{each}" for each in given))
    yield whole("buffer-empty", LABEL, "buffer.max_size=0")
    for by in ("class", "task", "experience"):
        mixer = (f"mixer.by={by}", "mixer.batch_size_mem=9", "mixer.steps=2")
        more = ("mixer.replacement=true",) if by == "task" else ()
        yield whole(f"mixer-{by}", *columns, *mixer, *more)
