"""The score of a learner row by row, or from one record to the next, from its logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.errors import RunFolderError
from streamreplay.log.lines import NumberedLine, number_lines, parse_line, segments
from streamreplay.reading.bootstrap import Units

_LINES = 20_000  # parsed at once


@dataclass(frozen=True)
class Metric:
    """A score that is a mean over rows.

    Attributes
    ----------
    noun : str
        Its name in a sentence.
    by_row : str or None
        The field of ``predictions.jsonl`` with its value at each row.
    counts : bool
        Whether each row counts 0 or 1, so that sums are integers.
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
"""By field of a prequential record."""


@dataclass(frozen=True)
class Outcomes:
    """One learner's scores along the stream.

    Attributes
    ----------
    data : str
        The log they are from: ``predictions`` or ``metrics``.
    positions : ndarray of int64[n]
        The position of each row, or the number of rows at each record; increasing.
    marks : ndarray of int64[n]
        Hashes of the stream's content there: if all marks are equal, the streams are.
    sums : ndarray of float64[n]
        The score of each row, or the sum of the scores up to each record.
    scored : ndarray of float64[n]
        1 for a row that was scored, or the number of scored rows up to each record.
    cut : bool
        Whether records before the first one were deleted.
    """

    data: str
    positions: NDArray[np.int64]
    marks: NDArray[np.int64]
    sums: NDArray[np.float64]
    scored: NDArray[np.float64]
    cut: bool = False

    def at(self, positions: NDArray[np.int64]) -> Outcomes:
        """Return the outcomes at some of the positions."""
        if len(positions) == len(self.positions):
            return self
        there = np.isin(self.positions, positions)
        positions, marks = self.positions[there], self.marks[there]
        sums, scored = self.sums[there], self.scored[there]
        return replace(self, positions=positions, marks=marks, sums=sums, scored=scored)

    def steps(self, *, cut: bool | None = None) -> Units:
        """Return the sum and the rows of each step: of each row, or between two records.

        Parameters
        ----------
        cut : bool, optional
            Leave out the rows before the first record; by default, if earlier records were deleted.
        """
        if self.data == "predictions":
            return Units(self.sums, self.scored)
        before = [] if (self.cut if cut is None else cut) else [0.0]
        return Units(np.diff(self.sums, prepend=before), np.diff(self.scored, prepend=before))


class RunningTotals:
    """Collects the sum of a score at each position, record by record.

    Parameters
    ----------
    field : str
        One of `METRICS`.
    cut : bool
        Whether the oldest records of the log were deleted.
    """

    def __init__(self, field: str, *, cut: bool) -> None:
        self._field = field
        self._cut = cut
        self._rows: dict[int, tuple[int, float, int]] = {}  # by position: mark, sum, scored

    def add(self, record: dict[str, Any]) -> None:
        """Add a prequential record; it replaces an earlier one of the same position."""
        score = record.get(self._field)
        scored = record["rows"] - record.get("unpredicted", 0)
        total = 0.0 if score is None else score * scored
        if METRICS[self._field].counts:
            total = float(round(total))
        self._rows[record["position"]] = (_mark(record), total, scored)

    def outcomes(self) -> Outcomes:
        """Return the collected sums."""
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
    """Return a hash of the fields of a record that depend on the stream only."""
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
    """Return the outcomes by row of each learner; empty if predictions were not kept.

    Parameters
    ----------
    run : Path
    field : str
        One of `METRICS`; the result is empty if predictions do not have it.

    Raises
    ------
    RunFolderError
        A line is damaged, or lacks the field.
    """
    by_row = METRICS[field].by_row
    if by_row is None or not segments(run, "predictions"):
        return {}
    parts: dict[str, list[tuple[NDArray[Any], ...]]] = {}
    for records in _parsed(number_lines(run, "predictions")):
        for learner, own in _by_learner(records).items():
            try:
                parts.setdefault(learner, []).append(_columns(own, by_row))
            except KeyError as missing:
                raise RunFolderError(f"{run}: predictions have no field {missing}") from None
            except (TypeError, ValueError, OverflowError) as error:
                raise RunFolderError(f"{run}: predictions are damaged: {error}") from None
    return {learner: _joined(own) for learner, own in parts.items()}


def _columns(records: Sequence[dict[str, Any]], field: str) -> tuple[NDArray[Any], ...]:
    """Return positions, marks, sums and scored rows, as `Outcomes` has them."""
    truth = "label" if "label" in records[0] else "target"
    values = np.array([record[field] for record in records], np.float64)  # null becomes NaN
    scored = ~np.isnan(values)
    return (
        np.array([record["position"] for record in records], np.int64),
        np.array([_hash(record[truth]) for record in records], np.int64),
        np.where(scored, values, 0.0),
        scored.astype(np.float64),
    )


def _joined(parts: Sequence[tuple[NDArray[Any], ...]]) -> Outcomes:
    positions, marks, sums, scored = map(np.concatenate, zip(*parts, strict=True))
    return Outcomes("predictions", positions, marks, sums, scored)


def _by_learner(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    if records and "learner" not in records[0]:
        return {"": records}
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(record["learner"], []).append(record)
    return found


def _hash(label: Any) -> int:
    # the hash of the label itself is the same for 1 and True, and for -1 and -2
    return hash(orjson.dumps(label, option=orjson.OPT_SORT_KEYS))


def _parsed(lines: Iterable[NumberedLine]) -> Iterator[list[dict[str, Any]]]:
    """Parse many lines at once, which is twice as fast; one by one only to find a damaged line."""
    rest = iter(lines)
    while lot := list(islice(rest, _LINES)):
        try:
            yield orjson.loads(b"[" + b",".join(line for _, _, line in lot) + b"]")
        except orjson.JSONDecodeError:
            yield [parse_line(line, path, number) for path, number, line in lot]


def common_positions(found: Sequence[Outcomes]) -> NDArray[np.int64]:
    """Return the positions that are in all outcomes."""
    common = found[0].positions
    for each in found[1:]:
        if not np.array_equal(common, each.positions):
            common = np.intersect1d(common, each.positions)
    return common


def align(found: Sequence[Outcomes]) -> list[Outcomes] | None:
    """Return the outcomes at their common positions; None if the streams differ there.

    The result is also None without a common position, since the streams may then differ.
    """
    common = common_positions(found)
    cut = [each.at(common) for each in found]
    same = all(np.array_equal(cut[0].marks, each.marks) for each in cut[1:])
    return cut if len(common) and same else None
