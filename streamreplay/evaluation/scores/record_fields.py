"""What the scores of classes, of numbers and of labels share: fields of their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.tally import Tally
from streamreplay.groups import GroupIndex

__all__ = ["group_fields", "one_group", "with_variants"]


def group_fields(
    groups: Mapping[GroupBy, Tally], by: Sequence[GroupBy], score: str
) -> dict[str, Any]:
    """Return ``by_task`` and so on: the groupings in ``by`` that have more than the group 0."""
    return {
        f"by_{name}": tally.recent_scores(score)
        for name, tally in groups.items()
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


def one_group(id: int, n: int) -> GroupIndex:
    """Return the index of n rows of one group."""
    return GroupIndex(np.array([id]), np.array([n]), np.array([0]), np.arange(n))
