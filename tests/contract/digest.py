"""Anything that travels or is saved, as nested tuples that are equal bit for bit or not at all."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import torch

from streamreplay.buffers.offered_memory import OfferedMemory
from streamreplay.memory import FixedMemory

__all__ = ["global_randomness", "plain"]

_SHARED = ("labels", "schema")  # each is one object for the whole stream, which grows


def plain(value: Any) -> Any:
    """Write a record or a state so that ``==`` compares types, shapes and every bit (also NaN)."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, FixedMemory | OfferedMemory):
        value = value.stored
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return (array.dtype.str, array.shape, array.tobytes())
    if isinstance(value, dict):
        return tuple((key, plain(each)) for key, each in sorted(value.items(), key=_by_key))
    if isinstance(value, list | tuple):
        return tuple(plain(each) for each in value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.name not in _SHARED]
        return tuple((name, plain(getattr(value, name))) for name in names)
    if isinstance(value, float):
        return value.hex()
    if value is None or isinstance(value, bool | int | str):
        return (type(value).__name__, value)
    raise TypeError(f"nothing that travels or is saved: {type(value).__name__}")


def global_randomness() -> Any:
    """Return the state of every random generator that belongs to the whole process."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - read, to see that nobody moved it
    return plain([dict(legacy), list(random.getstate()), torch.get_rng_state()])


def _by_key(item: tuple[Any, Any]) -> str:
    return repr(item[0])
