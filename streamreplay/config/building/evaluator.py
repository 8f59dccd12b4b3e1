"""From a job's ``[evaluator]`` to the stage that scores."""

from __future__ import annotations

import re
from typing import Any

from streamreplay.batch import Objective
from streamreplay.config.building.river_models import construct_metric
from streamreplay.config.job import Job
from streamreplay.errors import ConfigError
from streamreplay.evaluation import Prequential
from streamreplay.evaluation.river_metrics import MetricSpec, class_index, specs_of

__all__ = ["make_evaluator"]

_KEY = "evaluator.metrics"


def make_evaluator(job: Job, source: Any) -> Prequential:
    """Make a job's evaluator.

    Parameters
    ----------
    job : Job
    source : ArraySource or LineSource
        Who knows what classes are called.

    Raises
    ------
    ConfigError
        There is no such metric, or it cannot score what the job predicts.
    """
    settings = job.evaluator
    metrics = _metrics(settings.metrics)
    try:
        named = specs_of(metrics)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"evaluator.{error}") from None
    for each in named:
        _check(each, job, source)
    return Prequential(
        report_every=settings.report_every,
        window=settings.window,
        fading=settings.fading,
        metrics=metrics,
        label_names=lambda: source.labels.names,
    )


def _metrics(texts: list[str]) -> dict[str, Any]:
    """Return metrics as the log calls them: by class, or as written if they have arguments."""
    metrics: dict[str, Any] = {}
    for text in texts:
        metric = construct_metric(_KEY, text)
        plain = re.fullmatch(r"[\w.]+(\(\s*\))?", text.strip())
        name = type(metric).__name__ if plain else text.strip()
        if name in metrics:
            raise ConfigError(f"{_KEY}: must be different, got {name} twice")
        metrics[name] = metric
    return metrics


def _check(named: MetricSpec, job: Job, source: Any) -> None:
    """Say now what would be found out at the first row."""
    objective: Objective = "classes"
    if job.source.target is not None:
        objective = "numbers"
    elif job.source.multilabel is not None:
        objective = "labels"
    if named.objective != objective:
        hint = {"classes": "label", "numbers": "target", "labels": "multilabel"}[named.objective]
        raise ConfigError(
            f"{_KEY}: {named.name} scores {named.objective}, and the stream has {objective}: see "
            f"source.{hint}"
        )
    coded = getattr(source, "coded", None)  # of rows in memory: all that will come
    if objective != "classes" or coded is None:
        return
    if named.feed == "score" and len(coded.names) > 2:
        raise ConfigError(
            f"{_KEY}: {named.name} is of two classes, and the stream has {len(coded.names)}"
        )
    if named.binary and class_index(named.positive, coded.names) is None:
        raise ConfigError(
            f"{_KEY}: {named.name}: no class of the stream is called {named.positive!r}"
        )
