"""Settings, commands and readers that several groups of jobs use."""

from __future__ import annotations

from benchmarks.same_output.job import INPUTS, Call, Job


def settings(*given: str) -> tuple[str, ...]:
    """Return options of the command line that set keys of a job."""
    return tuple(part for each in given for part in ("--set", each))


FEATURES = "source.features=['a','b','c','d']"
ROWS = (
    FEATURES,
    "source.id=id",
    "source.batch_size=16",
    "learner.hidden=[16]",
    "buffer.max_size=60",
    "evaluator.report_every=200",
    "evaluator.window=100",
    "run.save_predictions=true",
    "run.checkpoint_every=400",
)
FREE = tuple(each for each in ROWS if "learner." not in each)
PICTURES = (
    "source.batch_size=16",
    "buffer.max_size=60",
    "evaluator.report_every=100",
    "run.limit=320",
    "run.save_predictions=true",
)
LABEL = "source.label=y"
EXPERIENCES = "source.experience=experience"
TEST = (f"test.path={INPUTS}/test.jsonl", "test.every=300")
INSPECT = (Call(("inspect", "out", "--json")), Call(("tail", "out", "--once")))
EXPORT = Call(("export", "out", "--to", "tables", "--format", "csv"))
READS = (*INSPECT, EXPORT)
REPORT = Call(("report", "out", "--out", "page.html"))


def read(path: str) -> tuple[str, ...]:
    """Return a command that runs on one of the inputs."""
    return ("run", "--source", f"{INPUTS}/{path}")


def whole(
    name: str,
    *given: str,
    source: str = "rows.jsonl",
    common: tuple[str, ...] = ROWS,
    flags: tuple[str, ...] = (),
    reads: tuple[Call, ...] = READS,
    code: int = 0,
) -> Job:
    """Return a job of one run and of the commands that read its folder."""
    argv = (*read(source), *settings(*common, *given), *flags, "--out", "out")
    return Job(name, (Call(argv, code=code),), reads)
