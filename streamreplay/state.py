"""State: what an object saves, declared once, and the checks that loading makes.

An object with state either declares `Fields` as its ``STATE``, or has the two methods of
`Stateful`. Its owner saves and loads it with `save_state` and `load_state`, which accept both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import UnionType
from typing import Any, Protocol, TypeAlias, TypeGuard, final, runtime_checkable

import numpy as np

from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, fitting
from streamreplay.labels import Labels
from streamreplay.randomness import load_rng_state, rng_state

__all__ = [
    "ARRAY",
    "CREATED",
    "GENERATOR",
    "GIVEN",
    "GROWN",
    "LABELS",
    "PART",
    "PARTS",
    "SETTING",
    "SHAPED",
    "Declared",
    "Fields",
    "Kind",
    "State",
    "Stateful",
    "expect",
    "load_parts",
    "load_state",
    "save_parts",
    "save_state",
    "shortened",
    "whole",
    "within",
]

_LEAST, _LARGEST = -2, 2**64  # of a plain whole number; -1 and -2 stand for no class and none yet
_MOST = 10**15  # rows, lines, bytes and so on

State: TypeAlias = dict[str, Any]
"""A tree of dicts, lists, strings, numbers, booleans, None, NumPy arrays and torch tensors."""


@runtime_checkable
class Stateful(Protocol):
    """An object that can be saved and restored exactly.

    Load the state into a new object that was built with the same arguments: it continues as the
    saved one would have. Asking for the state has no effect that anybody can observe.
    """

    def state_dict(self) -> State:
        """Return everything that the next step depends on."""

    def load_state_dict(self, state: State) -> None:
        """Load a state; raise `CheckpointError` naming the first part that does not fit."""


@runtime_checkable
class Declared(Protocol):
    """An object whose state is a list of its attributes."""

    @property
    def STATE(self) -> Fields:  # noqa: N802 - a constant of its class
        """Return the fields to save."""


@final
@dataclass(frozen=True)
class Kind:
    """How one attribute is saved and loaded.

    Attributes
    ----------
    save : callable
        Given the attribute's value, returns a tree.
    load : callable
        Given the field's name, the present value and the saved tree, returns the value to set.
        Raises `CheckpointError` with a message that begins with the name.
    """

    save: Callable[[Any], Any]
    load: Callable[[str, Any, Any], Any]


@final
class Fields:
    """The attributes that make up the state of an object, in the order in which they are saved.

    Parameters
    ----------
    **kinds : Kind, type or union
        The kind of each attribute: a type (``int``, ``float | None``, ``list``, ``set``) for a
        plain value, which the saved one must be of, or a `Kind`. In the saved tree an attribute has
        its own name without the underscore in front.

    Examples
    --------
    >>> class Count:
    ...     STATE = Fields(unit=SETTING, _rows=int, _sums=ARRAY)
    ...
    ...     def __init__(self, unit: str) -> None:
    ...         self.unit, self._rows, self._sums = unit, 0, np.zeros(2)
    >>> save_state(Count("day"))
    {'unit': 'day', 'rows': 0, 'sums': array([0., 0.])}
    >>> load_state(Count("day"), {"unit": "day", "rows": 3, "sums": np.ones(5)})
    Traceback (most recent call last):
    streamreplay.errors.CheckpointError: sums: saved float64[5], this pipeline has float64[2]
    """

    def __init__(self, **kinds: Kind | type | UnionType) -> None:
        self._kinds = {
            attribute: kind if isinstance(kind, Kind) else _plain(kind)
            for attribute, kind in kinds.items()
        }

    def __or__(self, other: Fields) -> Fields:
        """Return these fields followed by others."""
        return Fields(**self._kinds, **other._kinds)

    def save(self, owner: object) -> State:
        """Return the fields of an object by name."""
        return {
            attribute.removeprefix("_"): kind.save(getattr(owner, attribute))
            for attribute, kind in self._kinds.items()
        }

    def load(self, owner: object, state: State) -> None:
        """Set the fields of an object.

        Raises
        ------
        CheckpointError
            A field is missing, or does not fit; the message begins with its name.
        """
        if not isinstance(state, dict):
            raise TypeError(f"a state has fields by name, got {shortened(state)}")
        for attribute, kind in self._kinds.items():
            name = attribute.removeprefix("_")
            if name not in state:
                raise CheckpointError(f"{name}: is not in the state")
            live = getattr(owner, attribute)
            with fitting(f"{name}: does not fit"):
                loaded = kind.load(name, live, state[name])
            if loaded is not live:
                setattr(owner, attribute, loaded)


def save_state(owner: Stateful | Declared) -> State:
    """Return the state of an object, by its own method or its declaration."""
    return owner.state_dict() if isinstance(owner, Stateful) else owner.STATE.save(owner)


def load_state(owner: Stateful | Declared, state: State) -> None:
    """Load the state of an object, by its own method or its declaration.

    Raises
    ------
    CheckpointError
        It does not fit; the message begins with the name of the first field that does not.
    """
    if isinstance(owner, Stateful):
        owner.load_state_dict(state)
    else:
        owner.STATE.load(owner, state)


def save_parts(parts: Mapping[str, object]) -> State:
    """Return the state of each part by name, with its class; a part without state has ``{}``."""
    return {
        name: {"kind": type(each).__name__, **save_state(each)} if _has_state(each) else {}
        for name, each in parts.items()
    }


def load_parts(parts: Mapping[str, object], state: State) -> None:
    """Load the state of each part.

    Raises
    ------
    CheckpointError
        One does not fit; the message begins with the part's name.
    """
    for name, each in parts.items():
        if not isinstance(state.get(name), dict):
            raise CheckpointError(f"{name}: saved {shortened(state.get(name))}, must be a state")
        saved = dict(state[name])
        kind = type(each).__name__ if _has_state(each) else None
        expect(name, saved.pop("kind", None), kind)
        if _has_state(each):
            with within(name):
                load_state(each, saved)


def _has_state(part: object) -> TypeGuard[Stateful | Declared]:
    return isinstance(part, Stateful) or isinstance(getattr(part, "STATE", None), Fields)


@contextmanager
def within(path: str) -> Iterator[None]:
    """Put a part's name in front of the messages of a `CheckpointError` raised in the block.

    What else a state that does not fit raises becomes one.
    """
    with fitting(f"{path}: cannot be loaded"):
        try:
            yield
        except CheckpointError as error:
            raise type(error)(f"{path}.{error}") from error.__cause__


def expect(path: str, saved: object, live: object) -> None:
    """Raise `CheckpointError` naming the path unless a saved value equals the live one."""
    if saved != live:
        raise CheckpointError(f"{path}: saved {shortened(saved)}, this pipeline has {live}")


def whole(name: str, saved: object, most: int = _MOST) -> int:
    """Return a saved count.

    Raises
    ------
    CheckpointError
        It is no whole number from 0 to `most`; the message begins with the name.
    """
    if type(saved) is not int or not 0 <= saved <= most:
        raise CheckpointError(f"{name}: saved {shortened(saved)}, must be a count")
    return saved


def shortened(value: object, most: int = 60) -> str:
    """Write a saved value for a message."""
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a number beyond 64 bits"
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _plain(kind: type | UnionType) -> Kind:
    """Return the kind of plain values of a type, which is compared with the saved value's."""
    stored: type | UnionType = list if kind in (set, tuple) else kind

    def load(name: str, _live: object, saved: Any) -> Any:
        if isinstance(saved, int) and not isinstance(saved, kind) and isinstance(0.0, kind):
            return float(saved)
        outside = type(saved) is int and not _LEAST <= saved < _LARGEST
        if outside or not isinstance(saved, stored):
            raise CheckpointError(f"{name}: saved {shortened(saved)}, must be {_name(stored)}")
        return kind(saved) if isinstance(kind, type) else saved

    return Kind(_SAVED_AS.get(kind, lambda value: value), load)


def _load_given(name: str, _live: object, saved: Any) -> int | None:
    if saved is None or (type(saved) is int and -(2**63) <= saved < 2**63):
        return saved
    raise CheckpointError(f"{name}: saved {shortened(saved)}, must be a number of 64 bits or none")


_SAVED_AS: dict[type | UnionType, Callable[[Any], Any]] = {
    dict: dict,
    list: list,
    set: sorted,
    tuple: list,
}


def _name(kind: type | UnionType) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _load_setting(name: str, live: object, saved: object) -> object:
    expect(name, saved, live)
    return live


def _load_array(name: str, live: Any, saved: Any) -> Any:
    _check_array(name, live, saved)
    expect(name, describe_array(saved), describe_array(live))
    live[...] = saved
    return live


def _load_grown(name: str, live: Any, saved: Any) -> Any:
    _check_array(name, live, saved)
    expect(name, saved.dtype.name, live.dtype.name)
    return saved.copy()


def _load_shaped(name: str, live: Any, saved: Any) -> Any:
    _check_array(name, live, saved)
    expect(name, saved.dtype.name, live.dtype.name)
    return saved.copy()


def _check_array(name: str, live: Any, saved: object) -> None:
    if not isinstance(saved, np.ndarray):
        expect(name, type(saved).__name__, describe_array(live))


def _load_generator(name: str, live: np.random.Generator, saved: Any) -> np.random.Generator:
    load_rng_state(name, live, saved)
    return live


def _save_part(live: Stateful | Declared | None) -> State | None:
    return None if live is None else save_state(live)


def _load_part(name: str, live: Stateful | Declared | None, saved: Any) -> object:
    expect(name, *("none" if each is None else "one" for each in (saved, live)))
    if live is not None:
        with within(name):
            load_state(live, saved)
    return live


def _save_all(live: Mapping[Any, Stateful | Declared]) -> dict[Any, State]:
    return {key: save_state(each) for key, each in live.items()}


def _load_created(name: str, live: Any, saved: Any) -> object:
    live.clear()
    for key, state in saved.items():
        with within(f"{name}.{key}"):
            load_state(live[key], state)
    return live


def _load_all(name: str, live: Mapping[str, Stateful | Declared], saved: Any) -> object:
    expect(name, list(saved), list(live))
    for key, each in live.items():
        with within(f"{name}.{key}"):
            load_state(each, saved[key])
    return live


def _load_labels(_name: str, _live: object, saved: list[int | str] | None) -> Labels | None:
    return None if saved is None else Labels(saved)


SETTING = Kind(lambda value: value, _load_setting)
"""A setting: the saved one must equal the object's own."""

GIVEN = Kind(lambda value: value, _load_given)
"""A whole number that the stream has given, such as an experience; None before."""

ARRAY = Kind(np.copy, _load_array)
"""An array of fixed type and shape: the saved one is copied into it."""

GROWN = Kind(np.copy, _load_grown)
"""An array of fixed type and number of dimensions, which grows: a copy of the saved replaces it."""

SHAPED = Kind(np.copy, _load_shaped)
"""An array of fixed type with the shape of the first rows, empty until they come: as GROWN."""

GENERATOR = Kind(rng_state, _load_generator)
"""A NumPy generator of random numbers."""

PART = Kind(_save_part, _load_part)
"""An object with state of its own, or None for both."""

PARTS = Kind(_save_all, _load_all)
"""A mapping of names to objects with state; the names must be the same."""

CREATED = Kind(_save_all, _load_created)
"""A defaultdict of ids to objects with state: it creates those that were saved, and no others."""

LABELS = Kind(lambda labels: None if labels is None else labels.names, _load_labels)
"""What the stream calls its classes, as far as it has shown them; None without names."""
