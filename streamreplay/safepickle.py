"""Objects of other libraries as bytes, and back without running what is in the bytes.

A plain pickle may name any function of any module and call it while it is loaded. Here only classes
are found, and only those that the caller allows or that hold plain data; no function, and nothing
else of a module. So bytes from elsewhere can make wrong objects of these classes, but not run code.
Nor do they become much larger than they are: they have a largest size, and a container is made of
as many items as were written.
"""

from __future__ import annotations

import io
import pickle
import platform
import struct
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from types import FunctionType, MethodType
from typing import Any, ClassVar, TypeAlias

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
_MOST_BYTES = 1 << 28
_SPARE = 1 << 16  # items that may be made beyond those written
_SIZED = (range, list, tuple, set, frozenset, dict, deque, bytes, bytearray)

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
    if file.tell() > _MOST_BYTES:
        raise CheckpointError(f"{type(obj).__name__}: has more than {_MOST_BYTES:,} bytes")
    return np.frombuffer(file.getvalue(), np.uint8)


def load(pickled: NDArray[np.uint8], allowed: Collection[str]) -> Any:
    r"""Make the object again that `dump` wrote, without running what is in the bytes.

    Numbers, strings, the built-in containers, those of `collections`, dates, `random.Random` and
    NumPy's arrays are always understood.

    Parameters
    ----------
    pickled : uint8[bytes]
    allowed : collection of str
        Which other classes may be built: names of modules (``"river.stats"``, and all in it)
        or of classes (``"river.stats.mean.Mean"``). Their constructors, and what they do with a
        state, must do no harm whatever they are given; allow nothing that opens files, starts
        programs or calls what it is given.

    Raises
    ------
    CheckpointError
        There is a class in it that is not allowed, anything but classes, it cannot be read, is
        larger than 256 MiB, or would become much larger than it is.

    Examples
    --------
    >>> load(np.frombuffer(b"cbuiltins\neval\n(S'1 + 1'\ntR.", "u1"), ["river"])
    Traceback (most recent call last):
    streamreplay.errors.CheckpointError: cannot be loaded: builtins.eval is not allowed
    """
    if pickled.nbytes > _MOST_BYTES:
        raise CheckpointError(f"cannot be loaded: has more than {_MOST_BYTES:,} bytes")
    try:
        return _SafeUnpickler(pickled.tobytes(), allowed).load()
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


_Unpickler: Any = pickle._Unpickler  # noqa: SLF001 - see below


class _SafeUnpickler(_Unpickler):  # type: ignore[misc]
    """Reads what `_SafePickler` writes.

    Python's own unpickler in Python, as each of its instructions can be held to a rule there: what
    is called is a class or a `_Marker`; items go into built-in containers alone; a state goes to an
    instance, and names none of the attributes by which Python finds out how to treat it.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)

    def __init__(self, pickled: bytes, allowed: Collection[str]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._left = len(pickled) + _SPARE  # items that calls may be given
        self._allowed = frozenset(allowed)
        self._bounds: list[tuple[_Bound, Any, str]] = []
        self._markers = {
            name: _Marker(make)
            for name, make in (("_array", _array), ("_number", _number), ("_bound", self._hold))
        }

    def load(self) -> Any:
        found = super().load()
        for bound, owner, name in self._bounds:  # only now: while loading, only classes are called
            kept = vars(owner)
            for key in [key for key, value in kept.items() if value is bound]:
                kept[key] = getattr(owner, name)
        return found

    def find_class(self, module: str, name: str, /) -> Any:
        if module == __name__ and name in self._markers:
            return self._markers[name]
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
        bound = _Bound()
        self._bounds.append((bound, owner, name))
        return bound

    def check_size(self, kind: Any, given: Any) -> None:
        """Raise an error for a call that makes more than was written."""
        for each in given.values() if isinstance(given, dict) else given:
            if isinstance(each, int) and kind in (bytes, bytearray):
                self._left -= abs(each)
            elif isinstance(each, _SIZED):
                self._left -= len(each)  # an OverflowError of a range without end is as good
        if self._left < 0:
            raise pickle.UnpicklingError("it would become much larger than it is")

    def load_bytearray(self) -> None:
        """Read a bytearray, for which Python takes the memory before it reads."""
        (size,) = struct.unpack("<Q", self.read(8))
        data = self.read(min(size, _MOST_BYTES))
        if len(data) != size:
            raise pickle.UnpicklingError(f"it ends after {len(data)} of {size} bytes")
        self.append(bytearray(data))

    def _check_build(self) -> None:
        inst, state = self.stack[-2:]
        if isinstance(inst, type | _Marker | _Bound):
            raise pickle.UnpicklingError(f"a state is given to a {type(inst).__name__}")
        if isinstance(inst, partial) and not (
            isinstance(state, tuple) and state and isinstance(state[0], type)
        ):
            raise pickle.UnpicklingError("a partial is of something else than a class")
        self._check_keys(state if isinstance(state, tuple) and len(state) == 2 else (state,))

    @staticmethod
    def _check_keys(parts: tuple[Any, ...]) -> None:
        for key in chain.from_iterable(part for part in parts if isinstance(part, dict)):
            if not isinstance(key, str) or key.startswith("__"):
                raise pickle.UnpicklingError(f"a state names {key!r}")


def _rule(opcode: bytes, name: str, check: Callable[[_SafeUnpickler], None]) -> None:
    """Hold an instruction to a rule before it is followed."""
    follow = getattr(_Unpickler, name)

    def checked(self: _SafeUnpickler) -> None:
        check(self)
        follow(self)

    _SafeUnpickler.dispatch[opcode[0]] = checked


def _called(place: int) -> Callable[[_SafeUnpickler], None]:
    def check(self: _SafeUnpickler) -> None:
        kind, *given = self.stack[place:]
        if not isinstance(kind, type | _Marker):
            raise pickle.UnpicklingError(f"a {type(kind).__name__} is called")
        for each in given:
            self.check_size(kind, each)

    return check


def _filled(kinds: tuple[type, ...], place: int | None) -> Callable[[_SafeUnpickler], None]:
    def check(self: _SafeUnpickler) -> None:
        target = self.metastack[-1][-1] if place is None else self.stack[place]
        if not isinstance(target, kinds):
            raise pickle.UnpicklingError(f"items are put into a {type(target).__name__}")

    return check


def _refuse(_: _SafeUnpickler) -> None:
    raise pickle.UnpicklingError("an instruction of old pickles")


for _opcode, _name, _check in (
    (pickle.REDUCE, "load_reduce", _called(-2)),
    (pickle.NEWOBJ, "load_newobj", _called(-2)),
    (pickle.NEWOBJ_EX, "load_newobj_ex", _called(-3)),
    (pickle.BUILD, "load_build", _SafeUnpickler._check_build),  # noqa: SLF001 - ours
    (pickle.APPEND, "load_append", _filled((list, deque), -2)),
    (pickle.APPENDS, "load_appends", _filled((list, deque), None)),
    (pickle.SETITEM, "load_setitem", _filled((dict,), -3)),
    (pickle.SETITEMS, "load_setitems", _filled((dict,), None)),
    (pickle.ADDITEMS, "load_additems", _filled((set,), None)),
    *((code, "load_mark", _refuse) for code in (pickle.OBJ, pickle.INST)),
    *((code, "load_mark", _refuse) for code in (pickle.EXT1, pickle.EXT2, pickle.EXT4)),
):
    _rule(_opcode, _name, _check)
_SafeUnpickler.dispatch[pickle.BYTEARRAY8[0]] = _SafeUnpickler.load_bytearray


class _Marker:
    """Stands for a function that a pickle may call; takes no attribute."""

    __slots__ = ("_make",)

    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"a state with {name!r} is given to a function")

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)


class _Bound:
    """Stands for a method of an object where that object keeps it; cannot be called."""

    __slots__ = ()


def _array(dtype: str, shape: tuple[int, ...], data: bytes) -> NDArray[Any]:
    """Make an array of NumPy; NumPy's own way of it trusts what it is given."""
    return np.frombuffer(data, np.dtype(str(dtype))).reshape(shape).copy()


def _number(dtype: str, shape: tuple[int, ...], data: bytes) -> Any:
    """Make a number of NumPy."""
    return _array(dtype, shape, data)[()]


def _bound(owner: Any, name: str) -> Any:
    """Stand in a pickle for `_SafeUnpickler._hold`; never called."""
    raise NotImplementedError
