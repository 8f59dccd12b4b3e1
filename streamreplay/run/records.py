"""Predictions and metrics as lines, with the stream's own names for its classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

from streamreplay.batch import Report, Scored
from streamreplay.run.logs import dump_line

__all__ = ["Names", "class_names", "metrics_line", "prediction_lines", "report_lines"]


class Names(Protocol):
    """What the stream calls its classes."""

    @property
    def names(self) -> list[int | str]:
        """All names, in order of their indices."""


def metrics_line(record: dict[str, Any], labels: Names) -> bytes:
    """Write a log record; ``by_class`` goes by name instead of by index."""
    if "by_class" in record:
        record = {**record, "by_class": class_names(record["by_class"], labels.names)}
    return dump_line(record)


def class_names(values: dict[int, Any], names: Sequence[int | str]) -> dict[str, Any]:
    """Replace class indices by names, as JSON's keys; where 1 and "1" meet, the latter is quoted.

    Examples
    --------
    >>> class_names({0: "a", 1: "b", 2: "c"}, ["cat", 1, "1"])
    {'cat': 'a', '1': 'b', '"1"': 'c'}
    """
    numbers = {str(name) for name in names if isinstance(name, int)}
    named: dict[str, Any] = {}
    for index, value in values.items():
        name = names[index] if index < len(names) else index
        clash = isinstance(name, str) and name in numbers
        named[json.dumps(name) if clash else str(name)] = value
    return named


def report_lines(report: Report, labels: Names) -> bytes:
    """Write the predictions of a batch: for each row one line, or one of each learner in turn."""
    if report.by_learner:
        lines = [prediction_lines(s, labels, name) for name, s in report.by_learner.items()]
        return b"".join(chain.from_iterable(zip(*lines, strict=True)))
    return b"" if report.scored is None else b"".join(prediction_lines(report.scored, labels))


def prediction_lines(scored: Scored, labels: Names, learner: str | None = None) -> list[bytes]:
    """Write one line for each row of a batch, with the learner's name if it has one."""
    by = {} if learner is None else {"learner": learner}
    batch = scored.incoming
    names: list[Any] = [*labels.names, None]  # None is found at index -1: none known
    # "" is what stands in a column of strings for a row without an id
    ids = (
        [None] * len(batch)
        if batch.id is None
        else [i if i != "" else None for i in batch.id.tolist()]
    )
    lines = []
    for t, row_id, predicted, probability, y in zip(
        batch.t.tolist(),
        ids,
        scored.prediction.tolist(),
        scored.probability,  # as float32: its digits are fewer than those of the same float64
        batch.y.tolist(),
        strict=True,
    ):
        line = {
            **by,
            "position": t,
            "id": row_id,
            "prediction": names[predicted],
            "probability": probability,
            "label": names[y],
            "correct": predicted == y if y >= 0 else None,
        }
        lines.append(dump_line(line))
    return lines
