"""The last scores of each learner as a table: the end of a run with several learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from streamreplay.plain_text import Row

__all__ = [
    "COLUMNS",
    "SCORES",
    "LastRecords",
    "compare",
    "keep_last",
]

SCORES = ("prequential", "retention")
"""Kinds of records that say how good a learner is."""

LastRecords: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By learner, then by kind: the last record of the log."""

COLUMNS = (
    ("prequential", "accuracy", "accuracy"),
    ("prequential", "accuracy_window", "in window"),
    ("prequential", "kappa", "kappa"),
    ("prequential", "mae", "MAE"),
    ("prequential", "mae_window", "MAE in window"),
    ("prequential", "r2", "R2"),
    ("prequential", "exact_match", "exact match"),
    ("prequential", "f1_micro", "F1"),
    ("prequential", "loss", "loss"),
    ("retention", "accuracy", "retained"),
    ("retention", "mae", "MAE retained"),
    ("retention", "f1_micro", "F1 retained"),
    ("retention", "forgetting", "forgetting"),
    ("prequential", "replayed", "replayed"),
)
"""Kind of record, field and heading of what sums a learner up."""


def keep_last(last: dict[str, dict[str, dict[str, Any]]], record: dict[str, Any]) -> None:
    """Put a record in the place of the last one of its learner and kind, if it says a score.

    Retention is that of the test set, where there is one, and else that of the probe: they are of
    different rows, and take turns in a log.

    Examples
    --------
    >>> last = {}
    >>> keep_last(last, {"kind": "retention", "sample": "test", "accuracy": 0.5})
    >>> keep_last(last, {"kind": "retention", "sample": "probe", "accuracy": 0.75})
    >>> last[""]["retention"]["accuracy"]
    0.5
    """
    kind = record["kind"]
    if kind not in SCORES:
        return
    kinds = last.setdefault(record.get("learner", ""), {})
    if kind not in kinds or not _is_probe(record) or _is_probe(kinds[kind]):
        kinds[kind] = record


def _is_probe(record: Mapping[str, Any]) -> bool:
    return record.get("sample") == "probe"


def compare(last: LastRecords) -> tuple[Row, list[Row]]:
    """Return a header and a row for each learner: its scores at the end, side by side.

    A column is there if any learner has something to say in it. One about the probe says so.

    Examples
    --------
    >>> compare({"a": {"prequential": {"accuracy": 0.5}}, "b": {"prequential": {"accuracy": 0.75}}})
    (('learner', 'accuracy'), [('a', '0.5000'), ('b', '0.7500')])
    """
    header, columns = ["learner"], [list(last)]
    for kind, field, heading in COLUMNS:
        values = [records.get(kind, {}).get(field) for records in last.values()]
        if any(value is not None for value in values):
            probed = any(_is_probe(records.get(kind, {})) for records in last.values())
            header.append(f"{heading} (probe)" if probed else heading)
            columns.append([_written(value) for value in values])
    return tuple(header), list(zip(*columns, strict=True))


def _written(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
