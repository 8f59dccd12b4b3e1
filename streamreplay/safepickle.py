"""Objects of other libraries as bytes, and back without running what is in the bytes.

A plain pickle may name any function of any module and call it while it is loaded. Here only classes
are found, and only those that the caller allows or that hold plain data; no function, and nothing
else of a module. So bytes from elsewhere can make wrong objects of these classes, but not run code.
"""

from __future__ import annotations

import io
import pickle
import platform
from collections.abc import Collection
from importlib import import_module
from importlib.metadata import version
from types import FunctionType, MethodType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError

__all__ = [
    "SharingPickler",
    "SharingUnpickler",
    "Versions",
    "check_versions",
    "dump",
    "live_versions",
    "load",
]

Versions: TypeAlias = dict[str, str]

_PROTOCOL = 5

_PLAIN = frozenset(
    {
        *(f"builtins.{name}" for name in ("bool", "bytearray", "bytes", "complex", "dict")),
        *(f"builtins.{name}" for name in ("float", "frozenset", "int", "list", "range", "set")),
        *(f"builtins.{name}" for name in ("slice", "str", "tuple")),
        *(f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        "functools.partial",  # of a class that is found: nothing else is
        "random.Random",
    }
)


def live_versions() -> Versions:
    """Return what a pickle of River's objects depends on: River's version, and Python's x.y."""
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


class SharingPickler(pickle.Pickler):
    """Writes equal strings as one, through the door that pickle has for what lies elsewhere.

    Two objects that differ in nothing but which equal strings are one object give the same bytes,
    so that what was resumed is saved like what was not.

    Parameters
    ----------
    file : binary file
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, _PROTOCOL)
        self._strings: dict[str, str] = {}

    def persistent_id(self, obj: Any) -> str | None:
        """Send a string, and nothing else, through that door."""
        return self._strings.setdefault(obj, obj) if type(obj) is str else None


class SharingUnpickler(pickle.Unpickler):
    """Reads what `SharingPickler` wrote, and runs what is in it."""

    def persistent_load(self, pid: Any) -> Any:
        """Take a string as it is."""
        return pid


def dump(obj: object) -> NDArray[np.uint8]:
    """Write an object for `load`: uint8[bytes].

    A method that an object keeps of itself (``self.test = self._test_up``) is written by its name,
    NumPy's arrays and numbers by type, shape and bytes.

    Raises
    ------
    CheckpointError
        There is a function in it, a method of another object, an array of objects, or something
        that has no pickle.

    Examples
    --------
    >>> from collections import deque
    >>> load(dump({"last": deque([1.0, 2.0], maxlen=2)}), [])
    {'last': deque([1.0, 2.0], maxlen=2)}
    """
    file = io.BytesIO()
    try:
        _SafePickler(file).dump(obj)
    except Exception as error:  # what an object holds may raise anything
        raise CheckpointError(f"{type(obj).__name__}: cannot be saved: {error}") from error
    return np.frombuffer(file.getvalue(), np.uint8)


def load(pickled: NDArray[np.uint8], allowed: Collection[str]) -> Any:
    r"""Make the object again that `dump` wrote, without running what is in the bytes.

    Numbers, strings, the built-in containers, those of `collections`, dates, `random.Random` and
    NumPy's arrays are always understood.

    Parameters
    ----------
    pickled : uint8[bytes]
    allowed : collection of str
        Which classes may be made beside those: names of modules (``"river.stats"``, and all in it)
        or of classes (``"river.stats.mean.Mean"``). Their constructors, and what they do with a
        state, must do no harm whatever they are given; allow nothing that opens files, starts
        programs or calls what it is given.

    Raises
    ------
    CheckpointError
        There is a class in it that is not allowed, anything but classes, or it cannot be read.

    Examples
    --------
    >>> load(np.frombuffer(b"cbuiltins\neval\n(S'1 + 1'\ntR.", "u1"), ["river"])
    Traceback (most recent call last):
    streamreplay.errors.CheckpointError: cannot be loaded: builtins.eval is not allowed
    """
    try:
        return _SafeUnpickler(io.BytesIO(pickled.tobytes()), allowed).load()
    except Exception as error:  # bytes from anywhere may raise anything
        raise CheckpointError(f"cannot be loaded: {error}") from error


class _SafePickler(SharingPickler):
    def reducer_override(self, obj: Any) -> Any:
        match obj:
            case MethodType():
                owner, name = obj.__self__, obj.__name__
                if isinstance(owner, type) or obj not in getattr(owner, "__dict__", {}).values():
                    raise pickle.PicklingError(f"method {obj.__qualname__} is kept by another")
                return _bound, (owner, name)
            case FunctionType() if obj not in (_array, _bound, _number):
                raise pickle.PicklingError(f"function {obj.__qualname__} is no data")
            case np.ndarray() | np.generic():
                if obj.dtype.hasobject or obj.dtype.names:
                    raise pickle.PicklingError(f"an array of {obj.dtype} is no plain data")
                kind = _number if isinstance(obj, np.generic) else _array
                return kind, (obj.dtype.str, obj.shape, obj.tobytes())
            case _:
                return NotImplemented


class _SafeUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, allowed: Collection[str]) -> None:
        super().__init__(file)
        self._allowed = frozenset(allowed)
        self._bounds: list[_Bound] = []

    def load(self) -> Any:
        found = super().load()
        for bound in self._bounds:  # only now: while loading, nothing but classes can be called
            bound.bind()
        return found

    def find_class(self, module: str, name: str, /) -> Any:
        if module == __name__ and name in ("_array", "_bound", "_number"):
            return {"_array": _array, "_bound": self._hold, "_number": _number}[name]
        path = f"{module}.{name}"
        if not (path in _PLAIN or self._allows(path)):
            raise pickle.UnpicklingError(f"{path} is not allowed")
        found = getattr(import_module(module), name, None)
        if not isinstance(found, type) or (found.__module__, found.__qualname__) != (module, name):
            raise pickle.UnpicklingError(f"{path} is no class of that module")
        return found

    def persistent_load(self, pid: Any) -> str:
        if type(pid) is not str:
            raise pickle.UnpicklingError(f"a {type(pid).__name__} stands where strings do")
        return pid

    def _allows(self, path: str) -> bool:
        parts = path.split(".")
        return any(".".join(parts[:n]) in self._allowed for n in range(1, len(parts) + 1))

    def _hold(self, owner: Any, name: str) -> _Bound:
        kind = type(owner)
        found = getattr(kind, name, None) if type(name) is str else None
        if not isinstance(found, FunctionType) or not self._allows(f"{found.__module__}.{name}"):
            raise pickle.UnpicklingError(f"{kind.__name__} has no method {name!r} of its own")
        self._bounds.append(_Bound(owner, name))
        return self._bounds[-1]


class _Bound:
    """Stands for a method of an object where that object keeps it; cannot be called."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def bind(self) -> None:
        kept = vars(self._owner)
        for key in [key for key, value in kept.items() if value is self]:
            kept[key] = getattr(self._owner, self._name)


def _array(dtype: str, shape: tuple[int, ...], data: bytes) -> NDArray[Any]:
    """Make an array of NumPy; NumPy's own way of it trusts what it is given."""
    return np.frombuffer(data, np.dtype(str(dtype))).reshape(shape).copy()


def _number(dtype: str, shape: tuple[int, ...], data: bytes) -> Any:
    """Make a number of NumPy."""
    return _array(dtype, shape, data)[()]


def _bound(owner: Any, name: str) -> Any:
    """Stand in a pickle for `_SafeUnpickler._hold`; never called."""
    raise NotImplementedError
