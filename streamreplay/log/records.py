"""Predictions and metrics as lines, with the names that the stream gives to its classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.labels import Labels, Name
from streamreplay.late import Late
from streamreplay.log.lines import VERSION, dump_line
from streamreplay.records import LateRows, Report, Scored


def named_record(record: Mapping[str, Any], labels: Labels) -> dict[str, Any]:
    """Return a log record as it is written to the log.

    The version of the log's format follows the record's kind. Classes, or the columns of a target,
    have their names for keys in place of their indices.
    """
    named: dict[str, Any] = {}
    for key, value in record.items():
        named[key] = value
        if key == "kind":
            named["v"] = VERSION
    for key in ("by_class", "by_output", "by_label"):
        if key in record:
            named[key] = class_names(record[key], labels.names)
    return named


def class_names(values: dict[int, Any], names: Sequence[int | str]) -> dict[str, Any]:
    """Replace class indices by names as JSON keys; with classes 1 and "1", the latter is quoted.

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


def report_lines(report: Report) -> bytes:
    """Return the predictions of a batch as lines: one for each row, or for each row and learner."""
    if report.by_learner:
        lines = [
            prediction_lines(scored, learner=name) for name, scored in report.by_learner.items()
        ]
        return b"".join(chain.from_iterable(zip(*lines, strict=True)))
    if report.scored is None:
        return b""
    return b"".join(prediction_lines(report.scored))


def prediction_lines(scored: Scored, *, learner: str | None = None) -> list[bytes]:
    """Return one line for each row of a batch, with the learner's name if it has one.

    Classes, or the columns of a target, have the names that the batch gives them; without names
    they go by index.
    """
    by = {} if learner is None else {"learner": learner}
    lines = _class_lines(scored) if scored.objective == "classes" else _output_lines(scored)
    withheld = scored.incoming.withheld
    if withheld is not None:  # the field is absent for rows that are learned
        lines = (
            {**line, "withheld": True} if apart else line
            for line, apart in zip(lines, withheld.tolist(), strict=True)
        )
    if scored.late is not None:
        lines = _late_lines(lines, scored.late)
    return [dump_line({**by, **line}) for line in lines]


def _late_lines(lines: Iterable[dict[str, Any]], late: LateRows) -> Iterator[dict[str, Any]]:
    """Yield the lines of events, and those of labels with the position of their event."""
    rows = zip(lines, late.kind.tolist(), late.event.tolist(), strict=True)
    for line, kind, event in rows:
        if kind != Late.NOTHING:
            yield line if kind == Late.EVENT else {**line, "event": event}


def _output_lines(scored: Scored) -> Iterator[dict[str, Any]]:
    batch, describe = scored.incoming, _numbers if scored.objective == "numbers" else _labels
    names: Sequence[Any] = list(map(str, range(scored.prediction.shape[1])))
    if batch.labels is not None:
        names = batch.labels.names
    known = batch.y >= 0
    for i, (t, row_id) in enumerate(zip(batch.t.tolist(), _ids(batch), strict=True)):
        target = None if batch.target is None or not known[i] else batch.target[i]
        row = scored.prediction[i], scored.probability[i], target
        yield {"position": t, "id": row_id, **describe(names, *row)}


def _class_lines(scored: Scored) -> Iterator[dict[str, Any]]:
    batch = scored.incoming
    names = [*_names_of(batch.labels, batch.y, scored.prediction), None]  # None is at index -1
    for t, row_id, predicted, probability, y in zip(
        batch.t.tolist(),
        _ids(batch),
        scored.prediction.tolist(),
        scored.probability,  # as float32: its digits are fewer than those of the same float64
        batch.y.tolist(),
        strict=True,
    ):
        yield {
            "position": t,
            "id": row_id,
            "prediction": names[predicted],
            "probability": probability,
            "label": names[y],
            "correct": predicted == y if y >= 0 else None,
        }


def _names_of(labels: Labels | None, *indices: NDArray[np.int64]) -> list[Name]:
    if labels is not None:
        return labels.names
    return list(range(1 + max(int(column.max(initial=-1)) for column in indices)))


def _numbers(names: Sequence[str], said: Any, _: Any, target: Any) -> dict[str, Any]:
    found = said.tolist(), None if target is None else target.tolist()
    prediction, true = (
        None
        if each is None
        else each[0]
        if len(names) == 1
        else dict(zip(names, each, strict=True))
        for each in found
    )
    error = None if target is None else float(abs(said - target).mean())  # NaN becomes null
    return {"prediction": prediction, "target": true, "absolute_error": error}


def _labels(names: Sequence[str], said: Any, probability: Any, target: Any) -> dict[str, Any]:
    return {
        "prediction": [name for name, present in zip(names, said, strict=True) if present],
        "probability": dict(zip(names, probability, strict=True)),
        "label": None
        if target is None
        else [name for name, present in zip(names, target, strict=True) if present],
        "correct": None if target is None else bool((said == target).all()),
    }


def _ids(batch: Batch) -> list[str | None]:
    if batch.id is None:
        return [None] * len(batch)
    return [each or None for each in batch.id.tolist()]
