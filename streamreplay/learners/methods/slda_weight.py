"""How much the predictions of streaming LDA count, adapted to the stream."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.state import ARRAY, Fields

RECENT = 100
"""Rows learned last whose classes are current."""

_FADING = 0.999  # per row, of the running accuracies and losses
_SHARES = np.array([0.0, 0.1, 0.3, 1.0], np.float32)
_TEMPERATURES = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 8.0], np.float32)


@final
class AdaptiveWeight:
    """Choose the weight of a second classifier by how often both together are right.

    They are judged on incoming rows, before these are learned, and only among the classes that have
    come lately. Accuracy over all classes would favour a classifier that has forgotten the classes
    that do not come at the moment. Of the shares 0, 0.1, 0.3 and 1 of the weight the largest is
    taken whose faded accuracy is within a margin of the best. So the weight of a classifier that
    cannot forget fades out where the stream drifts.

    The sum of log-probabilities is divided by a temperature: the one of a few with the lowest loss
    lately. Two classifiers that have learned from the same rows are too confident together. The
    temperature changes probabilities, and no prediction.

    Parameters
    ----------
    weight : float
        Of the second classifier's log-probabilities at a share of 1.
    margin : float
        How much accuracy a larger share may cost.
    """

    STATE: ClassVar = Fields(_accuracy=ARRAY, _loss=ARRAY)

    def __init__(self, weight: float, margin: float) -> None:
        self._weight = weight
        self._margin = margin
        self._accuracy = np.zeros(len(_SHARES))  # faded
        self._loss = np.zeros(len(_TEMPERATURES))  # faded

    @property
    def share(self) -> float:
        """The share of the weight that counts at present."""
        good = self._accuracy >= self._accuracy.max() - self._margin
        return float(_SHARES[good].max())

    def combine(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of log-probabilities: float32[n, width]."""
        return (first + self._weight * self.share * second) / self.temperature

    @property
    def temperature(self) -> float:
        """The number that the sum of log-probabilities is divided by at present."""
        return float(_TEMPERATURES[self._loss.argmin()])

    def update(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        y: NDArray[np.int64],
        recent: NDArray[np.bool_],
    ) -> None:
        """Update accuracies and losses by predictions of rows that were not learned yet.

        Parameters
        ----------
        first, second : float32[n, width]
            Log-probabilities.
        y : int64[n]
            Rows without a label, or of a class beyond ``width``, are left out.
        recent : bool[classes]
            Which classes have come lately.
        """
        rows = np.flatnonzero((y >= 0) & (y < first.shape[1]))
        among = np.flatnonzero(recent[: first.shape[1]])
        if not len(rows) or not len(among):
            return
        fade, y = _FADING ** len(rows), y[rows]
        one, two = first.detach().cpu()[rows], second.detach().cpu()[rows]
        self._weigh_losses(one + self._weight * self.share * two, y, fade)
        here, there = one.numpy()[:, among], two.numpy()[:, among]
        together = here + self._weight * _SHARES[:, None, None] * there  # [shares, rows, among]
        right = among[together.argmax(2)] == y
        self._accuracy = fade * self._accuracy + (1 - fade) * right.mean(1)

    def _weigh_losses(self, summed: torch.Tensor, y: NDArray[np.int64], fade: float) -> None:
        cooled = torch.log_softmax(summed / torch.from_numpy(_TEMPERATURES)[:, None, None], 2)
        losses = -cooled.numpy()[:, np.arange(len(y)), y]  # [temperatures, rows]
        met = np.isfinite(losses).all(0)  # rows of classes that the module does not know have none
        if met.any():  # limited as scores are, so that no row outweighs all others
            losses = np.minimum(losses[:, met], LOSS_LIMIT)
            self._loss = fade * self._loss + (1 - fade) * losses.mean(1)
