"""The score that a learner is judged by, for each kind of target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamreplay.batch import Objective
from streamreplay.reading.number_text import number, percent


@dataclass(frozen=True)
class Score:
    """A score: its fields in the log, and its names on a page.

    Attributes
    ----------
    name : str
        Field in records of kind ``prequential``.
    title : str
    retained : str
        The corresponding field in records of kind ``retention``.
    retained_title : str
    share : bool
        True for a share from 0 to 1, of which more is better; False for an error.
    baselines : dict of str to str
        Fields with the same score of a baseline, and what the baseline predicts.
    """

    name: str
    title: str
    retained: str
    retained_title: str
    share: bool
    baselines: dict[str, str]

    def baselines_of(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Return the baselines of a prequential record, by field.

        Where labels come late, the last label was not known yet when a row was predicted.
        """
        known = {"last_known": LAST_KNOWN} if "last_known" in record else {}
        found = {key: title for key, title in self.baselines.items() if key in record}
        if known:
            found.pop("no_change", None)
        return {**known, **found}

    def write(self, value: float | None) -> str:
        """Write a value as text."""
        if value is None or not math.isfinite(value):
            return "-"
        return percent(value) if self.share else number(value)

    def better(self, one: float, other: float) -> bool:
        """Return whether one value is better than another."""
        return one > other if self.share else one < other


LAST_KNOWN = "repeating the label known last"

SCORES: dict[Objective, Score] = {
    "classes": Score(
        *("accuracy", "accuracy", "accuracy", "accuracy", True),
        {"no_change": "repeating the last label", "majority": "the most frequent class"},
    ),
    "numbers": Score(
        *("mae", "mean absolute error", "mae", "mean absolute error", False),
        {"no_change": "repeating the last number", "mean": "the mean so far"},
    ),
    "labels": Score(
        *("exact_match", "exact match", "f1_micro", "F1", True),
        {"no_change": "repeating the last labels", "majority": "the labels most rows had"},
    ),
}
"""The score for each kind of target."""


def find_objective(record: Mapping[str, Any]) -> Objective | None:
    """Return the kind of target that a prequential record is about, by the score that it has.

    Examples
    --------
    >>> find_objective({"kind": "prequential", "mae": 0.5})
    'numbers'
    """
    return next((kind for kind, score in SCORES.items() if score.name in record), None)


def sample_name(sample: str) -> str:
    """Return what a sample of rows kept out of learning is called on pages and in the terminal.

    Examples
    --------
    >>> sample_name("test"), sample_name("probe")
    ('test set', 'probe')
    """
    return "test set" if sample == "test" else sample
