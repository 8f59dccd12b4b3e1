"""Build the stage of a job's ``[evaluator]``, which scores predictions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from streamreplay.batch import Objective
from streamreplay.config.building.river_models import construct_metric
from streamreplay.config.job import EvaluatorSection
from streamreplay.errors import ConfigError
from streamreplay.evaluation.prequential import Prequential
from streamreplay.evaluation.river_metrics.metric_spec import MetricSpec, specs_of
from streamreplay.evaluation.river_metrics.river_scores import class_index
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.labels import Name
from streamreplay.stage import Source

_KEY = "evaluator.metrics"


def make_evaluator(settings: EvaluatorSection, objective: Objective, source: Source) -> Prequential:
    """Return the stage that scores predictions.

    Parameters
    ----------
    settings : EvaluatorSection
    objective : {"classes", "numbers", "labels"}
    source : Source
        If its rows are in memory, metrics of two classes are checked against their classes.

    Raises
    ------
    ConfigError
        A metric does not exist, or cannot score the objective.
    """
    metrics = _metrics(settings.metrics)
    try:
        named = specs_of(metrics)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"evaluator.{error}") from None
    for each in named:
        _check_objective(each, objective)
        if objective == "classes" and isinstance(source, ArraySource):
            _check_classes(each, source.coded.names)
    return Prequential(
        report_every=settings.report_every,
        window=settings.window,
        fading=settings.fading,
        metrics=metrics,
    )


def _metrics(texts: list[str]) -> dict[str, Any]:
    """Return metrics by their names in the log: the class, or the text if it has arguments."""
    metrics: dict[str, Any] = {}
    for text in texts:
        metric = construct_metric(_KEY, text)
        plain = re.fullmatch(r"[\w.]+(\(\s*\))?", text.strip())
        name = type(metric).__name__ if plain else text.strip()
        if name in metrics:
            raise ConfigError(f"{_KEY}: must be different, got {name} twice")
        metrics[name] = metric
    return metrics


def _check_objective(metric: MetricSpec, objective: Objective) -> None:
    if metric.objective != objective:
        hint = {"classes": "label", "numbers": "target", "labels": "multilabel"}[metric.objective]
        raise ConfigError(
            f"{_KEY}: {metric.name} scores {metric.objective}, and the stream has {objective}: see "
            f"source.{hint}"
        )


def _check_classes(metric: MetricSpec, names: Sequence[Name]) -> None:
    """Check the classes of rows in memory now, rather than at the first row."""
    if metric.feed == "score" and len(names) > 2:
        raise ConfigError(
            f"{_KEY}: {metric.name} is of two classes, and the stream has {len(names)}"
        )
    if metric.binary and class_index(metric.positive, names) is None:
        raise ConfigError(
            f"{_KEY}: {metric.name}: no class of the stream is called {metric.positive!r}"
        )
