"""Show that two checkouts write the same bytes, job by job.

More than a hundred small jobs go through the command line of both: every method, buffer, source,
target, lever and model, resumed and killed runs, and what reads their folders afterwards. All that
they write is compared: standard output and error, exit codes, logs, dead letters, events,
checkpoints, job files, pages of `report`, what `compare`, `tail`, `inspect` and `export` say. What
differs between any two runs of one checkout is put right or left out, with the reason beside it.
Every run that was resumed is also held against the unbroken one, and a run that the old checkout
began is finished by the new one.

    python benchmarks/same_output.py --old CHECKOUT [--new CHECKOUT] [--only NAME ...] [--keep DIR]

With --keep the outputs of the old checkout stay in DIR, and are not made anew while it, the jobs
and the machine stay as they are. Ends with 1 if anything differs. Left out, as no job reaches them
or time is all they are about: `demo`, MLflow, CUDA, replay budgets, and what is there in Python
alone (late labels, loaders, `compat`).
"""

from __future__ import annotations

import argparse
import fnmatch
import gzip
import hashlib
import inspect
import json
import os
import platform
import re
import runpy
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zstandard
from filelock import FileLock
from plain_words import PAGE_WORDS, PRINTED_WORDS

HERE = Path(__file__).resolve().parents[1]
INPUTS, OLD = "{inputs}", "{old}"  # in arguments, job files and copies: folders known when they run
CLOCK = ("timings*", "events.log", ".lock")  # what the stream does not determine of a run folder


# ---- what is compared, and what is not ----


class Rule(NamedTuple):
    """A text in files that is put in another's place before they are compared."""

    files: str
    """``job/file``, as `fnmatch` reads it."""
    pattern: str
    put: str
    reason: str


class LeftOut(NamedTuple):
    """Files that are not compared."""

    files: str
    reason: str


ON_BOTH = (
    Rule(
        "*.stderr",
        r"\d+\.\d s \([\d,]+ rows/s\)",
        "T s (N rows/s)",
        "the summary of a run says how long it took",
    ),
    Rule(
        "*.stderr",
        r"(?m)^streamreplay: [\d,]+ rows, [\d,]+ rows/s.*\n",
        "",
        "progress, a line each ten seconds, comes only where a run takes so long",
    ),
    Rule("*/events.log", r"(?m)^\S+Z ", "", "each line begins with the time of day"),
    Rule("*-tail.stdout", r"last record \d+ \S+ ago", "last record N ago", "counts from now"),
    Rule(
        "*.html",
        r"(?<=streamreplay )\d+\.\d+\.\w+(?=\"| from the logs)",
        "V",
        "a page says which version wrote it",
    ),
    Rule("*-inspect*", r"(?<=\"library\": \")[^\"]+", "V", "says which version wrote a checkpoint"),
    Rule("*-inspect*", r"by version \S+", "by version V", "says which version wrote a checkpoint"),
    Rule(
        "*/manifest.json",
        r'(?m)^ "library": "[^"]+"',
        ' "library": "V"',
        "says which version wrote a checkpoint",
    ),
    Rule(
        "*/manifest.json",
        r'"(sha256)": "[^"]+"|"(bytes)": \d+',
        r'"\1\2"',
        "of files that are compared themselves, and of the manifest with its version",
    ),
    Rule(
        "*pipe*.safetensors",
        r"(?m)^pipeline\.source\.carry .*\n",
        "",
        "how far a pipe was read ahead of the position is a matter of time",
    ),
    Rule(
        "*river*.safetensors",
        r"(?m)^\S*learner\.model .*\n",
        "",
        "River's trees have generators that nobody seeds: their pickles are never the same",
    ),
    *(
        Rule(
            f"*{kind}*.safetensors",
            r', "data_offsets": [^]]+]',
            "",
            "places in the file, behind the array that was left out",
        )
        for kind in ("pipe", "river")
    ),
    Rule("*river*-inspect*", r'"bytes": \{[^}]*\}', "BYTES", "sizes, with that of the pickle"),
    Rule("*pipe*-inspect*", r'"bytes": \{[^}]*\}', "BYTES", "the same"),
    Rule(
        "*-compare.stdout",
        r'(?m)^rows/s .*$|"rows_per_s": [\d.]+',
        "rows/s",
        "follows from the time elapsed, as on pages, no longer from each line's own rate",
    ),
    Rule(
        "*.html",
        r'(?s)<table aria-label="(Settings that differ|What differs between the jobs)\..*?</table>',
        "SETTINGS",
        "pages list the settings that compare lists, with defaults, in the order of the job's keys",
    ),
    Rule(
        "*.html",
        r"<figcaption>(Each row is an experience|One line for each experience)\.[^<]*",
        "EXPERIENCES",
        "the caption names the score, which the old one did not",
    ),
    Rule("texts/*", r"streamreplay \d+\.\d+\.\w+", "streamreplay V", "the version itself"),
)

_ONE_WORD = "the default method's classifier has one name, in code and in jobs"

NOT_COMPARED = (
    LeftOut("*/.lock", "an empty file"),
    LeftOut("texts/*.stdout", "help, comments and descriptions are in plainer words"),
    LeftOut("kill-*/out/events.log", "which checkpoint a run goes on from depends on the moment"),
)

_PLAIN = "the same in plainer words"

INTENDED: tuple[Rule, ...] = (
    *(Rule("*.html", pattern, put, _PLAIN) for pattern, put in PAGE_WORDS),
    *(Rule("*.stdout", pattern, put, _PLAIN) for pattern, put in PRINTED_WORDS),
    Rule("*", "random_features", "slda_features", _ONE_WORD),
    Rule("*", "discriminant_(weight|margin)", r"slda_\1", _ONE_WORD),
)
"""What the new checkout writes otherwise on purpose: replaced in the files of the old one.

What cannot be foretold, as sizes that follow from it, belongs into `ON_BOTH`.
"""

RENAMED: tuple[tuple[str, str, str], ...] = (
    ("random_features", "slda_features", _ONE_WORD),
    ("discriminant_(weight|margin)", r"slda_\1", _ONE_WORD),
)
"""What the new checkout wants said otherwise in commands and job files: pattern, text, reason."""


# ---- jobs ----


@dataclass(frozen=True)
class Call:
    """A command, run in this process."""

    argv: tuple[str, ...]
    stdin: str = ""
    """An input that comes through a pipe."""
    code: int = 0
    """The exit code that is expected."""


@dataclass(frozen=True)
class Broken:
    """A command in a process of its own, which gets a signal in the middle of its stream."""

    argv: tuple[str, ...]
    at: int
    """The row whose record has to be in the log by then."""
    stdin: str = ""
    """An input of which only the rows up to there come, through a pipe that stays open."""
    header: int = 0
    """Lines of the input before the first row."""
    signal: int = signal.SIGKILL


@dataclass(frozen=True)
class Copy:
    """A run folder as it is at this moment."""

    source: str
    to: str


@dataclass(frozen=True)
class Same:
    """Two run folders of a job that must have the same files."""

    one: str
    other: str
    files: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = CLOCK


@dataclass(frozen=True)
class Job:
    """Commands in a folder of their own, one after the other."""

    name: str
    steps: tuple[Call | Broken | Copy, ...]
    reads: tuple[Call, ...] = ()
    """What reads the run folders, once the clock's part in them is steady."""
    same: tuple[Same, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """Job files to write first, by name."""
    timed: bool = True
    """Whether the number of lines in timings.jsonl follows from the job."""


def settings(*given: str) -> tuple[str, ...]:
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
    """Make a job of one run, and what reads its folder."""
    argv = (*read(source), *settings(*common, *given), *flags, "--out", "out")
    return Job(name, (Call(argv, code=code),), reads)


def methods() -> Iterator[Job]:
    parameters = {
        "er": (),
        "er-ace": ("look_back=50",),
        "der": ("alpha=0.3",),
        "der++": ("alpha=0.2", "beta=0.7"),
        "a-gem": (),
        "mir": (),
        "lwf": ("distillation=0.5", "temperature=3.0"),
        "mkd": ("distillation=2.0",),
        "ncm": (),
        "gdumb": ("retrain_passes=2", "retrain_every=400"),
        "gss": (),
        "er-slda": ("random_features=50", "discriminant_weight=0.8", "discriminant_margin=0.01"),
        "auto": (),
    }
    for method, given in parameters.items():
        more = [f"learner.{each}" for each in (f"method={method}", *given)]
        reads = (*READS, REPORT) if method in ("auto", "lwf") else READS
        yield whole(f"method-{method}", LABEL, EXPERIENCES, *TEST, *more, reads=reads)
    yield whole("method-none", LABEL, "buffer.kind=none", EXPERIENCES, *TEST)
    yield whole("defaults", LABEL, common=(FEATURES,), flags=("--limit", "600"))
    digits = ("source.split.n_experiences=5", "test.share=0.25", "source.batch_size=10")
    few = (*digits, "learner.hidden=[32]", "buffer.max_size=100", "run.limit=600")
    for method in ("er", "er-ace", "der++", "ncm", "lwf"):
        yield whole(
            f"digits-{method}",
            f"learner.method={method}",
            source="digits.npz",
            common=few,
            reads=(*READS, REPORT) if method == "er-ace" else READS,
        )
    own = ("loss=ownpieces:focal", "notes=ownpieces:entropy", "retrieval=ownpieces:unsure")
    yield whole("pieces", LABEL, *(f"learner.{each}" for each in own))
    yield whole("pieces-method", LABEL, "learner.method=ownpieces:mine")
    hardest = ("learner.retrieval=hardest", "mixer.candidates=40", "mixer.batch_size_mem=8")
    yield whole("retrieval-hardest", LABEL, *hardest)
    discriminant = ("learner.method=der++", "learner.random_features=40")
    yield whole("discriminant-beside-der++", LABEL, *discriminant)


def buffers() -> Iterator[Job]:
    kinds = {
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
    columns = (LABEL, EXPERIENCES, "source.task=task", "source.time=time", "learner.method=er")
    for name, given in kinds.items():
        yield whole(f"buffer-{name}", *columns, *(f"buffer.{each}" for each in given))
    yield whole("buffer-empty", LABEL, "buffer.max_size=0")
    for by in ("class", "task", "experience"):
        mixer = (f"mixer.by={by}", "mixer.batch_size_mem=9", "mixer.steps=2")
        more = ("mixer.replacement=true",) if by == "task" else ()
        yield whole(f"mixer-{by}", *columns, *mixer, *more)


def sources() -> Iterator[Job]:
    lines = ("source.batch_size=16", "learner.hidden=[16]", "evaluator.report_every=200")
    kept = (*lines, "run.save_predictions=true")
    table = ("source.label=y", "source.id=id")
    yield whole("source-csv", *table, source="rows.csv", common=kept, flags=("--emit", "none"))
    for suffix in ("gz", "zst"):
        yield whole(f"source-csv-{suffix}", *table, source=f"rows.csv.{suffix}", common=kept)
        yield whole(f"source-jsonl-{suffix}", LABEL, source=f"rows.jsonl.{suffix}")
    bare = ("source.header=false", "source.delimiter=;", "source.label=5", "source.id=0")
    yield whole("source-csv-bare", *bare, source="bare.csv", common=kept)
    yield whole("source-tsv", *table, "source.features=['b','a']", source="rows.tsv", common=kept)
    yield whole("source-jsonl-x", source="plain.jsonl", common=kept)
    yield whole("source-npz", source="digits.npz", common=kept, flags=("--limit", "500"))
    renamed = ("source.features=['f']", "source.label=c", "source.weight=w", "source.task=t")
    yield whole("source-npz-renamed", *renamed, source="arrays.npz", common=kept)
    yield whole("source-idx", source="images-idx3-ubyte.gz", common=kept)
    covtype = ("source.label=Cover_Type", "source.batch_size=32")
    flags = ("--limit", "1500", "--probe", "0.05")
    reads = (*READS, REPORT)
    yield whole("covtype", *covtype, source="covtype.csv.gz", common=(), flags=flags, reads=reads)
    yield from pipes()
    aside = ("source.max_line_bytes=400", "run.checkpoint_every=150")
    yield whole("dead-letters-jsonl", LABEL, *aside, source="dirty.jsonl")
    nan = ("source.allow_nan=true", "learner.on_divergence=skip", "learner.method=er")
    yield whole("dead-letters-nan", LABEL, *nan, source="dirty.jsonl")
    yield whole("dead-letters-csv", *table, source="dirty.csv", common=kept)
    early = (*table, "test.share=0.2")
    yield whole("dead-letters-early", *early, source="dirty.csv", common=kept)
    strict = ("--strict",)
    yield whole("strict", LABEL, source="dirty.jsonl", flags=strict, reads=(), code=1)
    yield whole("unlabelled", "source.label=''")
    yield whole("label-missing", "source.label=nothing")


def pipes() -> Iterator[Job]:
    """Yield jobs that read standard input."""
    common = settings(*ROWS, "source.max_wait=60.0")
    jsonl = ("run", "--source", "-", "--format", "jsonl", *common, *settings(LABEL))
    emit = ("--emit", "predictions")
    call = Call((*jsonl, *emit, "--out", "out"), stdin="rows.jsonl")
    yield Job("pipe-jsonl", (call,), READS)
    csv = ("run", "--source", "-", "--format", "csv", "--label", "y", "--batch-size", "16")
    more = settings("source.id=id", "learner.hidden=[8]", "source.max_wait=60.0")
    yield Job("pipe-csv-no-folder", (Call((*csv, *more, *emit), stdin="rows.csv"),))
    first = Call((*jsonl, "--out", "out"), stdin="first.jsonl")
    again = Call(("run", "--resume", "--continue", "--out", "out"), stdin="second.jsonl")
    yield Job("pipe-continued", (first, again), READS)
    closed = ("run", "--source", "-", "--format", "jsonl", *settings(LABEL, FEATURES), "--quiet")
    yield Job("pipe-empty", (Call(closed, stdin="empty.jsonl"),))


def streams() -> Iterator[Job]:
    """Yield jobs with splits, tests, probes, experiences and drifts."""
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
    probed = ("probe.share=0.2", "probe.every=150", "source.task=task", EXPERIENCES, LABEL)
    for by in ("class", "task", "experience", "none"):
        given = (*probed, f"probe.by={by}", "probe.max_size=40", "probe.seed=2")
        yield whole(f"probe-{by}", *given, *(TEST if by == "class" else ()))
    budget = (LABEL, EXPERIENCES, "probe.share=0.3", "probe.budget=1.0", "probe.max_size=60")
    yield whole("probe-budget", *budget, reads=(*READS, REPORT))
    count = ("experiences.by=count", "experiences.rows=230")
    yield whole("experiences-count", LABEL, *count, "buffer.kind=experience_balanced", *TEST)
    seconds = ("experiences.by=time", "experiences.seconds=120.0", "source.time=time")
    yield whole("experiences-time", LABEL, *seconds, "learner.method=lwf")
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


DRIFT = f"""
[source]
path = "{INPUTS}/turning.jsonl"
batch_size = 8
[experiences]
by = "drift"
[buffer]
max_size = 100
[mixer]
steps = 1
[learner]
method = "er"
hidden = [8]
schedule = "inverse_sqrt(100)"
lr = 0.02
[evaluator]
report_every = 500
[run]
checkpoint_every = 700
save_predictions = true
[[drift]]
detector = "ADWIN(delta=0.05, clock=8)"
actions = ["new_experience", "replay(2.0, rows=300)", "lr(1.5, rows=300)", "restart_schedule"]
[[drift]]
detector = "DDM()"
warning_actions = ["checkpoint"]
actions = ["shrink(0.9)", "forget(400)", "lr(0.99)"]
[[drift]]
detector = "HDDMW(drift_confidence=0.05, warning_confidence=0.06)"
on = "label:n"
cooldown = 200
[[drift]]
detector = "PageHinkley(threshold=100)"
on = "features"
actions = ["checkpoint"]
"""


def drift_of_several() -> str:
    """Return the same watched on two learners, whose actions are each one's own."""
    head, _, rest = DRIFT.partition("[learner]")
    head = head.replace('[experiences]\nby = "drift"\n', "")
    one, _, tail = rest.replace('"new_experience", ', "").partition("[evaluator]")
    two = one.replace("0.02", "0.001")
    return f'{head}[[learner]]{one}[[learner]]\nname = "slow"{two}[evaluator]{tail}'


SEVERAL = f"""
seed = 5
[source]
path = "{INPUTS}/rows.jsonl"
label = "y"
features = ["a", "b", "c", "d"]
batch_size = 16
[test]
share = 0.2
every = 300
[buffer]
max_size = 60
SHARED
[mixer]
batch_size_mem = 8
[evaluator]
report_every = 200
[run]
save_predictions = true
checkpoint_every = 300
"""
OWN_BUFFERS = (
    SEVERAL.replace("SHARED", "")
    + """
[[learner]]
name = "small"
hidden = [8]
method = "der++"
[[learner]]
module = "linear"
optimizer = "sgd"
lr = 0.1
[learner.buffer]
kind = "reservoir"
[learner.mixer]
steps = 2
[[learner]]
name = "été"
river = 'preprocessing.StandardScaler() | linear_model.SoftmaxRegression()'
allow_pickle = true
[learner.buffer]
kind = "none"
"""
)
SHARED_BUFFER = (
    SEVERAL.replace("SHARED", "shared = true")
    + """
[[learner]]
hidden = [8]
[[learner]]
module = "linear"
method = "mir"
[learner.mixer]
by = "class"
"""
)


def learners() -> Iterator[Job]:
    """Yield jobs with several learners, and with River's."""
    call = Call(("run", "job.toml", "--out", "out"))
    compare = Call(("compare", "out", "--json"))
    reads = (*READS, compare, Call(("inspect", "out")), REPORT)
    for name, text in (("own", OWN_BUFFERS), ("shared", SHARED_BUFFER)):
        files = (("job.toml", text),)
        yield Job(f"several-{name}", (call,), reads, files=files)
    pickle = "learner.allow_pickle=true"
    models = {
        "forest": "forest.ARFClassifier(n_models=2)",
        "softmax": "preprocessing.StandardScaler() | linear_model.SoftmaxRegression()",
        "own": "ownpieces:bayes",
    }
    for name, model in models.items():
        given = (LABEL, f"learner.river='{model}'", pickle)
        yield whole(f"river-{name}", *given, common=FREE, flags=("--limit", "500"))
    price = ("source.target=price", "source.batch_size=1", "buffer.kind=none")
    linear = "learner.river='preprocessing.StandardScaler() | linear_model.LinearRegression()'"
    yield whole("river-regressor", linear, pickle, *price, common=FREE)
    tags = ("source.label=tags", "source.multilabel=['red','big']")
    chain = "learner.river='multioutput.ClassifierChain(model=tree.HoeffdingTreeClassifier())'"
    yield whole("river-labels", chain, pickle, *tags, common=FREE)
    behind = ("backbone.module=ownpieces:backbone", "learner.river='naive_bayes.GaussianNB()'")
    yield whole("river-backbone", LABEL, *behind, pickle, common=FREE)


def targets() -> Iterator[Job]:
    yield whole("number", "source.target=price", "learner.huber=2.0", *TEST, reads=(*READS, REPORT))
    several = ("source.target=['price','size']", "source.weight=w", "probe.share=0.1")
    yield whole("numbers", *several, EXPERIENCES)
    named = ("evaluator.metrics=['MAPE','SMAPE','R2']", "source.task=task")
    yield whole("numbers-named", "source.target=['price','size']", *named)
    tags = ("source.label=tags", "source.multilabel=['red','big']")
    yield whole("labels-listed", *tags, *TEST, reads=(*READS, REPORT))
    cells = ("source.multilabel=['red','big']", "source.features=['a','b']", "probe.share=0.1")
    yield whole("labels-cells", *cells, source="tags.csv", common=ROWS[2:])
    scores = ("evaluator.metrics=['multioutput.MicroAverage(F1())','ExactMatch']",)
    yield whole("labels-named", *tags, *scores)
    yield whole("weights", LABEL, "source.weight=w", "learner.method=der++")
    rows = ("source.features=['f']", "source.target=['n','m']", "source.weight=w")
    yield whole("numbers-npz", *rows, "learner.module=linear", source="arrays.npz", common=ROWS[2:])


def named_metrics() -> Iterator[Job]:
    classes = ["CohenKappa", "MacroF1", "MCC", "FBeta(beta=0.5)", "ROCAUC", "LogLoss"]
    classes += ["GeometricMean", "RollingROCAUC", "CrossEntropy", "Recall(pos_val='dog')"]
    given = f"evaluator.metrics={json.dumps(classes)}"
    grouped = ("source.task=task", EXPERIENCES, "evaluator.fading=0.99")
    yield whole("metrics-named", LABEL, given, *grouped, reads=(*READS, REPORT))
    two = ("evaluator.metrics=['F1','ROCAUC','RollingPRAUC','Accuracy']", "evaluator.buffer=false")
    common = (FEATURES.replace(",'c','d'", ""), "learner.hidden=[8]", "run.limit=800")
    yield whole("metrics-two-classes", *two, source="turning.jsonl", common=common)
    yield whole("tensorboard", LABEL, "run.tensorboard=true", *TEST)


def levers() -> Iterator[Job]:
    given = {
        "augment-rows": ("augment=['noise(0.1)','feature_dropout(0.1)','mixup(0.3)']",),
        "augment-own": ("augment=['ownpieces:shaken']", "augment_incoming=false"),
        "inverse-sqrt": ("schedule=inverse_sqrt(50)", "warmup=20", "schedule_restarts=true"),
        "inverse-time": ("schedule=inverse_time(50)", "weight_decay=0.01", "optimizer=adamw"),
        "cosine": ("schedule='cosine(40, floor=0.1, growth=2)'", "schedule_weight_decay=true"),
        "own-schedule": ("schedule=ownpieces:halving", "optimizer=sgd", "lr=0.1", "momentum=0.9"),
        "warmup": ("warmup=30", "method=er"),
        "ema": ("ema=0.9", "method=er"),
        "ema-ace": ("ema=0.95", "method=er-ace"),
        "clipping": ("clip_grad_norm=0.5", "method=er"),
        "smoothing": ("label_smoothing=0.1",),
        "smoothing-der": ("label_smoothing=0.1", "method=der++", "clip_grad_norm=1.0"),
        "class-weight": ("class_weight={cat=2.0, emu=0.5}",),
        "standard": ("normalize=standard",),
        "unscaled": ("normalize=none",),
        "skip": ("optimizer=sgd", "lr=1e30", "on_divergence=skip"),
    }
    for name, each in given.items():
        yield whole(f"lever-{name}", LABEL, EXPERIENCES, *(f"learner.{one}" for one in each))
    raised = ("learner.optimizer=sgd", "learner.lr=1e30")
    yield whole("lever-raise", LABEL, *raised, reads=(), code=1)
    images = ("augment=['crop(2)','flip()','jitter(0.2, 0.2)','cutout(3)']", "module=cnn")
    small = ("channels=[4,8]", "method=er")
    each = tuple(f"learner.{one}" for one in (*images, *small))
    yield whole("lever-augment-images", *each, source="images-idx3-ubyte.gz", common=PICTURES)


def models() -> Iterator[Job]:
    given = {
        "linear": ("module=linear",),
        "linear-cosine": ("module=linear", "head=cosine", "method=er"),
        "mlp-cosine": ("hidden=[16]", "head=cosine", "method=er-ace"),
        "mlp-weight-norm": ("hidden=[12,8]", "head=weight_norm"),
        "cnn": ("module=cnn", "channels=[4]", "norm=none"),
        "cnn-weight-norm": ("module=cnn", "channels=[4,6]", "head=weight_norm", "method=der++"),
        "cnn-cosine": ("module=cnn", "channels=[4,6]", "head=cosine", "method=ncm"),
        "resnet": ("module=slim_resnet18", "channels=[2]", "method=er"),
        "resnet-group": ("module=slim_resnet18", "channels=[2]", "norm=group", "head=cosine"),
        "own": ("module=ownpieces:net",),
        "own-dropout": ("module=ownpieces:dropping", "method=mir"),
        "own-frozen": ("module=ownpieces:frozen", "method=er"),
    }
    for name, each in given.items():
        more = (f"learner.{one}" for one in each)
        limit = "run.limit=160" if "resnet" in name else "run.limit=320"
        source = "images-idx3-ubyte.gz"
        yield whole(f"model-{name}", *more, limit, source=source, common=PICTURES)
    latent = ("backbone.module=ownpieces:backbone", "test.share=0.2", "buffer.kind=parametric")
    source = "images-idx3-ubyte.gz"
    yield whole("backbone", *latent, "learner.head=cosine", source=source, common=PICTURES)


def resumed() -> Iterator[Job]:
    """Yield runs that end at a limit and go on, here and in the other checkout's hands."""
    streams = {
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
    for name, given in streams.items():
        argv = (*read("rows.jsonl"), *settings(*ROWS, EXPERIENCES, *given))
        yield limited(f"resume-{name}", argv)
    dirty = (*read("dirty.jsonl"), *settings(*ROWS, LABEL))
    yield limited("resume-dead-letters", dirty, limits=("160", "0"))
    images = (*read("images-idx3-ubyte.gz"), *settings(*PICTURES, "learner.module=cnn"))
    split = settings("source.split.n_experiences=2", "test.share=0.2", "learner.channels=[4]")
    yield limited("resume-split", (*images, *split), limits=("96", "320"))
    latent = settings("backbone.module=ownpieces:backbone", "learner.module=ownpieces:dropping")
    plain = (*read("images-idx3-ubyte.gz"), *settings(*PICTURES))
    yield limited("resume-backbone", (*plain, *latent), limits=("160", "320"))
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


def limited(
    name: str,
    argv: tuple[str, ...],
    *,
    limits: tuple[str, str] = ("532", "0"),  # a batch ends there: experiences do at 250, 500, 750
    trust: tuple[str, ...] = (),
    files: tuple[tuple[str, str], ...] = (),
    timed: bool = True,
) -> Job:
    """Make a job that stops at a limit and goes on; once more from where the old checkout was."""
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
    """Yield runs in processes of their own that are killed, or stopped, and go on."""
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
    """Make a job of a run that is killed and resumed, and of the same run unbroken."""
    unbroken = Call((*argv, "--out", "whole"), stdin=stdin)
    same = (Same("whole", "out", without=(*CLOCK, *without)),)
    return Job(name, (unbroken, *steps), READS, same=same, files=files, timed=False)


def readers() -> Iterator[Job]:
    """Yield what is said of several runs, of logs in several files, and without a run."""
    steps = []
    for method in ("er", "auto"):
        for seed in ("1", "2"):
            given = settings(
                *ROWS, LABEL, EXPERIENCES, "probe.share=0.1", f"learner.method={method}"
            )
            steps.append(
                Call((*read("rows.jsonl"), *given, "--seed", seed, "--out", method + seed, "-q"))
            )
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
    yield Job("compare", tuple(steps), reads)
    rotated = settings(*ROWS, LABEL, "run.log_max_bytes=20000", "run.log_keep=9")
    argv = (*read("rows.jsonl"), *rotated, "--out", "out")
    yield Job("rotated", (Call(argv),), (*READS, REPORT), timed=False)
    commands = ("run", "inspect", "init", "schema", "report", "compare", "tail", "demo", "export")
    texts = [Call((command, "--help")) for command in commands]
    texts += [Call(("--help",)), Call(("--version",)), Call(("init", "-"))]
    texts += [Call(("schema",)), Call(("schema", "--log")), Call((), code=2)]
    yield Job("texts", tuple(texts))
    yield Job("mistakes", tuple(mistakes()))


def mistakes() -> Iterator[Call]:
    rows = (*read("rows.jsonl"), "--quiet")
    for given in (
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
    ):
        yield Call((*rows, *settings(LABEL, *given)), code=1)
    yield Call(("run", "--source", f"{INPUTS}/nothing.jsonl"), code=1)
    yield Call(("run", "--source", f"{INPUTS}/ownpieces.py"), code=1)
    yield Call(("run", "--resume", "--out", "nothing"), code=1)
    yield Call(("run", f"{INPUTS}/rows.jsonl"), code=1)
    yield Call(("run", "--nonsense"), code=2)
    yield Call(("run",), code=2)
    for command in ("inspect", "report", "compare", "tail", "export"):
        yield Call((command, "nothing"), code=1)


def all_jobs() -> list[Job]:
    """Return all jobs, by the groups that they are made in."""
    groups = (methods, buffers, sources, streams, learners, targets, named_metrics, levers, models)
    return [job for group in (*groups, resumed, killed, readers) for job in group()]


# ---- inputs ----

PIECES = '''
"""What jobs name by an import path."""

import numpy as np
import torch
from torch import nn

from streamreplay import OnlineSelectionStrategy
from streamreplay.learners import Method


def focal(step):
    log_p = -nn.functional.cross_entropy(step.masked, step.y, ignore_index=-1, reduction="none")
    return ((1 - log_p.exp()) ** 2 * -log_p).mean()


def entropy(step):
    p = torch.softmax(step.masked[: step.n], 1)
    return {"entropy": -(p * p.clamp(min=1e-9).log()).sum(1)}


def unsure(learner, incoming, candidates, k):
    return np.argsort(-np.nan_to_num(candidates.notes["entropy"]), kind="stable")[:k]


def mine():
    return Method(focal, notes=entropy, retrieve=unsure)


def faulty(*_):
    raise KeyError("a")


class Newest(OnlineSelectionStrategy):
    def make_keys(self, rows, uniform):
        return -rows.t.astype(np.float64)


def newest(learner):
    return Newest()


def bayes():
    from river import naive_bayes

    return naive_bayes.GaussianNB()


def shaken(x, y):
    return torch.where((y == 0)[:, None], x + 0.1 * torch.randn_like(x), x)


def halving(step):
    return 0.5 ** (step // 100)


def backbone(shape):
    features = int(np.prod(shape))
    layer = nn.Linear(features, 6, bias=False)
    weights = torch.arange(6.0 * features).reshape(6, features).sin()
    layer.load_state_dict({"weight": weights})
    return nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(6), nn.ReLU())


def net(shape, n):
    features = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 9), nn.GELU(), nn.Linear(9, n))


def dropping(shape, n):
    features = int(np.prod(shape))
    layers = [nn.Linear(features, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(9, n))


def frozen(shape, n):
    features = int(np.prod(shape))
    base = nn.Sequential(nn.Flatten(), nn.Linear(features, 6), nn.BatchNorm1d(6))
    return nn.Sequential(base.requires_grad_(False), nn.Linear(6, n))
'''


def make_inputs() -> dict[str, bytes]:
    """Return all files that jobs read, by name."""
    records = _records(np.random.default_rng(0), 1000)
    rows = [json.dumps(record).encode() for record in records]
    test = [json.dumps(each).encode() for each in _records(np.random.default_rng(1), 120)]
    columns = ("id", "a", "b", "y")
    cells = [[str(each[name]) for name in columns] for each in records]
    csv = _lines([",".join(columns), *map(",".join, cells)])
    bare = [";".join([*each[:3], "0.5", each[2][::-1].strip("-"), each[3]]) for each in cells]
    tags = [f"{r['a']},{r['b']},{'red' in r['tags']:d},{'big' in r['tags']:d}" for r in records]
    plain = [{"x": [r["a"], r["b"]], "y": i % 3, "task": i % 2} for i, r in enumerate(records)]
    jsonl = b"\n".join(rows) + b"\n"
    zipped = zstandard.ZstdCompressor()
    files = {
        "rows.jsonl": jsonl,
        "rows.jsonl.gz": gzip.compress(jsonl, mtime=0),
        "rows.jsonl.zst": zipped.compress(jsonl),
        "first.jsonl": b"\n".join(rows[:496]) + b"\n",
        "second.jsonl": b"\n".join(rows[496:]) + b"\n",
        "empty.jsonl": b"",
        "test.jsonl": b"\n".join(test) + b"\n",
        "rows.csv": csv,
        "rows.csv.gz": gzip.compress(csv, mtime=0),
        "rows.csv.zst": zipped.compress(csv),
        "rows.tsv": csv.replace(b",", b"\t"),
        "bare.csv": _lines([*(each for each in bare)]),
        "tags.csv": _lines(["a,b,red,big", *tags]),
        "plain.jsonl": _lines([json.dumps(each) for each in plain[:400]]),
        "dirty.jsonl": _dirty(rows[:400]),
        "dirty.csv": _dirty_table(csv.splitlines()[:400]),
        "turning.jsonl": _turning(2200),
        "ownpieces.py": PIECES.encode(),
    }
    for name in ("digits.npz", "covtype.csv.gz"):
        files[name] = (HERE / "data" / name).read_bytes()
    return {**files, **_images(400), "arrays.npz": _arrays(400)}


def _lines(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _records(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """Return rows with everything: a class that comes late, a concept that turns, gaps."""
    made: list[dict[str, Any]] = []
    for i in range(n):
        y = int(rng.integers(2 if i < n // 2 else 3))
        sign = -1 if i > 3 * n // 4 else 1
        a, b, c = (rng.normal([y, -y * sign, 0.3 * y], 0.6)).round(5).tolist()
        row = {"id": f"r{i}", "time": i / 2 + 1000.0, "task": i % 2, "experience": 4 * i // n}
        row |= {"a": a, "b": b, "c": c, "d": round(a * b, 4), "w": 1 + i % 3}
        row |= {"price": round(1000 + 50 * a - 20 * b, 3), "size": round(b / 100, 6)}
        row |= {"tags": ["red"] * (a > 0.5) + ["big"] * (b > 0), "y": ["cat", "dog", "emu"][y]}
        made.append(row)
    return made


def _dirty(rows: list[bytes]) -> bytes:
    """Return rows of which some cannot be read, and some say nothing of their label."""
    dirty = []
    for i, row in enumerate(rows):
        record = json.loads(row)
        match i % 31:
            case 3:
                dirty.append(row[:-7])
            case 7:
                del record["y"]
                dirty.append(json.dumps(record).encode())
            case 11:
                dirty.append(json.dumps(record | {"a": "many"}).encode())
            case 13:
                dirty.append(json.dumps(record | {"b": float("nan")}).encode())
            case 17:
                dirty.append(json.dumps(record | {"more": "x" * 500}).encode())
            case 19:
                dirty.append(b'{"a": "\xff\xfe"}')
            case 23:
                dirty.append(json.dumps(record | {"y": [1, 2]}).encode())
            case 29:
                dirty.append(b"[1, 2, 3]")
            case _:
                dirty.append(row)
    return b"\n".join(dirty)  # and the last one without its end


def _dirty_table(lines: list[bytes]) -> bytes:
    for i in range(20, len(lines), 40):
        name, _, rest = lines[i].partition(b",")
        lines[i] = lines[i] + b",more"
        lines[i + 5] = name + b",," + rest
        lines[i + 9] = b'"' + lines[i + 9]
        lines[i + 12] = name + b",nan,inf,cat"
        lines[i + 15] = b""
    return b"\r\n".join(lines) + b"\r\n"


def _turning(n: int) -> bytes:
    """Return rows whose concept turns round each thousand rows, and whose features shift once."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(n):
        a, b = (rng.standard_normal(2) + 3 * (i > n // 2)).round(4).tolist()
        positive = (a > 3 * (i > n // 2)) != (i // 1000 % 2)
        lines.append(json.dumps({"a": a, "b": b, "y": "p" if positive else "n"}))
    return _lines(lines)


def _images(n: int) -> dict[str, bytes]:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, n).astype(np.uint8)
    x = (rng.integers(0, 99, (n, 12, 12)) + 40 * y[:, None, None]).astype(np.uint8)
    found = {}
    for name, array in (("images-idx3-ubyte.gz", x), ("labels-idx1-ubyte.gz", y)):
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        found[name] = gzip.compress(head + array.tobytes(), mtime=0)
    return found


def _arrays(n: int) -> bytes:
    rng = np.random.default_rng(3)
    f = rng.standard_normal((n, 5)).astype(np.float32)
    c = np.where(f[:, 0] > 0, "up", "down")
    columns = {"f": f, "c": c, "w": rng.random(n), "t": np.arange(n) // 100}
    columns |= {"n": 3 * f[:, 1] + 7, "m": f[:, 2] * f[:, 3]}
    with tempfile.TemporaryFile() as file:
        np.savez(file, **columns)  # type: ignore[arg-type]  # each of them is an array
        file.seek(0)
        return file.read()


# ---- running ----


class Runner:
    """Runs jobs of one checkout, in a process that has it on its path.

    Parameters
    ----------
    side : Path
        Where each job has its folder.
    inputs, old : Path
        Inputs, and where the jobs of the old checkout have theirs.
    renamed : tuple
        As `RENAMED`.
    """

    def __init__(
        self, side: Path, inputs: Path, old: Path, renamed: tuple[tuple[str, str, str], ...]
    ) -> None:
        self._side, self._inputs, self._old, self._renamed = side, inputs, old, renamed
        self._folder = side
        self._faults: list[str] = []
        self._number = 0

    def run(self, job: Job) -> list[str]:
        """Run a job; return what was not as expected, whatever the other checkout does."""
        self._folder, self._faults, self._number = self._side / job.name, [], 0
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        os.chdir(self._folder)
        for name, text in job.files:
            (self._folder / name).write_text(self._filled(text))
        try:
            self._take_steps(job)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            self._faults.append(f"could not go on: {error}")
        return self._faults

    def _take_steps(self, job: Job) -> None:
        for step in job.steps:
            if isinstance(step, Copy):
                source = self._filled(step.source)
                shutil.copytree(source.replace(OLD, str(self._old / job.name)), step.to)
            elif isinstance(step, Broken):
                self._break(step)
            else:
                self._call(step)
        self._faults += [fault for same in job.same for fault in unlike(self._folder, same)]
        self._steady(timed=job.timed)
        for call in job.reads:
            self._call(call)

    def _filled(self, text: str) -> str:
        for pattern, put, _ in self._renamed:
            text = re.sub(pattern, put, text)
        return text.replace(INPUTS, str(self._inputs))

    def _call(self, call: Call) -> None:
        self._number += 1
        stem = f"{self._number:02d}-{call.argv[0].strip('-') if call.argv else 'nothing'}"
        argv = [self._filled(each) for each in call.argv]
        with (
            Path(f"{stem}.stdout").open("wb") as out,
            Path(f"{stem}.stderr").open("wb") as err,
            redirected(out.fileno(), err.fileno(), self._inputs / (call.stdin or "empty.jsonl")),
        ):
            code = main_in_process(argv)
        Path(f"{stem}.code").write_text(f"{code}\n")
        if code != call.code:
            said = Path(f"{stem}.stderr").read_text(errors="replace").splitlines()[-1:]
            self._faults.append(f"{stem}: exit code {code}, expected {call.code}: {''.join(said)}")

    def _break(self, step: Broken) -> None:
        """Start a process, and send it its signal once the log has come to a row."""
        self._number += 1
        for _ in range(5):
            code, out, err = self._broken(step)
            if code != 0:
                break
            shutil.rmtree("out")  # it came to its end before the signal did
        else:
            raise RuntimeError(f"{self._folder.name}: could not be stopped in time")
        stem = f"{self._number:02d}-broken"
        Path(f"{stem}.code").write_text(f"{code}\n")
        if step.stdin:  # else the row that it had come to is a matter of time
            Path(f"{stem}.stdout").write_bytes(out)
            Path(f"{stem}.stderr").write_bytes(err)
        expected = -step.signal if step.signal == signal.SIGKILL else 128 + step.signal
        if code != expected:
            said = err.decode(errors="replace").splitlines()[-1:]
            self._faults.append(f"{stem}: exit code {code}, expected {expected}: {''.join(said)}")

    def _broken(self, step: Broken) -> tuple[int, bytes, bytes]:
        argv = [sys.executable, "-m", "streamreplay", *map(self._filled, step.argv)]
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=err) as process,
        ):
            if step.stdin and process.stdin is not None:
                lines = (self._inputs / step.stdin).read_bytes().splitlines(keepends=True)
                process.stdin.write(b"".join(lines[: step.header + step.at]))
                process.stdin.flush()
            end = time.monotonic() + 120
            while process.poll() is None and not _has_come_to(step.at) and time.monotonic() < end:
                time.sleep(0.002)
            process.send_signal(step.signal)
            try:
                process.wait(60)
            finally:
                process.kill()
            out.seek(0)
            err.seek(0)
            return process.returncode, out.read(), err.read()

    def _steady(self, *, timed: bool) -> None:
        """Write numbers that follow from their places over those of the clock.

        So what reads them is compared as well. Where their number depends on the clock too they go:
        lines from before a kill stay, and files of a certain size hold more or fewer of them.
        """
        for path in sorted(self._folder.rglob("timings*.jsonl")):
            if not timed:
                path.unlink()
                continue
            lines = [json.loads(line) for line in path.read_bytes().splitlines()]
            made = [json.dumps(steady(line, place)) for place, line in enumerate(lines, 1)]
            path.write_text("".join(f"{line}\n" for line in made))
        for path in sorted(self._folder.rglob("events.out.tfevents.*")):
            path.with_name("scalars.txt").write_text(scalars(path))
            path.unlink()


def _has_come_to(row: int) -> bool:
    """Tell whether the log has a record of a row, or of one behind it."""
    rows = [0]
    for path in Path("out").glob("metrics*.jsonl"):
        with suppress(FileNotFoundError):  # just now, as a new file is begun
            rows += map(int, re.findall(rb'"position":(\d+)', path.read_bytes()))
    return max(rows) >= row


def steady(line: dict[str, Any], place: int) -> dict[str, Any]:
    """Return a line of timings with what the clock said put right."""

    def put(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: put(each, name) for name, each in value.items()}
        if key in ("position", "replayed", "throttled") or value is None:
            return value
        known = {"time": 1e9 + place, "elapsed_s": 0.5 * place, "resident_bytes": 2e8 + place}
        known |= {"rows_per_s": 1000.0 + place}
        other = 0.05 + 0.01 * ((len(key) + place) % 7)  # a share, or milliseconds
        return known.get(key, round(other * (50 if key.startswith("p") else 1), 4))

    return {name: put(value, name) for name, value in line.items()}


def scalars(path: Path) -> str:
    """Return what an event file of TensorBoard says, without times and names of machines."""
    from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]  # noqa: PLC0415 - slow
        event_file_loader,
    )

    lines = []
    for event in event_file_loader.EventFileLoader(str(path)).Load():
        lines += [
            f"{event.step} {value.tag} {value.tensor.float_val or value.tensor.string_val}"
            for value in event.summary.value
        ]
    return "\n".join(lines) + "\n"


class redirected:  # noqa: N801 - reads as the function that it is
    """Standard output and error into files, and a file's bytes through a pipe to standard input."""

    def __init__(self, out: int, err: int, stdin: Path) -> None:
        self._targets = {1: out, 2: err}
        self._stdin = stdin
        self._saved: dict[int, int] = {}

    def __enter__(self) -> None:
        self._saved = {descriptor: os.dup(descriptor) for descriptor in (0, 1, 2)}
        reading, writing = os.pipe()
        os.dup2(reading, 0)
        os.close(reading)
        self._feeder = threading.Thread(target=self._feed, args=(writing,), daemon=True)
        self._feeder.start()
        for descriptor, target in self._targets.items():
            os.dup2(target, descriptor)

    def _feed(self, writing: int) -> None:
        with suppress(BrokenPipeError), open(writing, "wb", buffering=0) as file:
            file.write(self._stdin.read_bytes())

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        self._feeder.join()


def main_in_process(argv: list[str]) -> int:
    """Do as ``python -m streamreplay`` does; return the exit code."""
    sys.argv = ["streamreplay", *argv]
    try:
        runpy.run_module("streamreplay", run_name="__main__", alter_sys=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - as the interpreter would
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def unlike(folder: Path, same: Same) -> Iterator[str]:
    """Yield in which files two run folders of a job differ that must not."""
    one, other = (_chosen(folder / name, same) for name in (same.one, same.other))
    for name in sorted({*one, *other}):
        if one.get(name) != other.get(name):
            yield f"{same.other}/{name} is not {same.one}/{name}"


def _chosen(folder: Path, same: Same) -> dict[str, bytes]:
    def match(name: str, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(name, each) for each in patterns)

    found = {str(path.relative_to(folder)): path for path in files_of(folder)}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if match(name, same.files) and not match(name, same.without)
    }


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def work(plan: Path) -> None:
    """Run the jobs of a plan, in a process of their own; write what was found beside each."""
    given = json.loads(plan.read_text())
    del sys.path[0]  # this folder, whose names are not those of modules
    import streamreplay  # noqa: PLC0415 - the checkout's, as the plan's process has it on its path

    if not Path(str(streamreplay.__file__)).is_relative_to(given["checkout"]):
        raise SystemExit(f"streamreplay is that of {streamreplay.__file__}")
    side, inputs, old = (Path(given[name]) for name in ("side", "inputs", "old"))
    runner = Runner(side, inputs, old, RENAMED if given["word"] == "new" else ())
    jobs = {job.name: job for job in all_jobs()}
    for name in given["jobs"]:
        start = time.monotonic()
        faults = runner.run(jobs[name])
        found = {"faults": faults, "seconds": round(time.monotonic() - start, 2)}
        runner_note(side, name).write_text(json.dumps(found))
        if sys.stderr.isatty():
            print(f"\r\033[K{given['word']}: {name}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def runner_note(side: Path, name: str) -> Path:
    return side / f"{name}.json"


# ---- both sides ----


@dataclass(frozen=True)
class Side:
    """A checkout, and where its jobs have their folders."""

    word: str
    checkout: Path
    folder: Path
    inputs: Path
    old: Path

    def run(self, jobs: list[Job]) -> None:
        """Run jobs, all in one process."""
        if not jobs:
            return
        start = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        for job in jobs:
            runner_note(self.folder, job.name).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as name:
            plan = Path(name) / "plan.json"
            given = {
                "word": self.word,
                "checkout": str(self.checkout),
                "side": str(self.folder),
                "inputs": str(self.inputs),
                "old": str(self.old),
                "jobs": [job.name for job in jobs],
            }
            plan.write_text(json.dumps(given))
            command = [sys.executable, str(Path(__file__).resolve()), "--plan", str(plan)]
            subprocess.run(command, env=self.environment(), check=False, stdin=subprocess.DEVNULL)
        print(f"{self.word}: {len(jobs)} jobs in {time.monotonic() - start:.0f} s", flush=True)

    def environment(self) -> dict[str, str]:
        """Return what jobs of this side find in their environment."""
        return {
            **os.environ,
            "PYTHONPATH": f"{self.checkout}{os.pathsep}{self.inputs}",
            "PYTHONDONTWRITEBYTECODE": "1",  # a checkout stays as it is
            "PYTHONWARNINGS": "ignore",  # they name lines of code, each once in a process
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "TERM": "dumb",
        }

    def note(self, job: Job) -> dict[str, Any]:
        """Return what running a job found."""
        path = runner_note(self.folder, job.name)
        lost = {"faults": ["was not run to its end"], "seconds": 0.0}
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else lost
        return found

    def texts(self, job: Job) -> dict[str, bytes]:
        """Return what a job wrote, by file, as it is compared."""
        folder = self.folder / job.name
        return {
            name: comparable(f"{job.name}/{name}", path.read_bytes(), folder)
            for path in files_of(folder)
            for name in [str(path.relative_to(folder))]
            if not any(fnmatch.fnmatchcase(f"{job.name}/{name}", e.files) for e in NOT_COMPARED)
        }


def comparable(name: str, data: bytes, folder: Path) -> bytes:
    """Return a file's bytes with what differs between any two runs put right."""
    if name.endswith(".safetensors"):
        data = named_tensors(data)
    data = data.replace(str(folder).encode(), b"FOLDER")  # where a run was is no part of it
    return replaced(name, data, ON_BOTH)


def named_tensors(data: bytes) -> bytes:
    """Return a line for each tensor of a file, so that one that differs is named."""
    (size,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + size])
    lines = []
    for name, what in head.items():
        digest = ""
        if name != "__metadata__":
            first, last = what["data_offsets"]
            digest = hashlib.sha256(data[8 + size + first : 8 + size + last]).hexdigest()
        lines.append(f"{name} {json.dumps(what)} {digest}")
    return _lines(lines)


def replaced(name: str, data: bytes, rules: tuple[Rule, ...]) -> bytes:
    for rule in rules:
        if fnmatch.fnmatchcase(name, rule.files):
            data = re.sub(rule.pattern.encode(), rule.put.encode(), data)
    return data


def differences(job: Job, old: Side, new: Side) -> list[str]:
    """Return in what a job's outputs differ, the first line of each file."""
    before, now = old.texts(job), new.texts(job)
    before = {name: replaced(f"{job.name}/{name}", data, INTENDED) for name, data in before.items()}
    found = [f"{side.word}: {fault}" for side in (old, new) for fault in side.note(job)["faults"]]
    for name in sorted({*before, *now}):
        if name not in before or name not in now:
            found.append(f"{name}: only in {'old' if name in before else 'new'}")
        elif before[name] != now[name]:
            found.append(first_difference(name, before[name], now[name]))
    return found


def first_difference(name: str, old: bytes, new: bytes) -> str:
    """Return the first line in which two files differ, from a little before the place."""
    lines = zip([*old.split(b"\n"), b"(end)"], [*new.split(b"\n"), b"(end)"], strict=False)
    number, (one, other) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    pairs = enumerate(zip(one, other, strict=False))
    start = max(0, next((i for i, (a, b) in pairs if a != b), min(len(one), len(other))) - 60)
    shown = (each[start : start + 140].decode(errors="replace") for each in (one, other))
    cut = "..." if start else ""
    return "\n".join([f"{name}:{number}", *(f"      {cut}{each}" for each in shown)])


def keys(jobs: list[Job], checkout: Path, inputs: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Return what the outputs of each job follow from, as a checksum."""
    digest = hashlib.sha256()
    for path in files_of(checkout / "streamreplay"):
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    for name, data in files.items():
        digest.update(f"{name}\0".encode() + data)
    parts: list[Any] = [Runner, steady, scalars, redirected, main_in_process, Side.environment]
    digest.update("".join(map(inspect.getsource, parts)).encode())
    packages = ("torch", "numpy", "river", "matplotlib", "rich", "typer", "pyarrow", "pydantic")
    machine = [*map(version, packages), platform.python_version(), _processor(), str(inputs)]
    digest.update("\0".join(machine).encode())
    shared = digest.hexdigest()
    return {job.name: hashlib.sha256(f"{shared}{job!r}".encode()).hexdigest() for job in jobs}


def _processor() -> str:
    """Return what tells processors apart that round sums otherwise."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:.*", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.processor()


def write_inputs(folder: Path, files: dict[str, bytes]) -> None:
    """Write what is not there yet; others may be reading the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            temporary = path.with_name(f".{os.getpid()}-{name}")
            temporary.write_bytes(data)
            temporary.replace(path)


def compare(options: argparse.Namespace, room: Path) -> int:
    """Run both sides, print a line for each job, and return how many differ."""
    jobs = all_jobs()
    if options.only:
        jobs = [j for j in jobs if any(fnmatch.fnmatchcase(j.name, p) for p in options.only)]
    if not jobs:
        raise SystemExit("--only: there is no such job; --list has their names")
    kept: Path = (options.keep or room / "kept").resolve()
    inputs, files = kept / "inputs", make_inputs()
    write_inputs(inputs, files)
    make = partial(Side, inputs=inputs, old=kept / "old")
    old = make("old", options.old.resolve(), kept / "old")
    new = make("new", options.new.resolve(), room / "new")
    wanted = keys(jobs, old.checkout, inputs, files)
    with FileLock(kept / "lock"):  # others may be about to make the same
        stale = [job for job in jobs if _key(old, job) != wanted[job.name]]
        print(f"{len(jobs)} jobs; of the old checkout {len(jobs) - len(stale)} are there already")
        for job in stale:
            (old.folder / f"{job.name}.key").unlink(missing_ok=True)
        old.run(stale)
        for job in stale:
            if not old.note(job)["faults"]:
                (old.folder / f"{job.name}.key").write_text(wanted[job.name])
    new.run(jobs)
    differing = sum([_tell(job, old, new) for job in jobs])
    print(f"{len(jobs) - differing} of {len(jobs)} jobs are the same")
    return differing


def _key(side: Side, job: Job) -> str:
    path = side.folder / f"{job.name}.key"
    return path.read_text() if path.exists() else ""


SHOWN = 4  # differences of a job; the rest is in a file


def _tell(job: Job, old: Side, new: Side) -> bool:
    found = differences(job, old, new)
    if found:
        (new.folder / f"{job.name}.differences").write_text("\n".join(found) + "\n")
    files, seconds = len(new.texts(job)), new.note(job)["seconds"]
    word = f"DIFFERS in {len(found)}" if found else "same"
    print(f"{job.name:28} {word} ({files} files, {seconds:.1f} s)")
    for each in found[:SHOWN]:
        print(f"    {each}")
    if len(found) > SHOWN:
        print(f"    and {len(found) - SHOWN} more")
    sys.stdout.flush()
    return bool(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--old", type=Path, help="the checkout to compare with")
    parser.add_argument("--new", type=Path, default=HERE, help="by default this one")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these jobs; * goes for any")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where old outputs are kept")
    parser.add_argument("--list", action="store_true", help="print the jobs' names and leave")
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plan:
        work(options.plan)
        return
    if options.list:
        print("\n".join(job.name for job in all_jobs()))
        return
    if options.old is None:
        parser.error("--old: give a checkout")
    room = Path(tempfile.mkdtemp(prefix="same-output-"))
    start = time.monotonic()
    differing = compare(options, room)
    seconds = f"{time.monotonic() - start:.0f} s"
    if differing:
        print(f"{differing} jobs differ, {seconds}; all differences and the outputs: {room}/new")
        raise SystemExit(1)
    print(f"all jobs are the same, {seconds}")
    shutil.rmtree(room)


if __name__ == "__main__":
    main()
