"""Streams of JSON objects, one a line or in an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError
from streamreplay.features.schema import Schema
from streamreplay.features.table_rows import TableRows
from streamreplay.ingest.connect.files import Paths
from streamreplay.ingest.connect.json_text import JsonText
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.ingest.dead_letters import DeadLetters, Fault
from streamreplay.ingest.decode.json_values import (
    by_field,
    check_shape,
    flatten,
    json_record,
    json_records,
    objects,
    pack_arrays,
)
from streamreplay.ingest.decode.named_fields import NamedFields
from streamreplay.ingest.decode.options import (
    FieldNames,
    SourceOptions,
    check_features,
    check_names,
    label_field,
)
from streamreplay.ingest.decode.roles import Choice, FieldsInUse, choose
from streamreplay.ingest.decode.rows import Columns, Row, merged
from streamreplay.ingest.decode.struct_records import StructReader
from streamreplay.ingest.decode.targets import row_weight, row_weights, targets_of
from streamreplay.ingest.decode.values import (
    BadRecord,
    integer,
    integers,
    json_label,
    json_labels,
    pack,
    row_id,
    row_ids,
    seconds,
    times,
)
from streamreplay.labels import Labels, Name
from streamreplay.state import State, expect, within

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
        The fields to learn from, or one field with an array of numbers. Left out, the first
        readable record decides: its field ``x`` if that is an array, else all fields but the ones
        named below. Rows with numbers only are arrays, all others are packed by ``schema``.
        `Schema.changes` has those that come later.
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
    schema : Schema, optional
        The settings of a table's columns; it takes up their kinds.
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
    >>> from pathlib import Path
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
    bare_labels: bool = False
    """Whether records may lack the array of features, as those do that bring the label of an
    earlier one (`LateLabels`); their features are 0, and are not to be learned."""

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
        schema: Schema | None = None,
        max_line_bytes: int = 1 << 20,
        on_dead: DeadLetters | None = None,
        stop: Callable[[], bool] | None = None,
        labels: Labels | None = None,
    ) -> None:
        options = SourceOptions(batch_size, max_wait, limit, strict, max_line_bytes, on_dead, stop)
        named = label_field(label)
        goal = targets_of(target, multilabel, named)
        self._label = None if goal is not None else "y" if label is None else named
        fields = FieldNames(self._label, task, experience, id, time, weight, goal)
        super().__init__(path, options, fields, labels, schema)
        self.features = None if features is None else list(features)
        if features is not None:
            check_features(features, fields)
        if goal is not None:
            check_names(goal)
        self._structs = StructReader(self.schema, asked=features)
        self._choice: Choice | None = None
        self._decided_at: int | None = None  # the line that decided
        self._seen: set[str] | None = None  # fields with a role in the first records read

    @property
    def feature_names(self) -> list[str] | None:
        """The fields learned from; None until the first row."""
        if self._choice is None:
            return None
        return self._choice.features if self._choice.array else self.schema.names

    def _named_fields(self) -> NamedFields:
        fields = NamedFields("rows", self.name, self.fields, self.features, self.schema)
        fields.choice, fields.shape = self._choice, self.feature_shape or ()
        return fields

    @property
    def left_out(self) -> list[str]:
        """The fields that are not used."""
        left_out = {} if self._choice is None else self._choice.left_out
        return [*left_out, *self.schema.left_out]

    def describe(self) -> FieldsInUse | None:
        """Return what each field is used for; None until the first row."""
        if self._choice is None:
            return None
        choice = self._choice
        if choice.array:
            seen = {*(self._seen or ()), *self.fields.others().values()}
            return choice.in_use(self.fields, self.feature_shape or (), seen)
        left_out = {**self.schema.left_out, **choice.left_out}
        goal = self.fields.described()
        return FieldsInUse(self.schema.names_by_kind, goal, choice.roles, left_out)

    def _infers(self) -> bool:
        lines = self._buffer.peek(0, len(self._buffer))  # the first may be put aside
        arrays = list(map(self._is_array, json_records(lines)))
        return not arrays or not all(arrays)

    def _is_array(self, record: dict[str, Any]) -> bool:
        """Return whether the features of a record are one array."""
        names = ["x"] if self.features is None else self.features
        return len(names) == 1 and isinstance(record.get(names[0]), list)

    @property
    def _is_decided(self) -> bool:
        return self._choice is not None

    def _decisions(self) -> State:
        choice = self._choice if self._is_consumed(self._decided_at) else None
        return {
            "format": "jsonl",
            "fields": self.fields.as_dict(),
            "feature_shape": None if choice is None else list(self.feature_shape or ()),
            "choice": None if choice is None else asdict(choice),
            "schema": None if choice is None or choice.array else self.schema.state_dict(),
        }

    def _decide(self, state: State) -> None:
        expect("format", state.get("format"), "jsonl")
        expect("fields", state.get("fields"), self.fields.as_dict())
        saved, shape = state.get("choice"), state.get("feature_shape")
        self._choice, self.feature_shape, self._decided_at = None, None, None
        self.schema.reset()
        if saved is not None and shape is not None:
            choice = Choice(**saved)
            self._use(choice, tuple(shape), -1)
            if not choice.array:
                with within("schema"):
                    self.schema.load_state_dict(state["schema"])
            if self.features is not None:
                expect("features", choice.features or self.schema.names, self.features)
        elif saved is not shape:
            raise CheckpointError(
                f"choice: saved {saved} with feature_shape {shape}, must be both or neither"
            )

    def _kept(self, lines: list[bytes], at: Sequence[int]) -> Mapping[str, Sequence[Any]]:  # noqa: ARG002 - each has its names
        records = [json_record(line) for line in lines]
        return {name: [record.get(name) for record in records] for name in self._keep}

    def _new_text(self) -> JsonText:
        return JsonText()

    def _decode(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        choice = self._choice
        if choice is not None:
            try:
                if (found := self._decode_many(lines, first, choice)) is not None:
                    return found
                records = objects(lines)
                if self._seen is None:
                    self._seen = {f for f in choice.roles.values() if any(f in r for r in records)}
                x = (self._array if choice.array else self._table)(records, choice)
                line = range(first, first + len(lines))
                return self._columns(x, line, choice, lambda f: [r.get(f) for r in records]), []
            except _FALL_BACK:
                pass  # at least one line is unusual: look at each of them
        return self._one_by_one(lines, range(first, first + len(lines)))

    def _decode_many(
        self, lines: list[bytes], first: int, choice: Choice
    ) -> tuple[Columns | None, list[Fault]] | None:
        """Decode many lines with msgspec, and those it is not certain of one by one."""
        if choice.array or self.fields.goal is not None:
            return None
        found = self._structs.read(lines, sorted({*self.fields.names(), *choice.roles.values()}))
        if found is None:
            return None
        x = self.schema.read(found.features, len(found.records), sparse=True)
        at, odd = [first + i for i in found.records], [first + i for i in found.odd]
        columns = self._columns(x, at, choice, found.others.__getitem__)
        others, faults = self._one_by_one([lines[i] for i in found.odd], odd)
        return columns if others is None else merged(columns, others), faults

    def _columns(
        self,
        x: NDArray[np.float32] | TableRows,
        line: Sequence[int],
        choice: Choice,
        values: Callable[[Any], Sequence[Any]],
    ) -> Columns:
        """Return rows with such features, given the values of any other field."""
        label, goal = self._label, self.fields.goal
        get = {role: values(field) for role, field in choice.roles.items()}
        return Columns(
            line,
            x,
            None if label is None else json_labels(values(label)),
            integers("task", get.get("task", ())),
            integers("experience", get.get("experience", ())),
            row_ids(get.get("id", ())),
            times(get.get("time", ())),
            None if goal is None else goal.rows(list(zip(*map(values, goal.fields), strict=True))),
            row_weights(get["weight"]) if "weight" in get else None,
        )

    def _array(self, records: list[dict[str, Any]], choice: Choice) -> NDArray[np.float32]:
        (name,) = choice.features
        return pack_arrays([self._given(r, name) for r in records], self.feature_shape or ())

    def _given(self, record: dict[str, Any], name: str) -> Any:
        """Return the array of a record, zeros where it may lack one."""
        given = record.get(name)
        if given is None and self.bare_labels and self.feature_shape:
            return np.zeros(self.feature_shape).tolist()
        return given

    def _one_by_one(
        self, lines: list[bytes], at: Sequence[int]
    ) -> tuple[Columns | None, list[Fault]]:
        rows: list[Row] = []
        where: list[int] = []
        faults: list[Fault] = []
        for i, line in zip(at, lines, strict=True):
            if not line or line.isspace():
                continue
            try:
                rows.append(self._row(line, i))
                where.append(i)
            except BadRecord as error:
                faults.append(Fault(i, str(error)))
        if not rows:
            return None, faults
        choice = self._choice
        if choice is None:
            raise ValueError(f"{len(rows)} rows were read before it was decided how")
        return Row.columns(rows, where, self._features_of(rows, choice)), faults

    def _row(self, line: bytes, at: int) -> Row:
        record: dict[Any, Any] = json_record(line)
        label, goal = self._label, self.fields.goal
        choice = self._choose(record, at) if self._choice is None else self._choice
        found = {role: record.get(field) for role, field in choice.roles.items()}
        self._seen = (self._seen or set()) | (record.keys() & choice.roles.values())
        features: Any = record
        shape: tuple[int, ...] = ()
        if choice.array:
            name = choice.features[0]
            features, shape = flatten(name, self._given(record, name))
            check_shape(name, shape, self.feature_shape or shape)
        row = Row(
            features,
            None if label is None else json_label(record.get(label)),
            integer("task", found.get("task")),
            integer("experience", found.get("experience")),
            row_id(found.get("id")),
            seconds(found.get("time")),
            None if goal is None else goal.row([record.get(field) for field in goal.fields]),
            row_weight(found["weight"]) if "weight" in found else None,
        )
        if self._choice is None:  # only a record that is right in every way decides
            self._use(choice, shape, at)
        return row

    def _choose(self, record: dict[str, Any], at: int) -> Choice:
        """Choose features and roles by the first record, and those ahead for what it lacks."""
        array = self._is_array(record)
        features = ["x"] if array and self.features is None else self.features
        ahead = list(islice(json_records(self._ahead(at)), self.schema.infer_rows - 1))
        found = choose(record, ahead, self.fields, features, array=array)
        if not array:
            self._begin(self._named([record, *ahead], found))
        return found

    def _use(self, choice: Choice, shape: tuple[int, ...], at: int) -> None:
        """Use the features and roles that a line has decided."""
        self._choice, self.feature_shape, self._decided_at = choice, shape, at

    def _features_of(self, rows: list[Row], choice: Choice) -> NDArray[np.float32] | TableRows:
        if choice.array:
            flat = list(chain.from_iterable(row.x for row in rows))
            return pack(flat, self.feature_shape or ())
        return self._table([row.x for row in rows], choice)

    def _table(self, records: list[dict[str, Any]], choice: Choice) -> TableRows:
        return self.schema.read(self._named(records, choice), len(records), sparse=True)

    def _named(self, records: list[dict[str, Any]], choice: Choice) -> dict[str, list[Any]]:
        """Return the values of each field that may be learned from."""
        reserved = {*self.fields.names(), *choice.roles.values()}
        names = dict.fromkeys(chain.from_iterable(records))
        if self.features is not None:
            names = dict.fromkeys(name for name in self.features if name in names)
        return by_field(records, [name for name in names if name not in reserved])
