"""The last scores of each learner, and a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from streamreplay.plain_text import Row, score_text

SCORES = ("prequential", "retention")
"""The kinds of records that hold scores of a learner."""

LastRecords: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The last record by learner and kind."""

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
"""The columns of the table: kind of record, field and heading."""


def keep_last(last: dict[str, dict[str, dict[str, Any]]], record: dict[str, Any]) -> None:
    """Replace the last record of a learner and kind by a newer one, if it holds scores.

    A log may have retention records of a test set and of a probe, which are about different rows.
    Those of the test set are kept if there are any.

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
    """Return a header and a row with the last scores of each learner.

    There is a column for each score that any learner has. Columns about the probe are marked.

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
            columns.append([score_text(value) for value in values])
    return tuple(header), list(zip(*columns, strict=True))
