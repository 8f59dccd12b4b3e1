"""The records behind a buffer: `Rehearsal`, `Scored` and `Report`.

All of them are columnar: one record holds n rows of the stream, never one object a row.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective, objective_of
from streamreplay.late import Late
from streamreplay.memory import Memory

__all__ = ["LateRows", "Rehearsal", "Report", "Scored"]

_NO_ROWS = np.empty((1, 0), np.int64)  # one pass that rehearses nothing


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """An incoming batch, and the memory it may be rehearsed with.

    A buffer fills in `memory`; a mixer adds which of its rows to rehearse.

    Attributes
    ----------
    incoming : Batch
        New rows: nothing in `memory` is one of them. A learner predicts them all, and learns from
        ``incoming.learnable()``.
    memory : Memory
        The buffer's rows, ``memory.stored``, and the calls that tell the buffer about them.
    rows : int64[steps, k]
        For each training pass, the rows of ``memory.stored`` to rehearse. [1, 0] before a mixer.
    group : int64[steps, k]
        The group each of `rows` was drawn for; -1 where draws were uniform.
    candidates : int64[steps, m] or None
        A wider draw, for a learner that chooses k of them for each pass. `rows` are the first k
        until then, and the learner calls ``memory.replayed`` in place of the mixer. None: `rows`
        are to be rehearsed as they are.
    """

    incoming: Batch
    memory: Memory
    rows: NDArray[np.int64] = field(default_factory=lambda: _NO_ROWS)
    group: NDArray[np.int64] = field(default_factory=lambda: _NO_ROWS)
    candidates: NDArray[np.int64] | None = None

    def drawn(self, step: int = 0) -> Batch:
        """Copy the memory rows that pass ``step`` rehearses."""
        return self.memory.stored.take(self.rows[step])

    def mixed(self, step: int = 0) -> tuple[Batch, NDArray[np.bool_], NDArray[np.int64]]:
        """Join the rows of pass ``step``, incoming ones first, with where each comes from.

        Withheld rows are left out: they are not to be learned.

        Returns
        -------
        batch : Batch
        is_memory : bool[n + k]
            False for incoming rows.
        group : int64[n + k]
            The group a memory row was drawn for, -1 where draws were uniform and for incoming rows.

        Raises
        ------
        ValueError
            Incoming and stored rows do not have the same columns.
        """
        incoming = self.incoming.learnable()
        n, k = len(incoming), self.rows.shape[1]
        return (
            Batch.concat([incoming, self.drawn(step)]),
            np.arange(n + k) >= n,
            np.concatenate([np.full(n, -1), self.group[step]]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """An incoming batch with the predictions that the model made before it learned from it.

    Attributes
    ----------
    incoming : Batch
    prediction : int64[n] or float64[n, d] or bool[n, d]
        Label index, -1 while no class is known; numbers, NaN while no target is known; or which
        labels a row has.
    probability : float32[n] or float32[n, d]
        Of the predicted class, or of each label; NaN of numbers and while no class is known.
    loss : float32[n]
        Negative log-likelihood of the true class in nats (see the learner for how an unseen class
        is scored); squared error, or the negative log-likelihood of each label's presence, as a
        mean over the d; NaN where a row has no label.
    replayed : int
        Memory rows learned from in this step, over all passes.
    skipped : int
        Training passes left out because the loss was not finite.
    throttled : int
        Memory rows that were drawn but left out to keep to a replay budget, over all passes.
    learned : bool
        False if all training passes were left out, so that none of the labelled rows was learned.
    square_sum : float32[n] or None
        For classes: the sum of the squares of all classes' probabilities, from which a row's Brier
        score follows with ``loss``; NaN for rows, and None for batches, where it is not known.
    class_loss : float32[n, classes] or None
        The loss that each class would have as the label; only where labels come late.
    repeat : int64[n] or float64[n, d] or None
        Where labels come late: the label, or target, known last when the row was predicted.
    late : LateRows or None
        Where labels come late: which rows are events, and which bring labels.
    """

    incoming: Batch
    prediction: NDArray[Any]  # int64 [n] | float64 [n, d] | bool [n, d]
    probability: NDArray[np.float32]  # [n] | [n, d]
    loss: NDArray[np.float32]  # [n]
    replayed: int = 0
    skipped: int = 0
    throttled: int = 0
    square_sum: NDArray[np.float32] | None = None  # [n]
    learned: bool = True
    class_loss: NDArray[np.float32] | None = None  # [n, classes]
    repeat: NDArray[Any] | None = None  # int64 [n] | float64 [n, d]
    late: LateRows | None = None

    @property
    def objective(self) -> Objective:
        """Kind of target predicted: one of several classes, numbers, or a set of labels."""
        return objective_of(self.prediction)


@dataclass(frozen=True, slots=True, eq=False)
class LateRows:
    """What n scored records of a stream with late labels are, and what was learned with them.

    Attributes
    ----------
    kind : int8[n]
        As in `Late`.
    event : int64[n]
        As in `Late`.
    learned, withheld : int
        Rows whose labels came, and that were learned, or that a probe keeps from learning.
    repeated, without_event : int
        As in `Late`.
    """

    kind: NDArray[np.int8]  # [n]
    event: NDArray[np.int64]  # [n]
    learned: int
    withheld: int
    repeated: int
    without_event: int

    @property
    def events(self) -> NDArray[np.bool_]:
        """Which records are events: bool[n]."""
        events: NDArray[np.bool_] = self.kind == Late.EVENT
        return events


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The record that a pipeline yields for each incoming batch.

    Attributes
    ----------
    scored : Scored or None
        The predictions of this batch, by the first of several learners; None in the last report of
        a stream, which has no rows.
    metrics : tuple of dict
        The log records that fell due within this batch, in order of position; most reports have
        none. Keys are documented in ``streamreplay schema --log``.
    by_learner : mapping of str to Scored
        The predictions of each of several learners (see `Branches`), by name; else empty.
    """

    scored: Scored | None
    metrics: tuple[dict[str, Any], ...] = ()
    by_learner: Mapping[str, Scored] = field(default_factory=dict)

    def __len__(self) -> int:
        return 0 if self.scored is None else len(self.scored.incoming)

    def with_records(self, records: Sequence[dict[str, Any]]) -> Report:
        """Return the report with more log records, which come first where positions are equal."""
        merged = heapq.merge(records, self.metrics, key=lambda record: int(record["position"]))
        return replace(self, metrics=tuple(merged))

    @property
    def of_rows_left(self) -> bool:
        """Whether it is of no batch of the stream, but of rows learned after its end."""
        return self.scored is not None and self.scored.late is not None and not len(self)
