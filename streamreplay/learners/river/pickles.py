"""A River model as bytes, and back. Loading a pickle runs what is in it: ask first whose it is."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError
from streamreplay.safepickle import SharingPickler, SharingUnpickler

__all__ = ["dump", "load"]


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
        SharingPickler(file).dump(model)
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
        return SharingUnpickler(io.BytesIO(pickled.tobytes())).load()
    except Exception as error:
        raise CheckpointError(
            f"model: cannot be unpickled: {type(error).__name__}: {error}"
        ) from error
