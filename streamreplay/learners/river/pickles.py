"""Pickle a River model and load it again. Loading a pickle can run any code of its author."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError
from streamreplay.safepickle import SharingPickler, SharingUnpickler


def dump(model: object) -> NDArray[np.uint8]:
    """Return a model as a pickle: uint8[bytes].

    Two models give the same bytes if they differ only in which equal strings are one object, so
    that a resumed model is saved like one that was never interrupted. (A model with unseeded random
    numbers or sets of strings has other bytes each time.)

    Raises
    ------
    CheckpointError
        A part of the model cannot be pickled, such as a lambda.
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
    """Return the model of a pickle; this can run any code of the pickle's author.

    Raises
    ------
    CheckpointError
        The pickle cannot be read.
    """
    try:
        return SharingUnpickler(io.BytesIO(pickled.tobytes())).load()
    except Exception as error:
        raise CheckpointError(
            f"model: cannot be unpickled: {type(error).__name__}: {error}"
        ) from error
