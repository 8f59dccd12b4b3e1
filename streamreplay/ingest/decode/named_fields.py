"""Decide what columns with names are used for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, final

from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.features.schema import Schema
from streamreplay.ingest.decode.absent_columns import not_a_column
from streamreplay.ingest.decode.arrow_columns import is_list, reasons_left_out
from streamreplay.ingest.decode.header import Layout
from streamreplay.ingest.decode.named_rows import NamedRows, RowDecoder, decide, first_shape
from streamreplay.ingest.decode.options import ROLES, FieldNames
from streamreplay.ingest.decode.roles import Choice, FieldsInUse
from streamreplay.plain_text import listed
from streamreplay.state import State, expect, within


@final
class NamedFields:
    """What each column is used for, by its name.

    Parameters
    ----------
    form : str
        What the rows come as, for the state.
    source : str
        What messages call the stream.
    fields : FieldNames
        Of columns that are no features.
    features : list of str or None
        The features, if they are given.
    schema : Schema
        Of the features, if they are columns of a table.
    """

    def __init__(
        self,
        form: str,
        source: str,
        fields: FieldNames,
        features: list[str] | None,
        schema: Schema,
    ) -> None:
        self._form = form
        self.source = source
        self.fields = fields
        self.features = features
        self.schema = schema
        self.columns: list[str] = []  # of the rows read last
        self.choice: Choice | None = None
        self.shape: tuple[int, ...] = ()

    @property
    def reserved(self) -> set[Any]:
        """The columns that have been given another role."""
        return self.fields.names() - {None, ""}

    @property
    def feature_names(self) -> list[str] | None:
        """The columns learned from; None until the first row."""
        if self.choice is None:
            return None
        return self.choice.features if self.choice.array else self.schema.names

    @property
    def left_out(self) -> list[str]:
        """The columns that are not used."""
        choice = {} if self.choice is None else self.choice.left_out
        return [*choice, *self.schema.left_out]

    def describe(self) -> FieldsInUse | None:
        """Return what each column is used for; None until the first row."""
        choice = self.choice
        if choice is None or choice.array:
            return None if choice is None else choice.in_use(self.fields, self.shape, self.columns)
        unused = {**self.schema.left_out, **choice.left_out}
        goal = self.fields.described()
        return FieldsInUse(self.schema.names_by_kind, goal, choice.roles, unused)

    def array_in(self, columns: Sequence[str], holds: Callable[[str], bool]) -> str | None:
        """Return the column whose values are the features, arrays of numbers, if there is one.

        ``holds`` returns whether a column may hold arrays.
        """
        names = ["x"] if self.features is None else self.features
        if len(names) != 1 or (self.choice is not None and not self.choice.array):
            return None
        return names[0] if names[0] in columns and holds(names[0]) else None

    def decide(
        self,
        first: Sequence[NamedRows],
        columns: Sequence[str],
        array: str | None,
        left_out: Mapping[str, str],
    ) -> None:
        """Decide by the first rows.

        Parameters
        ----------
        first : sequence of NamedRows
        columns : sequence of str
            All columns.
        array : str or None
            What `array_in` has returned.
        left_out : mapping of str to str
            Why columns that the rows do not have cannot be used.

        Raises
        ------
        ConfigError
            There is nothing to learn from.
        """
        self.columns = list(columns)
        asked = self.features if array is None else [array]
        choice = decide(first, columns, self.fields, asked, array=array is not None)
        if array is None:
            choice.left_out.update(left_out)
            self.rows(choice).begin(first, self.source)
        else:
            self.shape = first_shape(first, array)
        self.choice = choice

    def forget(self) -> None:
        """Decide by the next rows."""
        self.choice, self.shape = None, ()
        self.schema.reset()

    def rows(self, choice: Choice) -> RowDecoder:
        """Return what decodes rows."""
        return RowDecoder(self.fields, choice, self.shape, self.schema, self.features)

    def decisions(self, *, known: bool) -> State:
        """Return what was decided, if it is known by now, as a tree for a checkpoint."""
        choice = self.choice if known else None
        return {
            "format": self._form,
            "fields": self.fields.as_dict(),
            "feature_shape": None if choice is None else list(self.shape),
            "choice": None if choice is None else asdict(choice),
            "schema": None if choice is None or choice.array else self.schema.state_dict(),
        }

    def load(self, state: State) -> None:
        """Load what `decisions` returned."""
        expect("format", state.get("format"), self._form)
        expect("fields", state.get("fields"), self.fields.as_dict())
        saved, shape = state.get("choice"), state.get("feature_shape")
        self.forget()
        if (saved is None) != (shape is None):
            raise CheckpointError(
                f"choice: saved {saved} with feature_shape {shape}, must be both or neither"
            )
        if saved is None or shape is None:
            return
        choice = Choice(**saved)
        if self.features is not None:
            expect("features", choice.features, self.features)
        if not choice.array:
            with within("schema"):
                self.schema.load_state_dict(state["schema"])
        self.choice, self.shape = choice, tuple(shape)


def columns_by_name(
    source: str,
    layout: Layout | None,
    fields: FieldNames,
    features: Sequence[str | int] | None,
    schema: Schema,
) -> NamedFields:
    """Return what the columns of a CSV are used for, by their names.

    Parameters
    ----------
    source : str
        What messages call the stream.
    layout : Layout or None
        None before the first line.
    fields : FieldNames
        As the job gives them, perhaps by position.
    features : sequence of str or int, optional
        As the job gives them.
    schema : Schema
    """
    if layout is None or layout.features is None:
        return NamedFields("rows", source, fields, None, schema)
    names, goal = layout.names, fields.goal
    if goal is not None and goal.field is None:
        goal = replace(goal, outputs=tuple(names[i] for i in layout.goal))
    label = None if layout.label is None else names[layout.label]
    roles = {role: names[i] for role, i in layout.others.items()}
    asked = None if features is None else layout.asked_for(features)
    found = NamedFields("rows", source, FieldNames(label, goal=goal, **roles), asked, schema)
    found.choice = Choice(asked or [], roles, layout.left_out)
    return found


@final
class ArrowParts:
    """The columns of the part of a stream of Arrow data that is read.

    Attributes
    ----------
    columns : list of str
        All of them.
    array : str or None
        The one that has the features, an array of numbers in each row.
    left_out : dict of str to str
        Why columns cannot be used, by their type.
    unlabelled : bool
        Rows are only predicted, and need no label.
    keep : sequence of str
        Columns to read, whatever they are used for.
    """

    def __init__(self, fields: NamedFields) -> None:
        self._fields = fields
        self.columns: list[str] = []
        self.array: str | None = None
        self.left_out: dict[str, str] = {}
        self.unlabelled = False
        self.keep: Sequence[str] = ()
        self._before: list[str] = []  # of the parts before

    def take(self, arrow: Any) -> list[str]:
        """Take the Arrow schema of a part of the stream; return the columns to read.

        Raises
        ------
        ConfigError
            A column that was asked for is not there, or two have the same name.
        """
        self._before = self.columns or self._known()
        self.columns = self._fields.columns = arrow.names
        self._check_wanted()
        self._check_names()
        names, read = self.columns, {*self._fields.reserved, *self.keep}
        self.array = self._fields.array_in(names, lambda name: is_list(arrow.field(name).type))
        if self.array is not None:
            return [name for name in names if name in {self.array, *read, *ROLES}]
        self.left_out = reasons_left_out(arrow, read)
        asked = self._fields.features
        wanted = names if asked is None else [*asked, *read, *ROLES]
        return [name for name in names if name in wanted and name not in self.left_out]

    def _check_wanted(self) -> None:
        """Raise an error if a column that was asked for is not there."""
        for what, name in self._wanted():
            if name and name not in self.columns:
                absent = not_a_column(what, name, self.columns)
                raise ConfigError(f"{self._fields.source}: {absent}{self._old()}")

    def _wanted(self) -> list[tuple[str, Any]]:
        """Return the columns that were asked for, each with what it is for."""
        goal = () if self._fields.fields.goal is None else self._fields.fields.goal.fields
        wanted = [("label", self._fields.fields.label), *self._fields.fields.others().items()]
        wanted += [("target", name) for name in goal]
        wanted = [("kept", name) for name in self.keep] + ([] if self.unlabelled else wanted)
        if not self._before:
            wanted += [("feature", name) for name in self._fields.features or ()]
        return wanted

    def _check_names(self) -> None:
        """Raise an error if names are not unique, or no feature has its name from before."""
        double = next((n for n in self.columns if self.columns.count(n) > 1), None)
        if double is not None:
            raise ConfigError(f"{self._fields.source}: two columns are called {double!r}")
        features = set(self._before) - self._fields.reserved
        if features and not features & set(self.columns):
            raise ConfigError(
                f"{self._fields.source}: no feature has its name from before; {self._both()}"
            )

    def _both(self) -> str:
        return f"the columns are {listed(self.columns)}{self._old()}"

    def _old(self) -> str:
        return f"; those before were {listed(self._before)}" if self._before else ""

    def _known(self) -> list[str]:
        if self._fields.choice is None:
            return []
        return [*(self._fields.feature_names or ()), *map(str, self._fields.reserved)]
