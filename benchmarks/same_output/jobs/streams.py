"""Jobs with splits, test rows, probes, experiences and drift."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.same_output.job import Call, Job
from benchmarks.same_output.jobs.job_files import DRIFT, drift_of_several
from benchmarks.same_output.jobs.parts import (
    EXPERIENCES,
    FEATURES,
    LABEL,
    READS,
    REPORT,
    ROWS,
    TEST,
    whole,
)


def streams() -> Iterator[Job]:
    """Yield jobs with splits, test rows, probes, experiences and drift."""
    yield from splits()
    yield from probes()
    yield from experiences()
    yield from drift()


def splits() -> Iterator[Job]:
    """Yield jobs with splits and with test rows from the stream."""
    digits = ("source.batch_size=10", "learner.hidden=[32]", "buffer.max_size=100")
    split = ("n_experiences=5", "class_order=[3,1,4,0,5,9,2,6,8,7]", "return_task_id=true")
    held = ("test.share=0.25", "test.seed=3", "test.every=200", "run.limit=700")
    yield whole(
        "split-order",
        *(f"source.split.{each}" for each in split),
        *held,
        source="digits.npz",
        common=digits,
    )
    seeded = ("source.split.n_experiences=2", "source.split.seed=4", "test.share=0.1")
    yield whole("split-csv", *seeded, LABEL, "source.id=id", source="rows.csv", common=ROWS[2:])
    yield whole("test-first", LABEL, "test.share=0.3", "test.first=500", "seed=9")


def probes() -> Iterator[Job]:
    """Yield a job for each group that a probe keeps rows by, and one with a budget of time."""
    probed = ("probe.share=0.2", "probe.every=150", "source.task=task", EXPERIENCES, LABEL)
    for by in ("class", "task", "experience", "none"):
        given = (*probed, f"probe.by={by}", "probe.max_size=40", "probe.seed=2")
        yield whole(f"probe-{by}", *given, *(TEST if by == "class" else ()))
    budget = (LABEL, EXPERIENCES, "probe.share=0.3", "probe.budget=1.0", "probe.max_size=60")
    yield whole("probe-budget", *budget, reads=(*READS, REPORT))


def experiences() -> Iterator[Job]:
    """Yield jobs whose experiences end after a number of rows or seconds."""
    count = ("experiences.by=count", "experiences.rows=230")
    yield whole("experiences-count", LABEL, *count, "buffer.kind=experience_balanced", *TEST)
    seconds = ("experiences.by=time", "experiences.seconds=120.0", "source.time=time")
    yield whole("experiences-time", LABEL, *seconds, "learner.method=lwf")


def drift() -> Iterator[Job]:
    """Yield jobs with actions on drift, for one learner and for two, and with every detector."""
    job = ("run", "drift.toml", "--out", "out")
    for name, text in (("drift-actions", DRIFT), ("drift-several", drift_of_several())):
        files = (("drift.toml", text),)
        yield Job(name, (Call(job),), (*READS, REPORT), files=files)
    detectors = ("EDDM()", "HDDMA()", "FHDDM()", "KSWIN()", "ADWIN(delta=0.01)")
    watched = ("loss" if "N(" in each else "error" for each in detectors)
    each = [
        f"drift.{i}.{key}={value}"
        for i, (detector, on) in enumerate(zip(detectors, watched, strict=True))
        for key, value in (("detector", detector), ("on", on), ("name", f"d{i}"))
    ]
    more = ("drift.5.on=labels", "drift.5.detector=DDM()", "drift.5.cooldown=50", LABEL)
    features = (FEATURES.replace(",'c','d'", ""), "learner.hidden=[8]", "buffer.max_size=50")
    yield whole("drift-detectors", *each, *more, source="turning.jsonl", common=features)
