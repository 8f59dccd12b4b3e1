"""What the scores of classes, of numbers and of labels share: one score by group of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.tally import Tally
from streamreplay.groups import GroupIndex
from streamreplay.state import PARTS, Fields


class ScoresByGroup:
    """One score of the rows of each task and experience, in total and since the last record.

    Parameters
    ----------
    dtype : dtype
        Type of the sums: int64 counts hits, float64 adds up errors.
    classes : Tally, optional
        Hits by class, which the owner adds rows to: scored as well.
    """

    STATE = Fields(tallies=PARTS)

    def __init__(
        self, dtype: type[np.int64 | np.float64] = np.int64, classes: Tally | None = None
    ) -> None:
        self.tallies: dict[GroupBy, Tally] = {} if classes is None else {"class": classes}
        self.tallies["task"] = Tally(dtype, endless=True)
        self.tallies["experience"] = Tally(dtype, endless=True)

    def add(self, task: NDArray[np.int64], experience: int, hits: NDArray[Any]) -> None:
        """Add rows of one experience: tasks int64[n], hits bool[n] or errors float64[n]."""
        n = len(task)
        self.tallies["task"].add(task, hits)
        one = GroupIndex(np.array([experience]), np.array([n]), np.array([0]), np.arange(n))
        self.tallies["experience"].add_groups(one, hits)

    def mark(self) -> None:
        """Start the recent scores of all groups again."""
        for tally in self.tallies.values():
            tally.mark()

    def fields(self, by: Sequence[GroupBy], score: str) -> dict[str, Any]:
        """Return ``by_task`` and so on: the groupings in ``by`` that have more than the group 0."""
        return {
            f"by_{name}": tally.recent_scores(score)
            for name, tally in self.tallies.items()
            if name in by and (name == "class" or tally.tells_apart)
        }


def with_variants(scores: Mapping[str, Any], **variants: Mapping[str, Any]) -> dict[str, Any]:
    """Return each score followed by its variants.

    Examples
    --------
    >>> with_variants({"mae": 1.0}, window={"mae": 2.0})
    {'mae': 1.0, 'mae_window': 2.0}
    """
    found: dict[str, Any] = {}
    for name, score in scores.items():
        found[name] = score
        found |= {f"{name}_{variant}": other[name] for variant, other in variants.items()}
    return found
