"""Jobs of the commands that read runs, of all help texts, and of mistakes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.same_output.job import INPUTS, Call, Job
from benchmarks.same_output.jobs.parts import (
    EXPERIENCES,
    FEATURES,
    LABEL,
    READS,
    REPORT,
    ROWS,
    read,
    settings,
)


def readers() -> Iterator[Job]:
    """Yield jobs that read several runs or rotated logs, that print help, or that fail."""
    yield several_runs()
    rotated = settings(*ROWS, LABEL, "run.log_max_bytes=20000", "run.log_keep=9")
    argv = (*read("rows.jsonl"), *rotated, "--out", "out")
    yield Job("rotated", (Call(argv),), (*READS, REPORT), timed=False)
    commands = ("run", "inspect", "init", "schema", "report", "compare", "tail", "demo", "export")
    texts = [Call((command, "--help")) for command in commands]
    texts += [Call(("--help",)), Call(("--version",)), Call(("init", "-"))]
    texts += [Call(("schema",)), Call(("schema", "--log")), Call((), code=2)]
    yield Job("texts", tuple(texts))
    yield Job("mistakes", tuple(mistakes()))


def several_runs() -> Job:
    """Return a job of two methods with two seeds each, compared and reported together."""
    steps = []
    for method in ("er", "auto"):
        for seed in ("1", "2"):
            given = (*ROWS, LABEL, EXPERIENCES, "probe.share=0.1", f"learner.method={method}")
            argv = (*read("rows.jsonl"), *settings(*given), "--seed", seed)
            steps.append(Call((*argv, "--out", method + seed, "-q")))
    four = ("er1", "er2", "auto1", "auto2")
    reads = (
        Call(("compare", *four)),
        Call(("compare", "er1", "auto1", "--json", "--resamples", "500", "--seed", "3")),
        Call(("compare", "er1", "auto1", "--metric", "loss")),
        Call(("compare", "er1", "er2", "--metric", "mae"), code=1),
        Call(("report", *four, "--out", "four.html", "--title", "Four", "--svg", "svg", "--quiet")),
        Call(("inspect", "er1")),
        Call(("export", "er1", "--to", "columns")),
        Call(("tail", "auto1")),
    )
    return Job("compare", tuple(steps), reads)


MISTAKES: tuple[tuple[str, ...], ...] = (
    ("learner.hiden=[3]",),
    ("learner.lr=-1.0",),
    ("learner.method=best",),
    ("learner.alpha=0.3", "learner.method=er"),
    ("learner.module=resnet",),
    ("learner.norm=group",),
    ("learner.loss=ownpieces:gone",),
    ("learner.loss=ownpieces:faulty",),
    ("learner.river='forest.ARF()'",),
    ("learner.allow_pickle=true",),
    ("learner.schedule=sometimes()",),
    ("learner.augment=['turn()']",),
    ("learner.augment=['flip()']", FEATURES),
    ("buffer.kind=fifo",),
    ("buffer.groups=3", "buffer.kind=window"),
    ("buffer.selection=best", "buffer.kind=parametric"),
    ("buffer.shared=true",),
    ("mixer.candidates=9", "learner.method=er"),
    ("drift.0.detector=ADWIM()",),
    ("drift.0.actions=['jump']",),
    ("drift.0.on=feature:zz",),
    ("experiences.rows=3",),
    ("evaluator.metrics=['Silhouette']",),
    ("evaluator.metrics=['MAE']",),
    ("test.share=0.2", "test.path=x.jsonl"),
    ("source.target=price", "source.multilabel=['a']"),
    ("source.delimiter=ab",),
    ("source.label=3",),
    ("source.split.n_experiences=9",),
    ("learner.0.lr=0.1", "learner.0.name=1x"),
    ("seed=x",),
    ("nonsense",),
)
"""Settings that have to be refused, each in a run of its own."""


def mistakes() -> Iterator[Call]:
    """Yield commands that end with an error message."""
    rows = (*read("rows.jsonl"), "--quiet")
    for given in MISTAKES:
        yield Call((*rows, *settings(LABEL, *given)), code=1)
    yield Call(("run", "--source", f"{INPUTS}/nothing.jsonl"), code=1)
    yield Call(("run", "--source", f"{INPUTS}/ownpieces.py"), code=1)
    yield Call(("run", "--resume", "--out", "nothing"), code=1)
    yield Call(("run", f"{INPUTS}/rows.jsonl"), code=1)
    yield Call(("run", "--nonsense"), code=2)
    yield Call(("run",), code=2)
    for command in ("inspect", "report", "compare", "tail", "export"):
        yield Call((command, "nothing"), code=1)
