"""Jobs of runs that are resumed, killed or stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from benchmarks.same_output.job import CLOCK, OLD, Broken, Call, Copy, Job, Same
from benchmarks.same_output.jobs.job_files import DRIFT, OWN_BUFFERS, SHARED_BUFFER
from benchmarks.same_output.jobs.parts import (
    EXPERIENCES,
    FREE,
    LABEL,
    PICTURES,
    READS,
    ROWS,
    TEST,
    read,
    settings,
)

RESUMED = {
    "slda": (LABEL, "probe.share=0.1", "source.task=task"),
    "lwf": (LABEL, "learner.method=lwf", "learner.ema=0.9", *TEST),
    "mkd": (LABEL, "learner.method=mkd", "buffer.kind=decayed", "mixer.by=class"),
    "gdumb": (LABEL, "learner.method=gdumb", "learner.retrain_every=300"),
    "der": (LABEL, "learner.method=der++", "buffer.kind=window", "buffer.ttl=500"),
    "gss": (LABEL, "learner.method=gss", "learner.warmup=9", "learner.augment=['noise(0.1)']"),
    "metrics": (LABEL, "evaluator.metrics=['MacroF1','LogLoss','ROCAUC','MCC']"),
    "numbers": ("source.target=['price','size']", "evaluator.metrics=['R2']"),
    "labels": ("source.label=tags", "source.multilabel=['red','big']"),
}


def resumed() -> Iterator[Job]:
    """Yield runs that end at a limit and are resumed, by this and by the other checkout."""
    for name, given in RESUMED.items():
        argv = (*read("rows.jsonl"), *settings(*ROWS, EXPERIENCES, *given))
        yield limited(f"resume-{name}", argv)
    dirty = (*read("dirty.jsonl"), *settings(*ROWS, LABEL))
    yield limited("resume-dead-letters", dirty, limits=("160", "0"))
    yield from resumed_images()
    forest = ("learner.river='forest.ARFClassifier(n_models=2)'", "learner.allow_pickle=true")
    given = (*FREE, LABEL, *forest, "run.limit=600")
    river = (*read("rows.jsonl"), *settings(*given))
    yield limited("resume-river", river, limits=("282", "600"), trust=("--trust",))
    files = (("job.toml", DRIFT),)
    yield limited("resume-drift", ("run", "job.toml"), limits=("1600", "0"), files=files)
    files = (("job.toml", OWN_BUFFERS),)
    yield limited(
        "resume-several", ("run", "job.toml"), limits=("301", "0"), trust=("--trust",), files=files
    )
    files = (("job.toml", SHARED_BUFFER),)
    yield limited("resume-shared", ("run", "job.toml"), limits=("301", "0"), files=files)
    rotated = settings(*ROWS, LABEL, "run.log_max_bytes=20000", "run.log_keep=2")
    yield limited("resume-rotated", (*read("rows.jsonl"), *rotated), timed=False)


def resumed_images() -> Iterator[Job]:
    """Yield resumed runs on images, with a split and behind a frozen backbone."""
    images = (*read("images-idx3-ubyte.gz"), *settings(*PICTURES, "learner.module=cnn"))
    split = settings("source.split.n_experiences=2", "test.share=0.2", "learner.channels=[4]")
    yield limited("resume-split", (*images, *split), limits=("96", "320"))
    latent = settings("backbone.module=ownpieces:backbone", "learner.module=ownpieces:dropping")
    plain = (*read("images-idx3-ubyte.gz"), *settings(*PICTURES))
    yield limited("resume-backbone", (*plain, *latent), limits=("160", "320"))


def limited(
    name: str,
    argv: tuple[str, ...],
    *,
    limits: tuple[str, str] = ("532", "0"),  # a batch ends there: experiences do at 250, 500, 750
    trust: tuple[str, ...] = (),
    files: tuple[tuple[str, str], ...] = (),
    timed: bool = True,
) -> Job:
    """Return a job that is resumed after a limit, once from a checkpoint of the old checkout."""
    first, last = limits
    again = ("run", "--resume", *trust, "--limit", last)
    steps = (
        Call((*argv, "--out", "whole", "--limit", last)),
        Call((*argv, "--out", "out", "--limit", first)),
        Copy("out", "part"),
        Call((*again, "--out", "out")),
        Copy(f"{OLD}/part", "across"),
        Call((*again, "--out", "across")),
        Call((*again, "--out", "out")),  # there is nothing more
    )
    # a limit is an end, with scores and a test of its own, which the unbroken run does not have
    kept = ("predictions*.jsonl", "dead_letters*.jsonl")
    pickles = ("checkpoints/*",) if "river" in name else ()  # never the same: see ON_BOTH
    same = (Same("whole", "out", kept), Same("out", "across", without=(*CLOCK, *pickles)))
    return Job(name, steps, READS, same=same, files=files, timed=timed)


def killed() -> Iterator[Job]:
    """Yield runs in processes of their own that are killed or stopped, then resumed."""
    every = settings("run.checkpoint_every=300", "evaluator.report_every=100", "seed=7")
    out, again = ("--out", "out"), ("run", "--resume", "--out", "out", "--quiet")
    given = (*settings(*ROWS, LABEL, EXPERIENCES, "probe.share=0.1"), *every)
    argv = (*read("rows.jsonl"), *given, "--quiet", "--emit", "predictions")
    yield broken("kill-file", argv, (Broken((*argv, *out), 500), Call(again)))
    argv = (*argv, *settings("run.log_max_bytes=15000", "run.log_keep=3"))
    twice = (Broken((*argv, *out), 400), Broken((*argv, *out, "--resume"), 800), Call(again))
    yield broken("kill-rotated", argv, twice)
    argv = ("run", "--source", "-", "--format", "csv", *settings(*ROWS[1:], LABEL), *every)
    argv = (*argv, *settings("source.max_wait=60.0", "source.batch_size=20"))
    kill = Broken((*argv, *out), 800, "rows.csv", header=1)
    rest = Call(again, stdin="rows.csv")
    yield broken("kill-pipe", argv, (kill, rest), stdin="rows.csv", without=AHEAD)
    stop = Broken((*argv, *out), 800, "rows.csv", header=1, signal=signal.SIGINT)
    yield Job("stop-pipe", (stop, rest), READS, timed=False)
    files = (("job.toml", OWN_BUFFERS.replace("report_every = 200", "report_every = 100")),)
    argv = ("run", "job.toml", "--quiet", "--emit", "none")
    trusting = Call((*again, "--trust"))
    yield broken("kill-several", argv, (Broken((*argv, *out), 500), trusting), files=files)


AHEAD = ("checkpoints/*[369]00/[am]*",)  # arrays and manifest: what was read ahead of the position


def broken(
    name: str,
    argv: tuple[str, ...],
    steps: tuple[Call | Broken, ...],
    *,
    stdin: str = "",
    files: tuple[tuple[str, str], ...] = (),
    without: tuple[str, ...] = (),
) -> Job:
    """Return a job of a run that is killed and resumed, and of the same run unbroken."""
    unbroken = Call((*argv, "--out", "whole"), stdin=stdin)
    same = (Same("whole", "out", without=(*CLOCK, *without)),)
    return Job(name, (unbroken, *steps), READS, same=same, files=files, timed=False)
