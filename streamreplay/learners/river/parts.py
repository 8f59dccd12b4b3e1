"""Convert rows to what River takes, examine the parts of a pipeline, and pickle a model."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.safepickle import SharingPickler, SharingUnpickler

FeatureName: TypeAlias = str | int
LabelName: TypeAlias = str | int
Row: TypeAlias = dict[Any, Any]


def as_rows(x: NDArray[Any], names: Sequence[FeatureName]) -> list[Row]:
    """Return rows [n, *feature] as the dicts that River takes.

    A float32 becomes the float64 with the same shortest decimal, not the one with the same bits:
    0.1 in a file is 0.1 for River, as if River had read the file, if the file has no more than the
    six digits that float32 keeps of every number.

    Examples
    --------
    >>> as_rows(np.array([[0.1, 2.0]], np.float32), ["a", "b"])
    [{'a': 0.1, 'b': 2.0}]
    """
    flat = x.reshape(len(x), len(names))
    if flat.dtype != np.float32:
        table = flat.tolist()
    elif np.isfinite(flat).all():
        flat = np.ascontiguousarray(flat)
        table = orjson.loads(orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY))
    else:
        table = flat.astype(str).astype(np.float64).tolist()
    return [dict(zip(names, values, strict=True)) for values in table]


def import_base() -> Any:
    """Return River's base module, which is imported only when it is needed."""
    from river import base  # noqa: PLC0415 - slow

    return base


def steps_of(model: Any) -> list[Any]:
    """Return the parts of a pipeline, in order; the last one predicts."""
    steps = getattr(model, "steps", None)
    if not isinstance(steps, dict):
        return [model]
    return [part for step in steps.values() for part in steps_of(step)]


def learns_many(model: Any, kind: Any, base: Any) -> bool:
    """Return whether all parts of a model have mini-batch methods, and the last is of a kind."""
    return all(isinstance(step, kind | base.MiniBatchTransformer) for step in steps_of(model))


def uses_many(model: Any, *, able: bool, many: bool | None) -> bool:
    """Return whether to call mini-batch methods: as ``many`` says, by default if possible.

    Raises
    ------
    ImportError
        ``many`` is true, and pandas is not installed.
    TypeError
        ``many`` is true, and the model has no such methods.
    """
    pandas = importlib.util.find_spec("pandas") is not None
    if many and not able:
        raise TypeError(f"many: not all of {kind_of(model)} has learn_many")
    if many and not pandas:
        raise ImportError("many: needs pandas, which is not installed")
    return able and pandas if many is None else many


def kind_of(model: Any) -> str:
    """Return a model's classes, without their parameters."""
    return " | ".join(type(step).__name__ for step in steps_of(model))


def teach_rows(
    model: Any,
    rows: Sequence[Row],
    targets: Sequence[Any],
    weight: NDArray[np.float32] | None,
    *,
    many: bool,
) -> None:
    """Teach a model rows in order, with weights [n]; all at once if ``many``.

    Raises
    ------
    ConfigError
        Rows have weights, and the last part of the model takes no ``w``.
    """
    many = many and len(rows) > 1
    method = "learn_many" if many else "learn_one"
    if weight is not None:
        last: Any = type(steps_of(model)[-1])
        if not _takes_weights(last, method):
            raise ConfigError(
                f"learner: {last.__name__} takes no weights of rows (it has no `w` in "
                f"{method}): leave source.weight out"
            )
    if many:
        extra = {} if weight is None else {"w": _pandas().Series(weight.astype(np.float64))}
        model.learn_many(frame_of(rows), _pandas().Series(targets), **extra)
        return
    each = [{}] * len(rows) if weight is None else [{"w": w} for w in weight.tolist()]
    for row, target, extra in zip(rows, targets, each, strict=True):
        model.learn_one(row, target, **extra)


@cache
def _takes_weights(kind: type, method: str) -> bool:
    return "w" in inspect.signature(getattr(kind, method)).parameters


def frame_of(rows: Sequence[Row]) -> Any:
    """Return rows as a data frame."""
    return _pandas().DataFrame(list(rows))


def _pandas() -> Any:
    return importlib.import_module("pandas")  # River's own extra


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
