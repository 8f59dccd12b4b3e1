"""Errors for what a `Pipeline` cannot take: they name what was expected, and how to get there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    Protocol,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import numpy as np

from streamreplay.batch import Batch
from streamreplay.records import Rehearsal, Report, Scored

__all__ = ["TakesRows", "check_batch", "check_order", "check_source", "check_stages"]

_Types: TypeAlias = tuple[type, ...]

_RECORDS = (Batch, Rehearsal, Scored, Report)
_ORDER = "the usual order is buffer, mixer, learner, evaluator"


@runtime_checkable
class TakesRows(Protocol):
    """A source that makes batches of rows which a program has: dicts, frames, Arrow data."""

    def batch(self, rows: Any, /) -> Batch:
        """Return rows as the next batch."""


def check_stages(stages: Mapping[str, object]) -> None:
    """Check that each stage can be called.

    Raises
    ------
    TypeError
        One cannot, or is a class instead of an object.
    """
    for name, stage in stages.items():
        if isinstance(stage, type):
            raise TypeError(
                f"{name}: a stage is an object, got the class: write {stage.__name__}(...)"
            )
        if isinstance(stage, list | tuple | dict):
            raise TypeError(
                f"{name}: a stage is callable, got {type(stage).__name__}: give each stage by its "
                "name, as in Pipeline(source, learner=..., evaluator=...)"
            )
        if not callable(stage):
            raise TypeError(f"{name}: a stage is callable, got {type(stage).__name__}")


def check_order(stages: Mapping[str, object], first: type | None = Batch) -> None:
    """Check that each stage takes what the one before it yields, and that the last yields `Report`.

    The records are those in the annotations of a stage's ``__call__``. Other annotations, such as
    ``Iterable[object]``, are not checked.

    Parameters
    ----------
    stages : mapping of str to Stage
    first : type, optional
        What the first stage is given; None if that is not known.

    Raises
    ------
    TypeError
        The stages are in the wrong order, or there is no evaluator.

    Examples
    --------
    >>> def score(stream: Iterable[Batch]) -> Iterable[Report]: ...
    >>> check_order({"evaluator": score})
    >>> check_order({"evaluator": score, "again": score})
    Traceback (most recent call last):
    TypeError: again: takes Batch, and evaluator before it yields Report: the usual order is buffer, mixer, learner, evaluator
    """  # noqa: E501 - the message is one line
    before = "the source"
    flow: _Types = () if first is None else (first,)
    for name, stage in stages.items():
        taken, yielded = _record_types(stage)
        if flow and taken and not all(issubclass(each, taken) for each in flow):
            raise TypeError(
                f"{name}: takes {_written(taken)}, and {before} before it yields "
                f"{_written(flow)}: {_ORDER}"
            )
        before, flow = name, yielded
    if flow and not all(issubclass(each, Report) for each in flow):
        raise TypeError(
            f"{before}: the last stage must yield Report, and it yields {_written(flow)}: add an "
            "evaluator, as in evaluator=Prequential()"
        )


def check_source(source: object) -> None:
    """Check that a source is an iterable, of `Batch` as far as that can be told without reading it.

    Raises
    ------
    TypeError
        It is not; the message says how to make a source of it.
    """
    if isinstance(source, list | tuple):
        for place, each in enumerate(source):
            if not isinstance(each, Batch):
                raise TypeError(f"source: must be a list of Batch, got {_kind(each)} at {place}")
        return
    hint = _how_to_wrap(source)
    if hint is not None or not isinstance(source, Iterable):
        raise TypeError(f"source: must be an iterable of Batch, got {_kind(source)}{hint or ''}")


def check_batch(batch: object, hint: str = "") -> None:
    """Check that what a source yields, or `Pipeline.step` is given, is a `Batch`.

    ``hint`` ends the message if it is not.

    Raises
    ------
    TypeError
        It is not.
    """
    if not isinstance(batch, Batch):
        raise TypeError(
            f"a pipeline takes Batch, got {_kind(batch)}: build one with "
            f"Batch.from_arrays(x, y){hint}"
        )


def _how_to_wrap(source: object) -> str | None:
    """Return how to make a source of an object that is known to be none."""
    if isinstance(source, Batch):
        return ": put it into a list, [batch]"
    if isinstance(source, str | Path):
        return ": open the file, CsvSource(path) or JsonlSource(path)"
    if isinstance(source, np.ndarray) or hasattr(source, "__array__"):
        return ": wrap arrays, ArraySource(x, y)"
    if isinstance(source, Mapping):
        return ": give its columns, ArraySource(x, y)"
    return _how_to_wrap_torch(source)


def _how_to_wrap_torch(source: object) -> str | None:
    """Return the same of torch's own; what an iterable or a ``collate_fn`` yields is not known."""
    data: Any = sys.modules.get("torch.utils.data")
    if data is None or isinstance(source, data.IterableDataset):
        return None
    if isinstance(source, data.Dataset):
        return ": wrap it, open_dataset(dataset)"
    defaults = (data.default_collate, data.default_convert)
    if isinstance(source, data.DataLoader) and source.collate_fn in defaults:
        return ": make batches, (Batch.from_arrays(x, y) for x, y in loader)"
    return None


def _record_types(stage: Any) -> tuple[_Types, _Types]:
    """Return the records that a stage takes and yields; () where its annotations do not tell."""
    call = stage if hasattr(stage, "__code__") else type(stage).__call__
    try:
        hints = get_type_hints(call)
        first = next(iter(signature(stage).parameters), "")
    except (NameError, TypeError, ValueError, AttributeError):
        return (), ()
    return _item_types(hints.get(first)), _item_types(hints.get("return"))


def _item_types(stream: object) -> _Types:
    """Return the records in the annotation of an iterable: ``Iterable[Batch | Rehearsal]``."""
    (item, *_) = get_args(stream) or (None,)
    items = get_args(item) if get_origin(item) in (Union, UnionType) else (item,)
    return (
        items
        if all(isinstance(each, type) and issubclass(each, _RECORDS) for each in items)
        else ()
    )


def _written(types: _Types) -> str:
    return " or ".join(each.__name__ for each in types)


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
