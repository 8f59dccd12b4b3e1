"""Streams of JSON objects, one a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from streamreplay.errors import CheckpointError
from streamreplay.ingest.connect.line_source import BOM, LineSource
from streamreplay.ingest.dead_letters import DeadLetters, Fault
from streamreplay.ingest.decode.json_values import check_shape, flatten, loads_with_nan
from streamreplay.ingest.decode.options import FieldNames, SourceOptions
from streamreplay.ingest.decode.rows import Columns, Row
from streamreplay.ingest.decode.targets import TargetFields, row_weight, row_weights, targets_of
from streamreplay.ingest.decode.values import (
    BadRecord,
    integer,
    integers,
    json_label,
    json_labels,
    number,
    pack,
    refuse_utf16,
    row_id,
    row_ids,
    seconds,
    shown,
    times,
)
from streamreplay.labels import Labels, Name
from streamreplay.state import State, expect

_FALL_BACK = (BadRecord, ValueError, TypeError, KeyError, AttributeError)


class JsonlSource(LineSource):
    r"""Rows from JSON objects, one a line.

    A line that cannot be read goes to ``on_dead``, is counted in `dead`, and the stream goes on.
    Blank lines are skipped.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input. Data compressed by gzip, zstd, bzip2 or xz are told by their first
        bytes.
    features : sequence of str, optional
        The fields to learn from: numbers, or one field with an array of numbers. Left out, the
        first readable record decides: its field ``x`` if that is an array, else all its numeric
        fields but the ones named below, in order.
    label : str or False, optional
        The field with the label, a string or an integer; false or "" if there is none. Left out,
        it is ``y``, or none with a target.
    target : str or sequence of str, optional
        Instead of a label: the fields with the numbers to predict. A record may say nothing of any
        of them.
    multilabel : sequence of str or int, optional
        Instead of a label: all labels that a row may have, any number of them at once. Each is a
        field with 0 or 1; or, if ``label`` is given, that field has a list of those it has.
    weight : str, optional
        The field that says how much a row's loss counts, at least 0; 1 where it is absent.
    task, experience, id, time : str
        Fields with an integer, an integer, an integer or a string, and seconds since 1970 or an
        ISO 8601 string. Each may be absent.
    batch_size : int
        Most rows in a batch. A batch ends early at a change of experience.
    max_wait : float, optional
        Seconds after which a batch from a pipe goes out though it is not full; None: never.
    limit : int, optional
        Rows of the whole stream to yield, those before a resume counted.
    strict : bool
        Raise at the first line that cannot be read.
    allow_nan : bool
        Take missing features as NaN, and keep NaN and infinities.
    max_line_bytes : int
        A longer line cannot be read.
    on_dead : callable, optional
        Called with a dict for each line that cannot be read, see `DeadLetters`.
    stop : callable, optional
        Asked while waiting for a pipe: if true, iterating ends at once. Rows that were read but
        not yielded come first when it goes on.
    labels : Labels, optional
        Names known from the start, to which new ones are added.

    Raises
    ------
    SourceError
        While iterating: the file cannot be read, is cut short, or is not the one learned from.
    RecordError
        While iterating, if strict.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows.jsonl"
    >>> _ = path.write_text('{"x": [1, 2], "y": "cat"}\n{"x": [3, 4], "y": "dog"}\n{"x": 5}\n')
    >>> source = JsonlSource(path)
    >>> for batch in source:
    ...     print(batch.x.tolist(), batch.y.tolist())
    [[1.0, 2.0], [3.0, 4.0]] [0, 1]
    >>> source.labels.names, source.dead
    (['cat', 'dog'], 1)
    """

    feature_names: list[str] | None = None
    feature_shape: tuple[int, ...] | None = None
    """The shape of a row's features; None until the first row."""
    left_out: Sequence[str] = ()

    def __init__(  # noqa: PLR0913 - keywords, each an option of its own
        self,
        path: str | Path,
        *,
        features: Sequence[str] | None = None,
        label: str | bool | None = None,
        target: str | Sequence[str] | None = None,
        multilabel: Sequence[Name] | None = None,
        weight: str | None = None,
        task: str = "task",
        experience: str = "experience",
        id: str = "id",
        time: str = "time",
        batch_size: int = 32,
        max_wait: float | None = 0.5,
        limit: int | None = None,
        strict: bool = False,
        allow_nan: bool = False,
        max_line_bytes: int = 1 << 20,
        on_dead: DeadLetters | None = None,
        stop: Callable[[], bool] | None = None,
        labels: Labels | None = None,
    ) -> None:
        options = SourceOptions(
            batch_size, max_wait, limit, strict, allow_nan, max_line_bytes, on_dead, stop
        )
        named = _label_field(label)
        goal = targets_of(target, multilabel, named)
        self._label = None if goal is not None else "y" if label is None else named
        fields = FieldNames(self._label, task, experience, id, time, weight, goal)
        super().__init__(path, options, fields, labels)
        self.features = None if features is None else list(features)
        if features is not None:
            _check_features(features, fields)
        if goal is not None:
            _check_names(goal)
        self._array = False  # the features are one field with an array
        self._decided_at: int | None = None  # the line that decided

    def _decisions(self) -> State:
        known = self._is_consumed(self._decided_at)
        return {
            "format": "jsonl",
            "fields": self.fields.as_dict(),
            "feature_names": self.feature_names if known else None,
            "feature_shape": list(self.feature_shape or ()) if known else None,
            "array": self._array and known,
            "left_out": self.left_out if known else [],
        }

    def _decide(self, state: State) -> None:
        expect("format", state.get("format"), "jsonl")
        expect("fields", state.get("fields"), self.fields.as_dict())
        names, shape = state.get("feature_names"), state.get("feature_shape")
        if (names is None) != (shape is None):
            raise CheckpointError(
                f"feature_names: saved {names} with feature_shape {shape}, must be both or neither"
            )
        if names is not None and self.features is not None:
            expect("features", names, self.features)
        self.feature_names = names
        self.feature_shape = None if shape is None else tuple(shape)
        self._array = bool(state.get("array"))
        self.left_out = list(state.get("left_out", []))
        self._decided_at = None if names is None else -1

    def _decode(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        if self.feature_names is not None and self.feature_shape is not None:
            try:
                loads = self._loads if self.options.allow_nan else orjson.loads
                records = list(map(loads, lines))
                return self._columns(records, range(first, first + len(lines))), []
            except _FALL_BACK:
                pass  # at least one line is unusual: look at each of them
        return self._one_by_one(lines, first)

    def _columns(self, records: list[dict[str, Any]], line: range) -> Columns:
        label, goal = self._label, self.fields.goal
        get = {key: [r.get(field) for r in records] for key, field in self.fields.others().items()}
        return Columns(
            line,
            pack(
                self._numbers(records), self.feature_shape or (), allow_nan=self.options.allow_nan
            ),
            None if label is None else json_labels([r.get(label) for r in records]),
            integers("task", get["task"]),
            integers("experience", get["experience"]),
            row_ids(get["id"]),
            times(get["time"]),
            None if goal is None else goal.rows([_values(r, goal) for r in records]),
            row_weights(get["weight"]) if "weight" in get else None,
        )

    def _numbers(self, records: list[dict[str, Any]]) -> list[Any]:
        names, shape = self.feature_names or [], self.feature_shape or ()
        if not self._array:
            if len(names) == 1:
                return [r[names[0]] for r in records]
            return list(chain.from_iterable(map(itemgetter(*names), records)))
        level: list[Any] = [r[names[0]] for r in records]
        for size in shape:
            if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
                raise BadRecord("an array has another shape")
            level = list(chain.from_iterable(level))
        return level

    def _one_by_one(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        rows: list[Row] = []
        where: list[int] = []
        faults: list[Fault] = []
        for i, line in enumerate(lines, first):
            if not line or line.isspace():
                continue
            try:
                rows.append(self._row(line, i))
                where.append(i)
            except BadRecord as error:
                faults.append(Fault(i, str(error)))
        if not rows:
            return None, faults
        return Row.columns(rows, where, self.feature_shape or ()), faults

    def _row(self, line: bytes, at: int) -> Row:
        record = self._record(line)
        label, goal = self._label, self.fields.goal
        found = {key: record.get(field) for key, field in self.fields.others().items()}
        names, array = self.feature_names, self._array
        if names is None:
            names, array = self._choose(record)
        numbers, shape = self._features(record, names, array=array)
        row = Row(
            numbers,
            None if label is None else json_label(record.get(label)),
            integer("task", found["task"]),
            integer("experience", found["experience"]),
            row_id(found["id"]),
            seconds(found["time"]),
            None if goal is None else goal.row(_values(record, goal)),
            row_weight(found["weight"]) if "weight" in found else None,
        )
        if self.feature_names is None:  # only a record that is right in every way decides
            self.feature_names, self.feature_shape, self._array = names, shape, array
            used = {*names, *self.fields.names()}
            self.left_out = [name for name in record if name not in used]
            self._decided_at = at
        return row

    def _record(self, line: bytes) -> dict[str, Any]:
        refuse_utf16(line)
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise BadRecord(f"not UTF-8 at byte {error.start} of the line") from None
        try:
            record = self._loads(line.removeprefix(BOM))
        except json.JSONDecodeError as error:  # orjson's is one as well
            raise BadRecord(f"not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise BadRecord(f"not JSON: {error}") from None
        if not isinstance(record, dict):
            raise BadRecord(f"not a JSON object: {shown(record)}")
        return record

    def _loads(self, line: bytes) -> Any:
        try:
            return orjson.loads(line)
        except ValueError:
            if self.options.allow_nan and (b"NaN" in line or b"Infinity" in line):
                return loads_with_nan(line)
            raise

    def _choose(self, record: dict[str, Any]) -> tuple[list[str], bool]:
        if self.features is not None:
            return self.features, len(self.features) == 1 and isinstance(
                record.get(self.features[0]), list
            )
        if isinstance(record.get("x"), list):
            return ["x"], True
        reserved = self.fields.names()
        names = [
            name
            for name, value in record.items()
            if name not in reserved and isinstance(value, int | float)
        ]
        if not names:
            raise BadRecord("there is no number to learn from")
        return names, False

    def _features(
        self, record: dict[str, Any], names: list[str], *, array: bool
    ) -> tuple[list[float], tuple[int, ...]]:
        allow_nan = self.options.allow_nan
        if array:
            numbers, shape = flatten(names[0], record.get(names[0]), allow_nan=allow_nan)
            check_shape(names[0], shape, self.feature_shape or shape)
            return numbers, shape
        return [
            number(f"feature {name!r}", record.get(name), allow_nan=allow_nan) for name in names
        ], (len(names),)


def _values(record: dict[Any, Any], goal: TargetFields) -> list[Any]:
    return [record.get(field) for field in goal.fields]


def _label_field(label: str | bool | None) -> str | None:  # noqa: FBT001 - false stands for "none"
    if label is True:
        raise ValueError(f"label must be a name, or false for none, got {label!r}")
    return label or None


def _check_features(features: Sequence[str], fields: FieldNames) -> None:
    if not features or len(set(features)) != len(features):
        raise ValueError(f"features must be different names, at least one, got {features}")
    if fields.label in features:
        raise ValueError(f"features must not hold the label, got {fields.label!r} as both")
    for name in () if fields.goal is None else fields.goal.fields:
        if name in features:
            raise ValueError(f"features must not hold a target, got {name!r} as both")


def _check_names(goal: TargetFields) -> None:
    numbers = [name for name in goal.fields if isinstance(name, int)]
    if numbers:
        raise ValueError(f"JSON fields have names, got {numbers[0]}")
