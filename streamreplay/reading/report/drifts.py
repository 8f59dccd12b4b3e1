"""The drifts of a learner's log: in which direction, by how much, and which are of its warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamreplay.reading.report.curves import LearnerCurves


_WARM_UP = 5000  # rows, or a tenth of the stream if that is more, in which a model may warm up


@dataclass(frozen=True)
class Drift:
    """A record of kind ``drift``, and what it says about the model.

    Attributes
    ----------
    record : dict
    change : float or None
        By how much the mean of the watched number rose; None in logs of older versions.
    warm_up : bool
        Whether the error or the loss fell while the model first learned.
    """

    record: dict[str, Any]
    change: float | None
    warm_up: bool

    @property
    def is_drift(self) -> bool:
        """Whether it is a drift, not a warning."""
        return self.record.get("level") == "drift"

    @property
    def direction(self) -> str:
        """``rose``, ``fell``, or "" if it is not known."""
        if not self.change:
            return ""
        return "rose" if self.change > 0 else "fell"


def read_drifts(learner: LearnerCurves) -> list[Drift]:
    """Return the drifts and warnings of a learner, in the order of the log.

    A model that learns makes its own error fall, and a detector of changes in both directions calls
    that a drift. So a fall of the error or the loss is of the warm-up if it comes before any rise,
    and in the first 5,000 rows or the first tenth of the stream.
    """
    found: list[Drift] = []
    until = max(_WARM_UP, learner.prequential["position"] // 10)
    rose = False
    for record in learner.drifts:
        change = _change(record)
        of_model = record.get("on") in ("error", "loss") and change is not None
        early = record["position"] <= until and not rose
        drift = Drift(record, change, warm_up=bool(of_model and early and (change or 0) < 0))
        rose = rose or bool(drift.is_drift and of_model and (change or 0) > 0)
        found.append(drift)
    return found


def _change(record: dict[str, Any]) -> float | None:
    before, after = record.get("before"), record.get("after")
    return None if before is None or after is None else float(after) - float(before)


def count_warm_up(drifts: Sequence[Drift]) -> int:
    """Return how many drifts, warnings left out, are of the warm-up."""
    return sum(drift.is_drift and drift.warm_up for drift in drifts)
