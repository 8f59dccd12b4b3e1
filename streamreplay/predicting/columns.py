"""What a run has decided about its columns, whatever format it has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from streamreplay.errors import CheckpointError, ConfigError, SourceError
from streamreplay.features.packed import TableSchema
from streamreplay.features.translation import translated
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.decode.header import Layout
from streamreplay.ingest.decode.roles import Choice
from streamreplay.labels import Name
from streamreplay.predicting.model_files import describe_features
from streamreplay.state import State

_ENOUGH = 1 << 30  # rows: no kind is to be inferred any more


@dataclass(frozen=True)
class RunColumns:
    """The columns that a run learned from, and what it predicts.

    Attributes
    ----------
    labels : list of str or int
        The classes, in order of their indices, or the names of the targets.
    label : str
        The column with the label; "" if there is none.
    schema : State or None
        Of the columns of a table; None if each row is an array.
    shape : tuple of int or None
        Of a row that is an array.
    dtype : str
        Of such rows: uint8 for images.
    array : str
        The field or column that they are in.
    layout : Layout or None
        Of a CSV: its columns by position, where they have no names.
    """

    labels: list[Name]
    label: str
    schema: State | None = None
    shape: tuple[int, ...] | None = None
    dtype: str = "float32"
    array: str = "x"
    layout: Layout | None = field(default=None, repr=False)

    @staticmethod
    def of(source: State) -> RunColumns:
        """Read them from the state of a run's source.

        Raises
        ------
        CheckpointError
            Nothing was decided yet, as no row has come.
        """
        labels = TypeAdapter(list[int | str]).validate_python(source["labels"]["names"])
        if "fingerprint" in source:
            return _of_arrays(labels, source)
        if source.get("layout") is not None and source.get("schema") is not None:
            layout = _checked_layout(source["layout"])
            label = "" if layout.label is None else layout.names[layout.label]
            return RunColumns(labels, label, _checked_schema(source["schema"]), layout=layout)
        if source.get("choice") is not None:
            choice = TypeAdapter(Choice).validate_python(source["choice"])
            label = str(source["fields"].get("label") or "")
            if choice.array:
                shape = tuple(map(int, source["feature_shape"]))
                return RunColumns(labels, label, shape=shape, array=choice.features[0])
            return RunColumns(labels, label, _checked_schema(source["schema"]))
        raise CheckpointError(f"source: no row has come yet, got only {', '.join(source)}")

    @property
    def features(self) -> list[str]:
        """The columns that are learned from."""
        columns = [] if self.schema is None else self.schema["columns"]
        return [column["name"] for column in columns if column["place"] >= 0]

    @property
    def described(self) -> str:
        """The shape and the type of a row that is an array."""
        return f"{self.dtype}[{', '.join(map(str, self.shape or ()))}]"

    def check_names(self, outputs: int) -> None:
        """Raise ValueError if there are fewer names than classes or targets."""
        if len(self.labels) < outputs:
            raise ValueError(f"labels: must be of {outputs} outputs, got {self.labels[:10]}")

    def check_shape(self, name: str, source: ArraySource) -> None:
        """Raise `ConfigError` if arrays cannot be rows of the run.

        ``name`` is what the message calls the file.
        """
        shape = (len(source.schema.names),) if source.schema is not None else source.feature_shape
        if self.schema is None and shape != self.shape:
            live = ", ".join(map(str, shape))
            raise ConfigError(
                f"{name}: the run has learned from {self.described}, got rows of [{live}]"
            )
        positions = set(map(str, range(shape[0]))) if len(shape) == 1 else set()
        if self.schema is not None and not positions.issuperset(self.features):
            raise ConfigError(
                f"{name}: the columns of the run have names, and those of an array have none: "
                f"{', '.join(self.features)}"
            )

    def as_learned(
        self,
        name: str,
        x: NDArray[Any],
        old: TableSchema | None = None,
        new: TableSchema | None = None,
    ) -> NDArray[Any]:
        """Return rows as the run has them: whole numbers of images as uint8, others as float32.

        Parameters
        ----------
        name : str
            What messages call the input.
        x : array [n, *feature], or packed rows [n]
        old, new : TableSchema, optional
            What has packed the rows, and the run's.

        Raises
        ------
        SourceError
            The run has learned from bytes, and other numbers came.
        """
        if new is not None:
            if old is not None:
                return translated(x, old, new)
            given = {str(i): x[:, i] for i in range(x.shape[1])}
            packed: NDArray[Any] = new.pack(new.read(given, len(x)))
            return packed
        if old is not None or x.dtype.name == self.dtype:
            return x
        try:
            return as_stored(x, self.dtype)
        except ValueError as error:
            raise SourceError(f"{name}: {error}") from None

    def decisions(self, format: str, goal: Sequence[str]) -> State:
        """Return them as the part of the state of a source in another format.

        Parameters
        ----------
        format : {"csv", "jsonl", "arrow"}
        goal : sequence of str
            The fields of what is predicted in place of a label.
        """
        if format == "csv":
            layout = self.layout or self._layout(list(goal))
            return {"layout": layout.as_state(), "part": 0, "schema": self.schema}
        choice: dict[str, Any] = {"features": [], "roles": {}, "left_out": {}, "array": False}
        if self.shape is not None:
            choice |= {"features": [self.array], "array": True}
        return {
            "choice": choice,
            "feature_shape": list(self.shape or ()),
            "schema": self.schema,
        }

    def _layout(self, goal: list[str]) -> Layout:
        """Return the columns as a CSV with a header may have them, in any order."""
        names = list(dict.fromkeys([*self.features, *goal, *filter(None, [self.label])]))
        return Layout(
            names,
            header=True,
            label=names.index(self.label) if self.label else None,
            others={},
            features=[names.index(name) for name in self.features],
            goal=[names.index(name) for name in goal],
        )


def _checked_layout(saved: State) -> Layout:
    """Return the columns of a CSV; raise ValueError for what is none."""
    layout = TypeAdapter(Layout).validate_python(saved)
    places = [*(layout.features or ()), *layout.goal, *layout.others.values()]
    places += [] if layout.label is None else [layout.label]
    if any(not 0 <= place < len(layout.names) for place in places):
        raise ValueError(f"layout: must have places of {len(layout.names)} columns, got {places}")
    return layout


def _checked_schema(saved: State) -> State:
    """Return the state of a schema with what its rows are read by, all of it checked.

    Raises
    ------
    ValueError
        It is none.
    """
    schema = describe_features(saved).make_schema()
    return {**schema.state_dict(), "inferred_from": _ENOUGH}


def as_stored(x: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return arrays with the type that a run has learned from, float32 or uint8.

    Raises
    ------
    ValueError
        That is uint8, and other numbers came.
    """
    found = x.astype(np.dtype(dtype))
    if dtype == "uint8" and not np.array_equal(found, x):
        raise ValueError(
            f"the run has learned from bytes, whole numbers from 0 to 255, got {x.dtype}"
        )
    return found


def _of_arrays(labels: list[Name], source: State) -> RunColumns:
    """Read the columns of rows that were all in memory."""
    label = str(source["in_use"]["goal"].get("label", ""))
    if source["schema"] is not None:
        return RunColumns(labels, label, _checked_schema(source["schema"]))
    (features,) = source["in_use"]["features"].values()
    x = source["x"]
    return RunColumns(
        labels, label, shape=tuple(x["shape"]), dtype=x["dtype"], array=str([*features, "x"][0])
    )
