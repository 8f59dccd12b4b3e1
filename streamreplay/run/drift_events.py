"""Find drifts in reports, and describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamreplay.branches import Branches
from streamreplay.evaluation.drift.monitor import DriftMonitor
from streamreplay.labels import Labels
from streamreplay.pipeline import Pipeline
from streamreplay.records import Report


def asks_to_save(report: Report) -> bool:
    """Return whether a drift in this batch asks for a checkpoint."""
    asked = (action for record in report.metrics for action in record.get("actions", ()))
    return any(action.partition("(")[0].strip() == "checkpoint" for action in asked)


def count_drifts(pipeline: Pipeline) -> int:
    """Return the drifts since the stream began, of all learners."""
    return sum(monitor.drifts for monitor in _monitors(pipeline))


def watched_in_vain(pipeline: Pipeline, labels: Labels) -> list[str]:
    """Return a message for each detector on a class that no row had."""
    detectors = (each for m in _monitors(pipeline) for each in m.unseen_classes(labels))
    found = {each.name: each.on for each in detectors}
    return [
        f"warning: drift {name}: no row was of class {on.partition(':')[2]!r}"
        for name, on in found.items()
    ]


def _monitors(pipeline: Pipeline) -> list[DriftMonitor]:
    learners = pipeline.stages.get("learners")
    chains = learners.branches.values() if isinstance(learners, Branches) else [pipeline.stages]
    drift = (stages.get("drift") for stages in chains)
    return [monitor for monitor in drift if isinstance(monitor, DriftMonitor)]


def drift_message(record: Mapping[str, Any]) -> str:
    """Write a record of kind ``drift`` for people.

    Examples
    --------
    >>> record = {"level": "drift", "position": 10240, "name": "adwin-error", "on": "error"}
    >>> drift_message(record | {"actions": ["replay(2.0, rows=5000)", "checkpoint"]})
    'drift at row 10,240 (adwin-error): replay(2.0, rows=5000), checkpoint'
    """
    learner = f"{record['learner']}, " if "learner" in record else ""
    on = "" if record["name"].endswith(record["on"]) else f", {record['on']}"
    done = f": {', '.join(record['actions'])}" if record["actions"] else ""
    return f"{record['level']} at row {record['position']:,} ({learner}{record['name']}{on}){done}"
