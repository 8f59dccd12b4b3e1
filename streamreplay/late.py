"""`Late`: how a batch follows from the records of a stream whose labels come late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Late"]

AnyBatch = TypeVar("AnyBatch")  # `Batch`, which refers to this module


@dataclass(frozen=True, slots=True, eq=False)
class Late(Generic[AnyBatch]):
    """How the m rows of a batch follow from n records of a stream whose labels come late.

    A record is an event, or the label of an event that came before. The rows of the batch are the
    events, to be predicted, and the events whose labels have come, to be learned.

    Attributes
    ----------
    records : Batch
        The n records; `y` is -1 unless the record brings a label that is scored.
    kind : int8[n]
        `EVENT`, `LABEL`, or `NOTHING`: a label that cannot be used.
    event : int64[n]
        The position of the event that a label belongs to; -1 for other records.
    repeat : int64[n] or float64[n, d]
        The label, or target, that was known last when the record's event came; -2, or NaN, before
        there was one.
    place : int64[m]
        The record that a row's prediction is for; -1 for rows that are only learned.
    before : bool[m]
        Rows that were predicted before: when their event came.
    held : bool[m]
        Rows whose label may still come, so that their prediction has to be kept.
    waiting : bool[m]
        Rows that are withheld because they have no label yet.
    gone : int64[k]
        Positions of events that are not held any longer without their label having come.
    repeated, without_event : int
        Labels of events that have one already, and of events that are not held.
    experience : int
        The experience in which the records come.
    """

    EVENT: ClassVar[int] = 0
    LABEL: ClassVar[int] = 1
    NOTHING: ClassVar[int] = 2

    records: AnyBatch
    kind: NDArray[np.int8]
    event: NDArray[np.int64]
    repeat: NDArray[Any]
    place: NDArray[np.int64]
    before: NDArray[np.bool_]
    held: NDArray[np.bool_]
    waiting: NDArray[np.bool_]
    gone: NDArray[np.int64]
    repeated: int
    without_event: int
    experience: int
