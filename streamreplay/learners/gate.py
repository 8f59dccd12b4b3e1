"""How far a second opinion is to be trusted, found out as the stream goes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.stage import State

__all__ = ["RECENT", "Gate"]

RECENT = 100
"""Rows whose classes are in play."""

_FADING = 0.999  # of what is known of each share, a row
_MARGIN = 0.01  # accuracy that more of the second opinion may cost


class Gate:
    """Choose how much of a second predictor's weight counts, by how right the two are together.

    Judged are incoming rows, before they are learned from, and among the classes that have come
    lately. Accuracy over all classes would favour whoever has forgotten those that do not come at
    the moment; among the classes in play, who knows the present best is right most often. The
    largest of the shares 0, 0.1, 0.3 and 1 is taken whose faded accuracy is within a point of
    the best: where the stream drifts, what cannot forget is left behind and fades out.

    Parameters
    ----------
    weight : float
        Of the second predictor's log-probabilities at a share of 1.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._accuracy = np.zeros(len(_SHARES))  # faded

    @property
    def share(self) -> float:
        """What the second predictor counts at present, times the weight."""
        good = self._accuracy >= self._accuracy.max() - _MARGIN
        return float(_SHARES[good].max())

    def combine(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Add log-probabilities float32[n, width]."""
        return first + self._weight * self.share * second

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
        here = np.ix_(rows, among)
        one, two = first.detach().cpu().numpy()[here], second.detach().cpu().numpy()[here]
        together = one + self._weight * _SHARES[:, None, None] * two  # [shares, rows, among]
        right = among[together.argmax(2)] == y[rows]
        fade = _FADING ** len(rows)
        self._accuracy = fade * self._accuracy + (1 - fade) * right.mean(1)

    def state_dict(self) -> State:
        """Return the accuracies."""
        return {"accuracy": self._accuracy}

    def load_state_dict(self, state: State) -> None:
        """Take over accuracies."""
        self._accuracy = state["accuracy"].copy()


_SHARES = np.array([0.0, 0.1, 0.3, 1.0], np.float32)
