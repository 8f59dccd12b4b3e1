"""The main score of a learner, next to those of baselines, which need no model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamreplay.plain_text import score_text

LAST_KNOWN = "repeating the label known last"

BASELINES: Mapping[str, Mapping[str, str]] = {
    "accuracy": {"no_change": "repeating the last label", "majority": "the most frequent class"},
    "mae": {"no_change": "repeating the last number", "mean": "the mean so far"},
    "exact_match": {
        "no_change": "repeating the last labels",
        "majority": "the labels most rows had",
    },
}
"""The main scores, by their fields, each with the fields of its baselines and what they predict."""

ERRORS = ("mae",)
"""The main scores of which less is better."""

_WORSE = "worse than doing nothing"


def main_score(record: Mapping[str, Any]) -> str | None:
    """Return the field of the main score of a prequential record; None if it has no value.

    Examples
    --------
    >>> main_score({"rows": 3, "mae": 0.5, "mse": 0.25})
    'mae'
    """
    return next((name for name in BASELINES if record.get(name) is not None), None)


def baselines_of(record: Mapping[str, Any], score: str) -> dict[str, str]:
    """Return the baselines that a prequential record has: their fields, and what they predict.

    Where labels come late, the last label was not known yet when a row was predicted.

    Examples
    --------
    >>> late = {"accuracy": 0.5, "no_change": {}, "majority": {}, "last_known": {}}
    >>> [*baselines_of(late, "accuracy")]
    ['last_known', 'majority']
    """
    found = {key: title for key, title in BASELINES[score].items() if key in record}
    if "last_known" in record:
        found.pop("no_change", None)
        return {"last_known": LAST_KNOWN, **found}
    return found


def baseline_records(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the records of the baselines of a prequential record, by what they predict.

    Examples
    --------
    >>> baseline_records({"accuracy": 0.5, "majority": {"accuracy": 0.75}})
    {'the most frequent class': {'accuracy': 0.75}}
    """
    score = main_score(record)
    if score is None:
        return {}
    found = {title: record[key] for key, title in baselines_of(record, score).items()}
    return {title: each for title, each in found.items() if each.get(score) is not None}


def is_worse(record: Mapping[str, Any]) -> bool:
    """Return whether a baseline has a better main score than the model, over all rows so far.

    Examples
    --------
    >>> is_worse({"accuracy": 0.5, "majority": {"accuracy": 0.75}})
    True
    """
    score = main_score(record)
    if score is None:
        return False
    sign = -1 if score in ERRORS else 1
    baselines = baseline_records(record).values()
    return any(sign * each[score] > sign * record[score] for each in baselines)


def headline_text(record: Mapping[str, Any]) -> str:
    """Write the main score of a prequential record with its baselines; "" if it has no value.

    Examples
    --------
    >>> record = {"accuracy": 0.5, "majority": {"accuracy": 0.25}}
    >>> headline_text(record)
    'accuracy 0.5000, the most frequent class 0.2500'
    >>> headline_text(record | {"no_change": {"accuracy": 0.75}}).rpartition(", ")[2]
    'the most frequent class 0.2500: the model is worse than doing nothing'
    """
    score = main_score(record)
    if score is None:
        return ""
    parts = [f"{_name(score)} {score_text(record[score])}", *_baseline_texts(record, score)]
    return ", ".join(parts) + (f": the model is {_WORSE}" if is_worse(record) else "")


def several_text(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the baselines of several learners, and which of these are worse; "" without any.

    Parameters
    ----------
    records : mapping of str to dict
        The last prequential record of each learner, by its name.

    Examples
    --------
    >>> good, bad = ({"accuracy": a, "majority": {"accuracy": 0.5}} for a in (0.6, 0.4))
    >>> several_text({"a": good, "b": bad, "c": bad})
    'accuracy without a model: the most frequent class 0.5000; worse than doing nothing: b, c'
    """
    record = next((each for each in records.values() if baseline_records(each)), {})
    score = main_score(record)
    if score is None:
        return ""
    worse = ", ".join(name for name, each in records.items() if is_worse(each))
    text = f"{_name(score)} without a model: {', '.join(_baseline_texts(record, score))}"
    return text + (f"; {_WORSE}: {worse}" if worse else "")


def _name(score: str) -> str:
    return score.replace("_", " ")


def _baseline_texts(record: Mapping[str, Any], score: str) -> list[str]:
    found = baseline_records(record)
    return [f"{title} {score_text(each[score])}" for title, each in found.items()]
