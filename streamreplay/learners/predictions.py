"""What a learner predicts of rows, and how far off each prediction is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective, objective_of
from streamreplay.records import Rehearsal, Scored

LOSS_LIMIT = -math.log(1e-7)
"""The largest loss of a row, in nats; also the loss of a class that the model has not met."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The predictions of n rows, as a `Scored` holds them.

    Attributes
    ----------
    prediction : int64[n] or float64[n, d] or bool[n, d]
    probability : float32[n] or float32[n, d]
    loss : float32[n]
    square_sum : float32[n] or None
    class_loss : float32[n, classes] or None
    """

    prediction: NDArray[Any]  # int64 [n] | float64 [n, d] | bool [n, d]
    probability: NDArray[np.float32]  # [n] | [n, d]
    loss: NDArray[np.float32]  # [n]
    square_sum: NDArray[np.float32] | None = None  # [n]
    class_loss: NDArray[np.float32] | None = None  # [n, classes]

    def scored(
        self,
        incoming: Batch,
        replayed: int = 0,
        skipped: int = 0,
        throttled: int = 0,
        *,
        learned: bool = True,
    ) -> Scored:
        """Return the record of a batch with these predictions and the counts of its step."""
        return Scored(
            incoming,
            self.prediction,
            self.probability,
            self.loss,
            replayed,
            skipped,
            throttled,
            self.square_sum,
            learned,
            self.class_loss,
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """What a learner predicts of rows that it does not learn.

    Attributes
    ----------
    predictions : Predictions
        Those that the rows would have had if they had come next in the stream.
    probabilities : callable
        Returns the probability of every class or label: float32[n, classes], 0 for classes that no
        label has named; raises ValueError for numbers.
    """

    predictions: Predictions
    probabilities: Callable[[], NDArray[np.float32]]


def unknown(batch: Batch) -> Predictions:
    """Return the predictions of a learner that has learned nothing yet.

    Their shape is that of the batch's own targets.
    """
    width = None if batch.target is None else batch.target.shape[1]
    return unknown_rows(batch.y, objective_of(batch.target), width)


def unknown_rows(y: NDArray[np.int64], objective: Objective, width: int | None) -> Predictions:
    """Return the predictions of rows while nothing is known to predict.

    For classes that is -1; for ``width`` numbers NaN; for ``width`` labels none of them. Classes
    and labels have the largest loss, unlabelled rows NaN.
    """
    nothing = np.full(len(y), np.nan, np.float32)
    largest = np.where(y < 0, np.nan, LOSS_LIMIT).astype(np.float32)
    if width is None:
        return Predictions(np.full(len(y), -1), nothing, largest, np.zeros(len(y), np.float32))
    shape = (len(y), width)
    if objective == "numbers":
        return Predictions(np.full(shape, np.nan), nothing, nothing)
    return Predictions(np.zeros(shape, np.bool_), np.full(shape, np.nan, np.float32), largest)


def squared_errors(batch: Batch, prediction: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean squared error of each row's d numbers: float32[n], NaN where unlabelled."""
    if batch.target is None:
        return np.full(len(batch), np.nan, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = ((prediction - batch.target) ** 2).mean(axis=1)
        loss: NDArray[np.float32] = np.where(batch.y < 0, np.nan, mean).astype(np.float32)
    return loss


def label_losses(batch: Batch, probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean negative log-likelihood of each row's d labels, in nats: float32[n].

    That of one label is at most `LOSS_LIMIT`. Unlabelled rows have NaN.
    """
    if batch.target is None:
        return np.full(len(batch), np.nan, np.float32)
    p = probability.astype(np.float64)
    right = np.where(batch.target, p, 1 - p)
    nats = -np.log(np.maximum(right, np.exp(-LOSS_LIMIT))).mean(axis=1)
    loss: NDArray[np.float32] = np.where(batch.y < 0, np.nan, nats).astype(np.float32)
    return loss


def step_around(
    rehearsal: Rehearsal,
    step: Callable[[Rehearsal], Scored],
    predict: Callable[[Batch], Predictions],
) -> Scored:
    """Predict a whole batch, and learn from the rows of it that are not withheld.

    Parameters
    ----------
    rehearsal : Rehearsal
        The mask of its incoming batch marks the rows that are withheld.
    step : callable
        Predicts a batch and then learns from it.
    predict : callable
        Predicts rows and leaves no trace. It is called first.
    """
    incoming = rehearsal.incoming
    withheld = incoming.withheld
    if withheld is None:
        return step(rehearsal)
    inside = predict(incoming.take(withheld).withholding(None))
    if withheld.all():
        return inside.scored(incoming)
    rest = step(replace(rehearsal, incoming=incoming.learnable()))
    squares = inside.square_sum
    if squares is not None and rest.square_sum is not None:
        squares = _merge(withheld, squares, rest.square_sum)
    return replace(
        rest,
        incoming=incoming,
        prediction=_merge(withheld, inside.prediction, rest.prediction),
        probability=_merge(withheld, inside.probability, rest.probability),
        loss=_merge(withheld, inside.loss, rest.loss),
        square_sum=squares,
        class_loss=_merge_wide(withheld, inside.class_loss, rest.class_loss),
    )


def _merge(mask: NDArray[np.bool_], inside: NDArray[Any], outside: NDArray[Any]) -> NDArray[Any]:
    """Merge the rows where a mask is true with the others, in the order of the mask."""
    merged = np.empty((len(mask), *outside.shape[1:]), outside.dtype)
    merged[mask], merged[~mask] = inside, outside
    return merged


def _merge_wide(
    mask: NDArray[np.bool_], inside: NDArray[np.float32] | None, outside: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    """Merge the losses of classes of two parts, which may know different numbers of classes."""
    parts = [(rows, part) for rows, part in ((mask, inside), (~mask, outside)) if part is not None]
    if not parts:
        return None
    width = max(part.shape[1] for _, part in parts)
    merged = np.full((len(mask), width), LOSS_LIMIT, np.float32)
    for rows, part in parts:
        merged[np.flatnonzero(rows)[:, None], np.arange(part.shape[1])] = part
    return merged
