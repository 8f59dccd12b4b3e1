"""How far a second opinion is to be trusted, found out as the stream goes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.state import State

__all__ = ["RECENT", "Gate"]

RECENT = 100
"""Rows whose classes are in play."""

_FADING = 0.999  # of what is known of each share, a row


class Gate:
    """Choose how much of a second predictor's weight counts, by how right the two are together.

    Judged are incoming rows, before they are learned from, and among the classes that have come
    lately. Accuracy over all classes would favour whoever has forgotten those that do not come at
    the moment; among the classes in play, who knows the present best is right most often. The
    largest of the shares 0, 0.1, 0.3 and 1 is taken whose faded accuracy is within a margin of the
    best: where the stream drifts, what cannot forget is left behind and fades out.

    The sum is divided by the one of a few temperatures by which rows lost least lately, as two
    opinions that rest on the same rows are together too sure of themselves. That changes
    probabilities, and no prediction.

    Parameters
    ----------
    weight : float
        Of the second predictor's log-probabilities at a share of 1.
    margin : float
        What more of the second opinion may cost in accuracy.
    """

    def __init__(self, weight: float, margin: float) -> None:
        self._weight = weight
        self._margin = margin
        self._accuracy = np.zeros(len(_SHARES))  # faded
        self._loss = np.zeros(len(_TEMPERATURES))  # faded

    @property
    def share(self) -> float:
        """What the second predictor counts at present, times the weight."""
        good = self._accuracy >= self._accuracy.max() - self._margin
        return float(_SHARES[good].max())

    def combine(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Add log-probabilities float32[n, width]."""
        return (first + self._weight * self.share * second) / self.temperature

    @property
    def temperature(self) -> float:
        """What the sum of log-probabilities is divided by at present."""
        return float(_TEMPERATURES[self._loss.argmin()])

    def watch(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        y: NDArray[np.int64],
        recent: NDArray[np.bool_],
    ) -> None:
        """Take in what both said of rows before either had learned from them.

        Parameters
        ----------
        first, second : float32[n, width]
            Log-probabilities.
        y : int64[n]
            Rows without a label, or of a class beyond ``width``, are left out.
        recent : bool[classes]
            Which classes are in play.
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
        met = np.isfinite(losses).all(0)  # of another class than the module knows, a row tells none
        if met.any():  # capped as scores are: no row is to outweigh all others
            losses = np.minimum(losses[:, met], LOSS_LIMIT)
            self._loss = fade * self._loss + (1 - fade) * losses.mean(1)

    def state_dict(self) -> State:
        """Return the accuracies and losses."""
        return {"accuracy": self._accuracy, "loss": self._loss}

    def load_state_dict(self, state: State) -> None:
        """Take over accuracies and losses."""
        self._accuracy, self._loss = state["accuracy"].copy(), state["loss"].copy()


_SHARES = np.array([0.0, 0.1, 0.3, 1.0], np.float32)
_TEMPERATURES = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 8.0], np.float32)
