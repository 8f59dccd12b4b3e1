"""The sum of a record of kind ``rows``, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamreplay.plain_text import counted
from streamreplay.put_aside import reasons_text

FATES = {
    "learned": "learned",
    "predicted_only": "predicted only",
    "withheld": "withheld",
    "pending": "pending",
    "skipped": "skipped",
    "put_aside": "put aside",
}
"""The fields that add up to ``rows_in``, and what they are called."""


_LABELS = {"joined": "joined", "repeated": "repeated", "without_event": "without event"}


def sum_text(record: Mapping[str, Any], *, why: bool = True) -> str:
    """Write all rows that came as a sum, and why rows were put aside; terms of 0 are left out.

    Examples
    --------
    >>> record = {"rows_in": 1203, "learned": 1200, "pending": 0, "put_aside": 3}
    >>> record |= {"put_aside_share": 0.0025, "first_line": 7}
    >>> sum_text(record | {"put_aside_by_reason": {"not UTF-8": 3}})
    '1,203 in = 1,200 learned + 3 put aside (0.2 %: not UTF-8; the first, line 7)'
    """
    terms = [f"{record[key]:,} {name}" for key, name in FATES.items() if record.get(key)]
    reasons = _why_text(record) if why else ""
    return f"{record['rows_in']:,} in = {' + '.join(terms) or '0'}{reasons}"


def labels_text(record: Mapping[str, Any]) -> str:
    """Write the sum of the records that bring labels of earlier rows; "" if there are none.

    Examples
    --------
    >>> labels_text({"label_records": 5, "joined": 3, "repeated": 0, "without_event": 2})
    '5 labels = 3 joined + 2 without event'
    >>> labels_text({"label_records": 1, "joined": 1, "given_up": 4})
    '1 label = 1 joined; 4 events given up'
    """
    if "label_records" not in record:
        return ""
    terms = [f"{record[key]:,} {name}" for key, name in _LABELS.items() if record.get(key)]
    gone = f"; {counted(record['given_up'], 'event')} given up" if record.get("given_up") else ""
    labels = counted(record["label_records"], "label")
    return f"{labels} = {' + '.join(terms) or '0'}{gone}"


def latency_text(record: Mapping[str, Any]) -> str:
    """Write how late labels came, and how many rows without one are likely to be right.

    Examples
    --------
    >>> late = {"mean": 9.5, "median_window": 8.0, "q90_window": 20.0, "max": 1200.0}
    >>> latency_text({"latency_rows": late, "latency_seconds": late})
    'median 8 rows (8 s), at most 1,200 rows (1,200 s)'
    >>> latency_text({"estimated_accuracy": 0.679, "estimated_rows": 170})
    'of 170 pending an estimated 67.9 % right'
    """
    parts = []
    rows, seconds = record.get("latency_rows"), record.get("latency_seconds")
    for key, name in (("median_window", "median"), ("max", "at most")):
        if rows is not None:
            behind = f" ({seconds[key]:,.0f} s)" if seconds is not None else ""
            parts.append(f"{name} {rows[key]:,.0f} rows{behind}")
    if "estimated_rows" in record:
        share = share_text(record["estimated_accuracy"])
        parts.append(f"of {record['estimated_rows']:,} pending an estimated {share} right")
    return ", ".join(parts)


def put_aside_text(record: Mapping[str, Any]) -> str:
    """Write how many rows were put aside, of how many, and why; "" if none was.

    Examples
    --------
    >>> put_aside_text(
    ...     {"rows_in": 9, "put_aside": 3, "put_aside_share": 1 / 3, "first_line": 7}
    ...     | {"put_aside_by_reason": {"not UTF-8": 3}}
    ... )
    '3 of 9 rows put aside (33.3 %: not UTF-8; the first, line 7)'
    """
    if not record["put_aside"]:
        return ""
    rows = counted(record["rows_in"], "row")
    return f"{record['put_aside']:,} of {rows} put aside{_why_text(record)}"


def _why_text(record: Mapping[str, Any]) -> str:
    if not record["put_aside"]:
        return ""
    why = reasons_text(record["put_aside_by_reason"], record["first_line"])
    return f" ({share_text(record['put_aside_share'])}: {why})"


def share_text(share: float) -> str:
    """Write a share in percent, with digits enough to tell it from 0.

    Examples
    --------
    >>> share_text(0.0704), share_text(0.00001), share_text(0.0)
    ('7.0 %', '0.001 %', '0 %')
    """
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.1g} %"
