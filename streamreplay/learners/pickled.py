"""A River model as bytes, and back. Loading a pickle runs what is in it: ask first whose it is."""

from __future__ import annotations

import io
import pickle
import platform
from importlib.metadata import version
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError

__all__ = ["Versions", "check_versions", "dump", "live_versions", "load"]

Versions: TypeAlias = dict[str, str]

_PROTOCOL = 5


def live_versions() -> Versions:
    """Return what a pickle of a River model depends on: River's version, and Python's x.y."""
    return {
        "river": version("river"),
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def check_versions(saved: Versions) -> None:
    """Refuse a pickle of other versions before it is opened.

    Raises
    ------
    CheckpointError
        They are not the live ones; the message says which to install.
    """
    for name, live in live_versions().items():
        if saved.get(name) != live:
            raise CheckpointError(
                f"{name}: saved with {saved.get(name)}, this is {live}; a pickle is only loaded "
                "by the version that wrote it"
            )


def dump(model: object) -> NDArray[np.uint8]:
    """Pickle a model: uint8[bytes].

    Two models that differ in nothing but which equal strings are one object give the same bytes,
    so that a model that was resumed is saved like one that was not. (Where a model holds random
    numbers that nobody seeded or sets of strings, its bytes are never twice the same.)

    Raises
    ------
    CheckpointError
        Something in it cannot be pickled, such as a lambda.
    """
    file = io.BytesIO()
    try:
        _Pickler(file).dump(model)
    except Exception as error:  # what a model holds may raise anything
        raise CheckpointError(
            f"model: cannot be pickled: {type(error).__name__}: {error}"
        ) from error
    return np.frombuffer(file.getvalue(), np.uint8)


def load(pickled: NDArray[np.uint8]) -> Any:
    """Unpickle a model: runs whatever code whoever wrote it has put there.

    Raises
    ------
    CheckpointError
        It cannot be read.
    """
    try:
        return _Unpickler(io.BytesIO(pickled.tobytes())).load()
    except Exception as error:
        raise CheckpointError(
            f"model: cannot be unpickled: {type(error).__name__}: {error}"
        ) from error


class _Pickler(pickle.Pickler):
    """Writes equal strings as one, through the door that pickle has for what lies elsewhere."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, _PROTOCOL)
        self._strings: dict[str, str] = {}

    def persistent_id(self, obj: Any) -> str | None:
        return self._strings.setdefault(obj, obj) if type(obj) is str else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        return pid
