"""The files of an exported model, and the schema that they are checked by when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamreplay.batch import Objective
from streamreplay.checkpoint.tree import decode, encode
from streamreplay.errors import CheckpointError, writing
from streamreplay.features.kinds import BLOCKS, Block, ColumnKind
from streamreplay.features.schema import Schema
from streamreplay.labels import Name
from streamreplay.state import State

MODEL, FEATURES, WEIGHTS, PROGRAM = (
    "model.json", "features.json", "weights.safetensors", "program.pt2",
)  # fmt: skip
VERSION = 1

_MOST_JSON = 1 << 28  # bytes
_MOST = 1 << 24  # of anything that is counted
Size: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ColumnDescription(_Part):
    """A column of a table, as `streamreplay.features.kinds.Column`."""

    name: str
    kind: ColumnKind
    place: Annotated[int, Field(ge=-1, le=_MOST)]
    anchor: float
    reason: str


class CategoriesDescription(_Part):
    """The categories of a column, in order of their codes."""

    names: list[str]
    hashed: int


class FeaturesDescription(_Part):
    """What a row is: columns of a table, or an array in a field."""

    rows: Literal["table", "array"]
    shape: Annotated[list[Annotated[int, Field(ge=1, le=_MOST)]], Field(max_length=8)] = []
    dtype: Literal["float32", "uint8"] = "float32"
    field: str = "x"
    kinds: dict[str, ColumnKind] = {}
    exclude: list[str] = []
    missing: list[str] = []
    text_width: Annotated[int, Field(ge=1, le=_MOST)] = 256
    max_categories: Annotated[int, Field(ge=1, le=_MOST)] = 10_000
    decimal: Literal[".", ","] = "."
    packed: bool = False
    columns: list[ColumnDescription] = []
    categories: list[CategoriesDescription] = []
    places: dict[Literal["number", "time", "category", "text"], Size] = {}

    def make_schema(self) -> Schema:
        """Return the schema of a table, which leaves out columns that are new.

        Raises
        ------
        ValueError
            Places do not fit the columns.
        """
        self._check_places()
        made = Schema(
            kinds=self.kinds,
            exclude=self.exclude,
            missing=self.missing,
            text_width=self.text_width,
            max_categories=self.max_categories,
            on_change="ignore",
        )
        made.decimal = self.decimal
        own = {"columns", "categories", "places", "packed"}
        made.load_state_dict({**made.state_dict(), **self.model_dump(include=own)})
        return made

    def _check_places(self) -> None:
        names = [column.name for column in self.columns]
        if set(self.places) != set(BLOCKS.values()) or len(set(names)) < len(names):
            raise ValueError(f"columns: must be different, got {names[:10]}")
        if len(self.categories) != self.places["category"]:
            raise ValueError(
                f"categories: must be of {self.places['category']} columns, "
                f"got {len(self.categories)}"
            )
        learned = [(BLOCKS[c.kind], c.place) for c in self.columns if c.place >= 0]
        self._check_learned(learned)

    def _check_learned(self, learned: list[tuple[Block, int]]) -> None:
        beyond = [each for each in learned if each[1] >= self.places[each[0]]]
        if beyond or len(set(learned)) < len(learned):
            raise ValueError(f"places: must be of one column each, got {(beyond or learned)[:10]}")


class ModelDescription(_Part):
    """What rebuilds a model; arrays of its state are in the file of weights."""

    format: Literal["streamreplay model"]
    version: Literal[1]
    library: str
    objective: Objective
    names: list[Name]
    """The classes by their index, or the targets."""
    learner: dict[str, Any]
    """The keys of ``[learner]`` that predictions depend on."""
    state: dict[str, Any]


def describe_features(schema: State, decimal: str = ".") -> FeaturesDescription:
    """Return what the state of a schema says about the rows of a table, checked.

    Raises
    ------
    ValueError
        It is no such state.
    """
    taken = ("columns", "categories", "places", "packed")
    given = {**schema["settings"], **{key: schema[key] for key in taken}}
    return FeaturesDescription.model_validate({"rows": "table", **given, "decimal": decimal})


def write_model(
    folder: Path, model: Mapping[str, Any], features: FeaturesDescription, state: State
) -> None:
    """Write the files of a model, but for its program.

    Raises
    ------
    StreamReplayError
        The disk refuses.
    """
    columns: dict[str, NDArray[Any]] = {}
    tree = encode(state, "", columns)
    contents = {
        WEIGHTS: save(dict(sorted(columns.items()))),
        FEATURES: _dump(features.model_dump(exclude_defaults=True)),
        MODEL: _dump({**model, "state": tree}),
    }
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROGRAM).unlink(missing_ok=True)  # of another model
        for name, content in contents.items():
            temporary = folder / f".tmp-{name}"
            temporary.write_bytes(content)
            temporary.replace(folder / name)


def read_model(folder: Path) -> tuple[ModelDescription, FeaturesDescription, State]:
    """Read the files of a model, which may come from anybody; nothing in them is run.

    Raises
    ------
    CheckpointError
        A file is missing, too large, or not as its schema says.
    """
    model = _checked(folder / MODEL, ModelDescription)
    features = _checked(folder / FEATURES, FeaturesDescription)
    path = folder / WEIGHTS
    try:
        state = decode(model.state, load(_read(path, 1 << 36)))
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be decoded ({error})") from None
    return model, features, state


_Described = TypeVar("_Described", bound=_Part)


def _checked(path: Path, kind: type[_Described]) -> _Described:
    try:
        return kind.model_validate_json(_read(path, _MOST_JSON))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{path}: {where}: {first['msg']}") from None


def _read(path: Path, most: int) -> bytes:
    try:
        if not path.is_file() or path.stat().st_size > most:
            raise CheckpointError(f"{path}: must be a file of at most {most:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def _dump(tree: Any) -> bytes:
    return json.dumps(tree, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"
