"""How a model did row by row, or from one record to the next, as the logs tell it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.errors import RunFolderError
from streamreplay.log.reader import NumberedLine, number_lines, parse_line, segments
from streamreplay.reading.bootstrap import Units

__all__ = [
    "METRICS",
    "Metric",
    "Outcomes",
    "RunningTotals",
    "align",
    "common_positions",
    "read_predictions",
]

_LINES = 20_000  # parsed at once


@dataclass(frozen=True)
class Metric:
    """A score that is a mean over rows.

    Attributes
    ----------
    noun : str
        What it is called in a sentence.
    by_row : str or None
        The field of ``predictions.jsonl`` with its value at each row.
    counts : bool
        Whether a row adds 0 or 1, so that sums are whole.
    more_is_better : bool
    """

    noun: str
    by_row: str | None = None
    counts: bool = False
    more_is_better: bool = False


METRICS = {
    "accuracy": Metric("accuracy", "correct", counts=True, more_is_better=True),
    "exact_match": Metric("exact match", "correct", counts=True, more_is_better=True),
    "mae": Metric("mean absolute error", "absolute_error"),
    "mse": Metric("mean squared error"),
    "loss": Metric("loss"),
    "brier": Metric("Brier score"),
    "hamming_loss": Metric("Hamming loss"),
}
"""By field of a prequential record; the first that a record has sums it up."""


@dataclass(frozen=True)
class Outcomes:
    """One learner's outcomes along the stream.

    Attributes
    ----------
    data : str
        The log they are from: ``predictions`` or ``metrics``.
    positions : ndarray of int64[n]
        Each row's, or how many rows of the stream there were at each record; rising.
    marks : ndarray of int64[n]
        What the stream had there: equal marks at all positions, equal streams.
    sums : ndarray of float64[n]
        The score of the row, or the sum of the scores up to the record.
    scored : ndarray of float64[n]
        Whether the row was scored, or how many rows were up to the record.
    cut : bool
        Whether records from before the first one are gone.
    """

    data: str
    positions: NDArray[np.int64]
    marks: NDArray[np.int64]
    sums: NDArray[np.float64]
    scored: NDArray[np.float64]
    cut: bool = False

    def at(self, positions: NDArray[np.int64]) -> Outcomes:
        """Keep some of the positions."""
        if len(positions) == len(self.positions):
            return self
        there = np.isin(self.positions, positions)
        return Outcomes(
            self.data,
            self.positions[there],
            self.marks[there],
            self.sums[there],
            self.scored[there],
            self.cut,
        )

    def steps(self, *, cut: bool | None = None) -> Units:
        """Return sum and rows of each step: of each row, or between one record and the next.

        Parameters
        ----------
        cut : bool, optional
            Leave out what lies before the first record, by default where earlier ones are gone.
        """
        if self.data == "predictions":
            return Units(self.sums, self.scored)
        before = [] if (self.cut if cut is None else cut) else [0.0]
        return Units(np.diff(self.sums, prepend=before), np.diff(self.scored, prepend=before))


class RunningTotals:
    """Collects, record by record, what a score's sum was at each position.

    Parameters
    ----------
    field : str
        One of `METRICS`.
    cut : bool
        Whether the log's oldest records are gone.
    """

    def __init__(self, field: str, *, cut: bool) -> None:
        self._field = field
        self._cut = cut
        self._rows: dict[int, tuple[int, float, int]] = {}  # by position: mark, sum, scored

    def add(self, record: dict[str, Any]) -> None:
        """Take in a prequential record; the later one of a position holds."""
        score = record.get(self._field)
        scored = record["rows"] - record.get("unpredicted", 0)
        total = 0.0 if score is None else score * scored
        if METRICS[self._field].counts:
            total = float(round(total))
        self._rows[record["position"]] = (_mark(record), total, scored)

    def outcomes(self) -> Outcomes:
        """Return what was collected."""
        marks, sums, scored = zip(*self._rows.values(), strict=True) if self._rows else ((),) * 3
        return Outcomes(
            "metrics",
            np.array([*self._rows], np.int64),
            np.array(marks, np.int64),
            np.array(sums, np.float64),
            np.array(scored, np.float64),
            self._cut,
        )


def _mark(record: dict[str, Any]) -> int:
    """Make one number of what a record says about the stream alone."""
    baselines = [record.get(name) for name in ("no_change", "majority", "mean")]
    groups = record.get("by_class") or record.get("by_label") or {}
    counts = {str(name): group["rows"] for name, group in groups.items() if group["rows"]}
    whole = [
        {key: value for key, value in (baseline or {}).items() if not key.endswith("_window")}
        for baseline in baselines
    ]
    facts = [record["rows"], record["unlabelled"], whole, counts]
    return hash(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS))


def read_predictions(run: Path, field: str) -> dict[str, Outcomes]:
    """Read the outcome of each row, by learner ("" where there is one); none if not kept.

    Parameters
    ----------
    run : Path
    field : str
        One of `METRICS` that has a value at each row.

    Raises
    ------
    RunFolderError
        A line is damaged, or has no such value.
    """
    by_row = METRICS[field].by_row
    if by_row is None or not segments(run, "predictions"):
        return {}
    parts: dict[str, list[Outcomes]] = {}
    for records in _parsed(number_lines(run, "predictions")):
        for learner, own in _by_learner(records).items():
            try:
                parts.setdefault(learner, []).append(_rows(own, by_row))
            except KeyError as missing:
                raise RunFolderError(f"{run}: predictions have no field {missing}") from None
    return {learner: _joined(own) for learner, own in parts.items()}


def _rows(records: Sequence[dict[str, Any]], field: str) -> Outcomes:
    truth = "label" if "label" in records[0] else "target"
    values = np.array([record[field] for record in records], np.float64)  # null becomes NaN
    scored = ~np.isnan(values)
    return Outcomes(
        "predictions",
        np.array([record["position"] for record in records], np.int64),
        np.array([_hash(record[truth]) for record in records], np.int64),
        np.where(scored, values, 0.0),
        scored.astype(np.float64),
    )


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    return Outcomes(
        "predictions",
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.marks for part in parts]),
        np.concatenate([part.sums for part in parts]),
        np.concatenate([part.scored for part in parts]),
    )


def _by_learner(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    if records and "learner" not in records[0]:
        return {"": records}
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(record["learner"], []).append(record)
    return found


def _hash(label: Any) -> int:
    # not of the label itself: 1 and True, or -1 and -2, have the same hash
    return hash(orjson.dumps(label, option=orjson.OPT_SORT_KEYS))


def _parsed(lines: Iterable[NumberedLine]) -> Iterator[list[dict[str, Any]]]:
    """Parse many lines at once, which takes half the time; the slow way finds the damaged one."""
    rest = iter(lines)
    while lot := list(islice(rest, _LINES)):
        try:
            yield orjson.loads(b"[" + b",".join(line for _, _, line in lot) + b"]")
        except orjson.JSONDecodeError:
            yield [parse_line(line, path, number) for path, number, line in lot]


def common_positions(found: Sequence[Outcomes]) -> NDArray[np.int64]:
    """Return the positions that all have."""
    common = found[0].positions
    for each in found[1:]:
        if not np.array_equal(common, each.positions):
            common = np.intersect1d(common, each.positions)
    return common


def align(found: Sequence[Outcomes]) -> list[Outcomes] | None:
    """Cut outcomes to the positions that all have; None if the streams differ there.

    Also None where they have no position in common: nothing then tells that they are the same.
    """
    common = common_positions(found)
    cut = [each.at(common) for each in found]
    same = all(np.array_equal(cut[0].marks, each.marks) for each in cut[1:])
    return cut if len(common) and same else None
