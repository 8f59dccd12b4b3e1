"""Keep what was hard when it came: a reservoir weighted by loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection.base import OnlineSelectionStrategy

LossFunction: TypeAlias = Callable[[Batch], NDArray[Any]]
"""Given n rows, returns the loss of each: float[n]."""

_SMALLEST_UNIFORM = 2.0**-54  # half a step of `Generator.random`: 0 would make a key infinite


@final
class LossAwareSelectionStrategy(OnlineSelectionStrategy):
    """Keep a sample in which a row weighs as much as its loss when it arrived.

    One pass: a row's loss is asked once and never again, and a group is a weighted sample without
    replacement of all rows it was ever offered: its first row is any of them with probability
    proportional to ``loss ** power``, the second any of the others, and so on. What came while the
    model knew little (the start of the stream, of an experience) therefore weighs more.

    A loss is cut to the range from ``min_loss`` to ``max_loss`` first. The upper end is what holds
    off a flood of outliers and wrong labels, which are the hardest rows of all: one row never
    counts more than ``(max_loss / min_loss) ** power`` times as much as another, a hundred times as
    it is. How much of a memory one class can take is set by ``groupby="class"``, not here.

    Parameters
    ----------
    loss : callable
        Given a `Batch` of n rows, returns their losses, float[n]: `TorchLearner.losses`. NaN says
        nothing of how hard a row is, and counts as ``min_loss``.
    power : float
        0 makes the sample uniform; the higher, the more the hardest rows prevail.
    min_loss, max_loss : float
        In the unit of the loss; nats for cross-entropy.

    Raises
    ------
    ValueError
        ``power`` is negative, or the range is not ``0 < min_loss <= max_loss < inf``.

    References
    ----------
    P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
    Processing Letters 97(5), 2006, Algorithm A-Res: the largest ``u ** (1 / w)`` stay. Here those
    with the smallest ``log(-log(1 - u)) - log(w)``, the same order without under- or overflow.

    P. Buzzega, M. Boschi, A. Porrello, S. Calderara, "Rethinking experience replay: a bag of tricks
    for continual learning", ICPR 2020, keeps rows of high loss in a reservoir as well, and asks for
    losses again with each rehearsal.

    Examples
    --------
    >>> strategy = LossAwareSelectionStrategy(lambda rows: rows.x[:, 0])
    >>> rows = Batch.from_arrays([[0.1], [2.0]])
    >>> strategy.make_keys(rows, np.array([0.5, 0.5])).round(3)
    array([ 1.936, -1.06 ])
    """

    def __init__(
        self,
        loss: LossFunction,
        power: float = 1.0,
        *,
        min_loss: float = 0.05,
        max_loss: float = 5.0,
    ) -> None:
        if not 0 <= power < math.inf:
            raise ValueError(f"power must be at least 0, got {power}")
        if not 0 < min_loss <= max_loss < math.inf:
            raise ValueError(
                f"min_loss and max_loss must be 0 < min_loss <= max_loss < inf, got {min_loss} and "
                f"{max_loss}"
            )
        self.loss = loss
        self.power = power
        self.min_loss = min_loss
        self.max_loss = max_loss

    def make_keys(self, rows: Batch, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``log(-log(1 - uniform)) - power * log(loss)``: float64[n], of either sign.

        Raises
        ------
        ValueError
            The loss is not one number for each row.
        """
        if not len(rows):
            return np.empty(0)
        loss = np.asarray(self.loss(rows), np.float64)
        if loss.shape != (len(rows),):
            raise ValueError(f"loss must give [{len(rows)}] for {len(rows)} rows, got {loss.shape}")
        known = np.where(np.isnan(loss), self.min_loss, loss)
        log_weight = self.power * np.log(np.clip(known, self.min_loss, self.max_loss))
        u = np.maximum(uniform, _SMALLEST_UNIFORM)
        key: NDArray[np.float64] = np.log(-np.log1p(-u)) - log_weight
        return key
