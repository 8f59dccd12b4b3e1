"""Jobs with every kind of target, and with metrics that are given by name."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.same_output.job import Job
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


def targets() -> Iterator[Job]:
    """Yield jobs that predict numbers, sets of labels, and classes of rows with weights."""
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
    """Yield jobs with named metrics, and one that writes for TensorBoard."""
    classes = ["CohenKappa", "MacroF1", "MCC", "FBeta(beta=0.5)", "ROCAUC", "LogLoss"]
    classes += ["GeometricMean", "RollingROCAUC", "CrossEntropy", "Recall(pos_val='dog')"]
    given = f"evaluator.metrics={json.dumps(classes)}"
    grouped = ("source.task=task", EXPERIENCES, "evaluator.fading=0.99")
    yield whole("metrics-named", LABEL, given, *grouped, reads=(*READS, REPORT))
    two = ("evaluator.metrics=['F1','ROCAUC','RollingPRAUC','Accuracy']", "evaluator.buffer=false")
    common = (FEATURES.replace(",'c','d'", ""), "learner.hidden=[8]", "run.limit=800")
    yield whole("metrics-two-classes", *two, source="turning.jsonl", common=common)
    yield whole("tensorboard", LABEL, "run.tensorboard=true", *TEST)
