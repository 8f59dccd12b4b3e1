"""Decide what the columns of Arrow data are used for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, final

from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.features.schema import Schema
from streamreplay.ingest.decode.arrow_columns import ArrowRows, is_list, left_out
from streamreplay.ingest.decode.named_rows import RowDecoder, decide, first_shape
from streamreplay.ingest.decode.options import ROLES, FieldNames
from streamreplay.ingest.decode.roles import Choice, FieldsInUse
from streamreplay.state import State, expect, within


@final
class ArrowFields:
    """What each column is used for, by its name.

    Parameters
    ----------
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
        self, source: str, fields: FieldNames, features: list[str] | None, schema: Schema
    ) -> None:
        self._source = source
        self.fields = fields
        self._features = features
        self.schema = schema
        self.choice: Choice | None = None
        self.shape: tuple[int, ...] = ()
        self._columns: list[str] = []  # of the part read last
        self._before: list[str] = []  # of the parts before
        self._left_out: dict[str, str] = {}  # those whose type cannot be used
        self._array: str | None = None  # the column that is an array in each row

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
            return None if choice is None else choice.in_use(self.fields, self.shape, self._columns)
        unused = {**self.schema.left_out, **choice.left_out}
        goal = self.fields.described()
        return FieldsInUse(self.schema.names_by_kind, goal, choice.roles, unused)

    def take(self, arrow: Any) -> list[str]:
        """Take the Arrow schema of a part of the stream; return the columns to read.

        Raises
        ------
        ConfigError
            A column that was asked for is not there, or two have the same name.
        """
        self._before = self._columns or self._known()
        self._columns = arrow.names
        self._check_wanted()
        self._check_names()
        self._array = self._array_in(arrow)
        read = self._reserved()
        if self._array is not None:
            return [name for name in self._columns if name in {self._array, *read, *ROLES}]
        reasons = {field.name: left_out(field.type) for field in arrow if field.name not in read}
        self._left_out = {name: reason for name, reason in reasons.items() if reason}
        wanted = self._columns if self._features is None else [*self._features, *read, *ROLES]
        return [n for n in self._columns if n in wanted and n not in self._left_out]

    def decide(self, first: Sequence[Any]) -> None:
        """Decide by the first rows, record batches of plain columns.

        Raises
        ------
        ConfigError
            There is nothing to learn from.
        """
        rows, array = list(map(ArrowRows, first)), self._array is not None
        asked = [self._array] if self._array is not None else self._features
        choice = decide(rows, self._columns, self.fields, asked, array=array)
        if not array:
            choice.left_out.update(self._left_out)
            self.rows(choice).begin(rows, self._source)
        else:
            self.shape = first_shape(rows, self._array or "")
        self.choice = choice

    def rows(self, choice: Choice) -> RowDecoder:
        """Return what decodes rows."""
        return RowDecoder(self.fields, choice, self.shape, self.schema, self._features)

    def decisions(self, *, known: bool) -> State:
        """Return what was decided, if it is known by now, as a tree for a checkpoint."""
        choice = self.choice if known else None
        return {
            "format": "arrow",
            "fields": self.fields.as_dict(),
            "feature_shape": None if choice is None else list(self.shape),
            "choice": None if choice is None else asdict(choice),
            "schema": None if choice is None or choice.array else self.schema.state_dict(),
        }

    def load(self, state: State) -> None:
        """Load what `decisions` returned."""
        expect("format", state.get("format"), "arrow")
        expect("fields", state.get("fields"), self.fields.as_dict())
        saved, shape = state.get("choice"), state.get("feature_shape")
        self.choice, self.shape = None, ()
        self.schema.reset()
        if (saved is None) != (shape is None):
            raise CheckpointError(
                f"choice: saved {saved} with feature_shape {shape}, must be both or neither"
            )
        if saved is None or shape is None:
            return
        choice = Choice(**saved)
        if self._features is not None:
            expect("features", choice.features, self._features)
        if not choice.array:
            with within("schema"):
                self.schema.load_state_dict(state["schema"])
        self.choice, self.shape = choice, tuple(shape)

    def _check_wanted(self) -> None:
        """Raise an error if a column that was asked for is not there."""
        goal = () if self.fields.goal is None else self.fields.goal.fields
        wanted = [("label", self.fields.label), *self.fields.others().items()]
        wanted += [("target", name) for name in goal]
        if not self._before:
            wanted += [("feature", name) for name in self._features or ()]
        for what, name in wanted:
            if name and name not in self._columns:
                near = difflib.get_close_matches(name, self._columns, 1)
                hint = f" (nearest: {near[0]!r})" if near else ""
                raise ConfigError(
                    f"{self._source}: {what} {name!r} is not a column{hint}; {self._both()}"
                )

    def _check_names(self) -> None:
        """Raise an error if names are not unique, or no feature has its name from before."""
        double = next((n for n in self._columns if self._columns.count(n) > 1), None)
        if double is not None:
            raise ConfigError(f"{self._source}: two columns are called {double!r}")
        features = set(self._before) - self._reserved()
        if features and not features & set(self._columns):
            raise ConfigError(
                f"{self._source}: no feature has its name from before; {self._both()}"
            )

    def _both(self) -> str:
        before = f"; those before were {', '.join(self._before)}" if self._before else ""
        return f"the columns are {', '.join(self._columns)}{before}"

    def _known(self) -> list[str]:
        if self.choice is None:
            return []
        return [*(self.feature_names or ()), *map(str, self._reserved())]

    def _array_in(self, arrow: Any) -> str | None:
        """Return the column whose values are the features, arrays of numbers, if there is one."""
        names = ["x"] if self._features is None else self._features
        if self.choice is not None and not self.choice.array:
            return None
        return (
            names[0]
            if len(names) == 1 and names[0] in arrow.names and is_list(arrow.field(names[0]).type)
            else None
        )

    def _reserved(self) -> set[Any]:
        return self.fields.names() - {None, ""}
