"""What a run says about the fields of its stream: which are used for what, and what looks wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from streamreplay.batch import Batch
from streamreplay.features.changes import describe_counts
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.arrow import Streamed
from streamreplay.ingest.decode.roles import FieldsInUse
from streamreplay.ingest.decode.values import json_number
from streamreplay.labels import Name
from streamreplay.plain_text import listed, nearest_hint, printable
from streamreplay.stage import Source

_LONGEST_NAME = 40  # characters of a field's name
_MOST_HINTS = 5
_LIKE_ROLES = {
    "experience": {"experience"},
    "task": {"task", "task_id"},
    "weight": {"weight", "sample_weight"},
    "time": {"time", "timestamp", "datetime", "date"},
    "id": {"id"},
}
_ROLES = {
    "experience": "the experience of each row",
    "task": "the task of each row",
    "weight": "the weight of each row",
    "time": "the time of each row",
    "id": "the name of each row",
}
_MOST_NEW = 50  # if each of more rows than these has a label of its own, that may be an id
_MOST_NUMBERS = 50  # more classes that are all numbers may be numbers to predict


@runtime_checkable
class DescribesFields(Protocol):
    """A source that says what its fields are used for."""

    def describe(self) -> FieldsInUse | None:
        """Return what each field is used for; None until the first row."""


@runtime_checkable
class Prepares(Protocol):
    """A source that decides from its first rows what its fields are."""

    def prepare(self) -> bool:
        """Read ahead until that is decided; return whether it depends on how fast rows came."""


@runtime_checkable
class MayBeFixed(Protocol):
    """A learner whose module may not be able to grow with a table."""

    @property
    def fixed_inputs(self) -> tuple[int, int] | None:
        """Its inputs, and how many later columns share; None if it grows, or is not built."""


class FieldNotes:
    """Makes the messages about the fields of a stream.

    Parameters
    ----------
    source : Source
    note : callable
        Called with a line for the run's log of events: ``columns`` and what each field is used for,
        as a JSON object, at the first batch and by `note_use`.
    learners : mapping of str to object
        Those of the run, by what messages call them.
    """

    def __init__(
        self,
        source: Source,
        note: Callable[[str], None] = lambda _: None,
        learners: Mapping[str, object] | None = None,
    ) -> None:
        self._source, self._note = source, note
        growing = (learners or {}).items()
        self._learners = {key: each for key, each in growing if isinstance(each, MayBeFixed)}
        self._described = False
        self._label: str | None = None  # the field to check; None once there is nothing to say
        self._rows = 0  # with a label, while each has another
        self._all_new = False

    def messages(self, batch: Batch) -> Iterator[str]:
        """Yield what there is to say before a batch is learned."""
        if not isinstance(self._source, DescribesFields):
            return
        fields = self._source.describe()
        if not self._described and fields is not None:
            self._described = True
            yield describe_fields(fields)
            yield from self._absent(fields)
            self.note_use()
            if batch.target is None:
                self._label = fields.goal.get("label")
            self._all_new = not batch.t[0]
        yield from self._check_widths()
        if self._label is not None:
            yield from self._check_labels(self._label, batch)

    def _check_widths(self) -> Iterator[str]:
        """Say once of each module that cannot grow that its width is fixed."""
        fixed = {name: each.fixed_inputs for name, each in self._learners.items()}
        for name, inputs in fixed.items():
            if inputs is not None:
                del self._learners[name]
                yield f"warning: {name}.module: {_width_text(*inputs)}"

    def note_use(self) -> None:
        """Note what each field is used for now."""
        fields = self._source.describe() if isinstance(self._source, DescribesFields) else None
        if fields is not None:
            self._note(_as_event(fields))

    def _absent(self, fields: FieldsInUse) -> Iterator[str]:
        """Yield a warning for each column to leave out, or of a given kind, that is not there."""
        if not isinstance(self._source, Streamed | ArraySource) or self._source.schema is None:
            return
        learned = [name for names in fields.features.values() for name in names]
        columns = [*learned, *fields.goal.values(), *fields.roles.values(), *fields.left_out]
        for key, names in self._source.schema.absent(columns).items():
            for name in names:
                how = "; set it with --exclude" if key == "exclude" else ""
                hint = nearest_hint(name, columns)
                yield f"warning: features.{key}: {_short(name)!r} is no column so far{hint}{how}"

    def _check_labels(self, field: str, batch: Batch) -> Iterator[str]:
        names = self._source.labels
        known = 1 + int(batch.y.max(initial=-1))
        if self._all_new:
            self._rows += int(np.count_nonzero(batch.y >= 0))
            self._all_new = self._rows == len(names)
            if self._all_new and self._rows > _MOST_NEW:
                self._label = None
                yield (
                    f"warning: each of the first {self._rows} labels in {_short(field)!r} is a new "
                    "class: it looks like an id or a number. Each class makes the model larger; "
                    "source.label names another field, and source.target one with a number to "
                    "predict"
                )
                return
        if known > _MOST_NUMBERS and _are_numbers(names.names):
            self._label = None
            yield (
                f"warning: the label {_short(field)!r} has {len(names)} values, all numbers: each "
                "is a class of its own. If it is a number to predict, set source.target = "
                f'"{_short(field)}"'
            )


def describe_fields(fields: FieldsInUse) -> str:
    """Return one line that says what each field of a stream is used for.

    Examples
    --------
    >>> used = FieldsInUse({"number": ["age", "task"]}, {"label": "y"}, {}, {"note": "excluded"})
    >>> describe_fields(used).partition(". ")[0]
    'features: 2 numbers (age, task); label: y; left out: note (excluded)'
    >>> describe_fields(used).partition(": if ")[2]
    'it is the task of each row, set source.task = "task"'
    """
    named = [each for each in fields.features.items() if each[1]]
    parts = [f"features: {', '.join(_counted(*each) for each in named)}"]
    parts += [f"{what}: {_short(name)}" for what, name in fields.goal.items()] or ["no label"]
    parts += [f"{role}: {_short(name)}" for role, name in fields.roles.items()]
    if fields.left_out:
        parts.append(f"left out: {_by_reason(fields.left_out)}")
    hints = [
        f'"{name}" is {how}: if it is {_ROLES[role]}, set source.{role} = "{name}"'
        for name, role, how in _like_roles(fields)[:_MOST_HINTS]
    ]
    return ". ".join(["; ".join(parts), *hints])


def _as_event(fields: FieldsInUse) -> str:
    used = {kind: list(names) for kind, names in fields.features.items()}
    others = {"goal": dict(fields.goal), "roles": dict(fields.roles)}
    return f"columns {json.dumps({'features': used, **others, 'left_out': dict(fields.left_out)})}"


def _width_text(inputs: int, shared: int) -> str:
    rest = f"share the last {shared} of them" if shared else "are not learned, as none is left"
    return (
        f"its width is fixed at {inputs} inputs; categories, gaps and columns that come later "
        f"{rest}. A method input_layer() that returns its first nn.Linear lets it grow"
    )


def _by_reason(left_out: Mapping[str, str]) -> str:
    """Write the names of columns that are left out for each reason."""
    names: dict[str, list[str]] = {}
    for name, why in left_out.items():
        names.setdefault(why, []).append(_short(name))
    return listed([f"{listed(some)} ({why})" for why, some in names.items()])


def describe_misfits(misfits: Mapping[str, int]) -> str:
    """Return how many values did not fit their column; "" if all did.

    Examples
    --------
    >>> describe_misfits({"size": 3, "temp": 1})
    '4 values did not fit their column and count as missing (size 3, temp 1)'
    """
    if not misfits:
        return ""
    most = sorted(misfits.items(), key=lambda each: -each[1])
    counts = listed([f"{_short(name)} {n:,}" for name, n in most])
    n = sum(misfits.values())
    what = "value" if n == 1 else "values"
    return f"{n:,} {what} did not fit their column and count as missing ({counts})"


def column_counts(source: Source) -> dict[str, dict[str, int]]:
    """Return the fields of a record of kind ``rows`` about the columns of a table."""
    counts = {}
    if isinstance(source, Streamed | ArraySource) and source.schema is not None:
        schema = source.schema
        counts = {"misfits": schema.misfits, "column_changes": schema.changes.counts}
    return {name: dict(each) for name, each in counts.items() if each}


def about_columns(source: Source) -> list[str]:
    """Return what there is to say of the columns of a table at the end, for people."""
    counts = column_counts(source)
    return [
        describe_misfits(counts.get("misfits", {})),
        describe_counts(counts.get("column_changes", {})),
    ]


def _counted(kind: str, names: Sequence[str]) -> str:
    listing = listed([_short(name) for name in names])
    if kind.startswith("array"):
        return f"{listing}, an {kind}"
    plural = {"category": "categories"}.get(kind, f"{kind}s")
    return f"{len(names):,} {kind if len(names) == 1 else plural} ({listing})"


def _like_roles(fields: FieldsInUse) -> list[tuple[str, str, str]]:
    """Return fields whose names look like a role that no field has, the role, and their use."""
    used = [
        (name, "learned like any other column")
        for each in fields.features.values()
        for name in each
    ]
    used += [(name, "left out") for name in fields.left_out]
    return [
        (_short(name), role, how)
        for name, how in used
        for role, words in _LIKE_ROLES.items()
        if role not in fields.roles and name.casefold() in words
    ]


def _are_numbers(names: Sequence[Name]) -> bool:
    return all(isinstance(name, int) or json_number(name) is not None for name in names)


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."
