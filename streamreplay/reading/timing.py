"""The timings of a run, as means over parts of its stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamreplay.reading.columns import Floats, number_columns

_MOST = 120  # parts
_LINES = (
    4  # least lines of the log in a part; the line after a round over test rows covers few rows
)
_BY_ROWS = ("latency_ms.", "stages.")  # weighted by rows, except shares, which are by seconds


def timing_columns(records: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """Return means of ``timings.jsonl`` over parts of the stream.

    Parameters
    ----------
    records : sequence of records
        Each with the record before it in the log under ``"#before"``, if there is one. A record is
        taken to describe the time between the two, and stands for records in between that were
        left out.

    Returns
    -------
    dict of str to float64[n]
        ``position`` is the end of a part; ``#rows`` and ``#seconds`` are the rows and the time that
        its records describe. ``rows_per_s`` is their quotient and ``resident_bytes`` the maximum;
        ``replayed`` and ``throttled`` are sums over the records. Shares are weighted by time,
        everything else by rows.

    Examples
    --------
    >>> first = {"position": 100, "elapsed_s": 1.0, "rows_per_s": 100.0}
    >>> second = {"position": 200, "elapsed_s": 4.0, "rows_per_s": 33.3, "#before": first}
    >>> found = timing_columns([first, second])
    >>> found["position"], found["rows_per_s"]
    (array([200.]), array([50.]))
    """
    if not records:
        return {}
    rows, seconds = np.array([_span(record) for record in records]).T
    found = number_columns([{**record, "#before": None} for record in records])
    n = int(np.clip(len(records) // _LINES, 1, _MOST))
    starts = np.linspace(0, len(records), n, endpoint=False).round().astype(int)
    ends = np.append(starts[1:], len(records)) - 1
    total_rows, total_seconds = (np.add.reduceat(each, starts) for each in (rows, seconds))
    made = {
        "position": found["position"][ends],
        "#rows": total_rows,
        "#seconds": total_seconds,
        "rows_per_s": total_rows / np.maximum(total_seconds, 1e-9),
    }
    for name, values in found.items():
        if name == "resident_bytes":
            made[name] = np.fmax.reduceat(values, starts)
        elif name in ("replayed", "throttled"):
            made[name] = np.add.reduceat(np.nan_to_num(values), starts)
        elif name.endswith((".share", "_ms")) or name.startswith(("share.", *_BY_ROWS)):
            weights = seconds if "share" in name else rows
            made[name] = _mean(values, weights, starts)
    return made


def _span(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return the rows and the seconds that a record describes."""
    before = record.get("#before", {"position": 0, "elapsed_s": 0.0})
    rows = float(record["position"] - before["position"])
    seconds = float(record.get("elapsed_s", 0.0) - before.get("elapsed_s", 0.0))
    if seconds < 0 or rows < 0 or "#before" not in record:  # the run was resumed
        speed = record.get("rows_per_s") or 0.0
        seconds = max(rows, 0.0) / speed if speed else 0.0
    return max(rows, 0.0), seconds


def _mean(values: Floats, weights: Floats, starts: np.ndarray[Any, np.dtype[np.int_]]) -> Floats:
    known = np.where(np.isfinite(values), weights, 0.0)
    total = np.add.reduceat(np.where(known > 0, values, 0.0) * known, starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = total / np.add.reduceat(known, starts)
    return mean
