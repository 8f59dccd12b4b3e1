"""Streams of JSON objects, one a line or in an array."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from streamreplay.errors import CheckpointError
from streamreplay.ingest.connect.files import Paths
from streamreplay.ingest.connect.json_text import JsonText
from streamreplay.ingest.connect.line_source import BOM, LineSource
from streamreplay.ingest.dead_letters import DeadLetters, Fault
from streamreplay.ingest.decode.json_values import check_shape, flatten, loads_with_nan
from streamreplay.ingest.decode.options import FieldNames, SourceOptions
from streamreplay.ingest.decode.roles import MISSING, Choice, FieldsInUse, NewFields, choose
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
    r"""Rows from JSON objects, one a line, in an array, or over several lines each.

    An array is read object by object, as it comes; see `JsonRecords`. Then a line in this
    description is an object, and so are the lines that messages count.

    A line that cannot be read goes to ``on_dead``, is counted in `dead`, and the stream goes on.
    Blank lines are skipped.

    Parameters
    ----------
    path : str or Path, or sequence of str or Path
        Files, folders and glob patterns, read in order; ``-`` is standard input. Data compressed
        by gzip, zstd, bzip2 or xz are told by their first bytes.
    features : sequence of str, optional
        The fields to learn from: numbers, or one field with an array of numbers. Left out, the
        first readable record decides: its field ``x`` if that is an array, else all its numeric
        fields but the ones named below, in order. Fields that it lacks are not learned;
        `take_notices` names them when they come.
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
    task, experience, id, time : str, optional
        Fields with an integer, an integer, an id (text; an integer stands for its digits), and
        seconds since 1970 or an ISO 8601 string. Left out: in records with an array ``x``, the
        fields of these names and ``weight``; in others, the field ``id``, and ``time`` if its
        first value is a date or is seconds since 1970 of a time after 1980.
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

    feature_shape: tuple[int, ...] | None = None
    """The shape of a row's features; None until the first row."""

    def __init__(  # noqa: PLR0913 - keywords, each an option of its own
        self,
        path: Paths,
        *,
        features: Sequence[str] | None = None,
        label: str | bool | None = None,
        target: str | Sequence[str] | None = None,
        multilabel: Sequence[Name] | None = None,
        weight: str | None = None,
        task: str | None = None,
        experience: str | None = None,
        id: str | None = None,
        time: str | None = None,
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
        self._choice: Choice | None = None
        self._new = NewFields()
        self._decided_at: int | None = None  # the line that decided

    @property
    def feature_names(self) -> list[str] | None:
        """The fields learned from; None until the first row."""
        return None if self._choice is None else self._choice.features

    @property
    def left_out(self) -> list[str]:
        """The fields that are not used."""
        return [] if self._choice is None else list(self._choice.left_out)

    def describe(self) -> FieldsInUse | None:
        """Return what each field is used for; None until the first row."""
        if self._choice is None:
            return None
        return self._choice.in_use(self.fields, self.feature_shape or ())

    def _decisions(self) -> State:
        choice = self._choice if self._is_consumed(self._decided_at) else None
        return {
            "format": "jsonl",
            "fields": self.fields.as_dict(),
            "feature_shape": None if choice is None else list(self.feature_shape or ()),
            "choice": None if choice is None else asdict(choice),
        }

    def _decide(self, state: State) -> None:
        expect("format", state.get("format"), "jsonl")
        expect("fields", state.get("fields"), self.fields.as_dict())
        saved, shape = state.get("choice"), state.get("feature_shape")
        self._choice, self.feature_shape, self._decided_at = None, None, None
        if saved is not None and shape is not None:
            choice = Choice(**saved)
            if self.features is not None:
                expect("features", choice.features, self.features)
            self._use(choice, tuple(shape), -1)
        elif saved is not shape:
            raise CheckpointError(
                f"choice: saved {saved} with feature_shape {shape}, must be both or neither"
            )

    def _new_text(self) -> JsonText:
        return JsonText()

    def _decode(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        choice = self._choice
        if choice is not None:
            try:
                loads = self._loads if self.options.allow_nan else orjson.loads
                records = list(map(loads, lines))
                return self._columns(records, range(first, first + len(lines)), choice), []
            except _FALL_BACK:
                pass  # at least one line is unusual: look at each of them
        return self._one_by_one(lines, first)

    def _columns(self, records: list[dict[str, Any]], line: range, choice: Choice) -> Columns:
        label, goal = self._label, self.fields.goal
        get = {role: [r.get(field) for r in records] for role, field in choice.roles.items()}
        columns = Columns(
            line,
            pack(
                self._numbers(records, choice),
                self.feature_shape or (),
                allow_nan=self.options.allow_nan,
            ),
            None if label is None else json_labels([r.get(label) for r in records]),
            integers("task", get.get("task", ())),
            integers("experience", get.get("experience", ())),
            row_ids(get.get("id", ())),
            times(get.get("time", ())),
            None if goal is None else goal.rows([_values(r, goal) for r in records]),
            row_weights(get["weight"]) if "weight" in get else None,
        )
        if self._new.may_be_in(records):
            self._notices += self._new.find(records, line)
        return columns

    def _numbers(self, records: list[dict[str, Any]], choice: Choice) -> list[Any]:
        names, shape = choice.features, self.feature_shape or ()
        if not choice.array:
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
        choice = self._choose(record) if self._choice is None else self._choice
        found = {role: record.get(field) for role, field in choice.roles.items()}
        numbers, shape = self._features(record, choice)
        row = Row(
            numbers,
            None if label is None else json_label(record.get(label)),
            integer("task", found.get("task")),
            integer("experience", found.get("experience")),
            row_id(found.get("id")),
            seconds(found.get("time")),
            None if goal is None else goal.row(_values(record, goal)),
            row_weight(found["weight"]) if "weight" in found else None,
        )
        if self._choice is None:  # only a record that is right in every way decides
            self._use(choice, shape, at)
        else:
            self._notices += self._new.find([record], [at])
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

    def _choose(self, record: dict[str, Any]) -> Choice:
        """Choose features and roles by the first record."""
        features = self.features
        if features is None and isinstance(record.get("x"), list):
            features = ["x"]
        array = features is not None and len(features) == 1
        array = array and isinstance(record.get((features or [""])[0]), list)
        found = choose(record, self.fields, features, array=array)
        if not found.features:
            raise BadRecord("there is no number to learn from")
        return found

    def _use(self, choice: Choice, shape: tuple[int, ...], at: int) -> None:
        """Use the features and roles that a line has decided."""
        self._choice, self.feature_shape, self._decided_at = choice, shape, at
        used = {*choice.features, *self.fields.names(), *choice.roles.values()}
        empty = [name for name, why in choice.left_out.items() if why == MISSING]
        self._new = NewFields({*used, *choice.left_out} - {None}, empty)

    def _features(
        self, record: dict[str, Any], choice: Choice
    ) -> tuple[list[float], tuple[int, ...]]:
        names, allow_nan = choice.features, self.options.allow_nan
        if choice.array:
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
