"""Build the stages of a stream whose labels come late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from streamreplay.config.job import LabelsSection
from streamreplay.errors import ConfigError
from streamreplay.evaluation.label_latency import LabelLatency
from streamreplay.evaluation.prequential import Prequential
from streamreplay.ingest.connect.jsonl import JsonlSource
from streamreplay.ingest.delayed_labels import DelayedLabels
from streamreplay.ingest.late_labels import LateLabels
from streamreplay.learners.verification import Verification
from streamreplay.stage import Source, Stage

LateStage: TypeAlias = LateLabels | DelayedLabels


def make_late(
    settings: LabelsSection,
    source: Source,
    name: str,
    on_dead: Callable[[dict[str, Any]], None] | None,
) -> LateStage | None:
    """Return the stage that joins late labels, or delays labels; None if they come in time.

    Parameters
    ----------
    settings : LabelsSection
    source : Source
    name : str
        What messages call the source.
    on_dead : callable, optional
        Called with each label that has no event.

    Raises
    ------
    ConfigError
        Keys do not go together.
    """
    if settings.late:
        if isinstance(source, JsonlSource):
            source.bare_labels = True
        tell = None
        if on_dead is not None:
            put = on_dead
            tell = lambda letter: put({"source": name, **letter})  # noqa: E731
        return LateLabels(settings.max_pending, settings.max_age, on_dead=tell)
    if settings.max_age is not None:
        raise ConfigError(f"labels.max_age: goes with labels.late = true, got {settings.max_age}")
    if not settings.delay:
        return None
    return DelayedLabels(settings.delay, lambda: getattr(source, "schema", None))


def scored_by(late: LateStage | None, evaluator: Prequential) -> dict[str, Stage[Any, Any]]:
    """Return the stages that score a learner's predictions, by name."""
    if late is None:
        return {"evaluator": evaluator}
    verification = Verification()
    stages: dict[str, Stage[Any, Any]] = {"verification": verification, "evaluator": evaluator}
    if isinstance(late, LateLabels):
        joins = late
        stages["latency"] = LabelLatency(
            lambda: {
                "pending": joins.rows_held,
                **joins.latency.record(),
                **verification.estimate,
            }
        )
    return stages
