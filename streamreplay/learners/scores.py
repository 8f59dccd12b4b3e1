"""From logits to predictions, their probabilities, and losses."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["LOSS_LIMIT", "Scores", "score", "score_blindly"]

Scores: TypeAlias = tuple[
    NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]
]
"""Of classes: ``prediction``, ``probability``, ``loss`` and ``square_sum`` of a `Scored`."""

LOSS_LIMIT = -math.log(1e-7)
"""The largest loss a row is given, in nats; also that of a class the model has not met."""

_LOSS_LIMIT = np.float32(LOSS_LIMIT)


def score(y: NDArray[np.int64], logits: torch.Tensor) -> Scores:
    """Score rows by their logits [n, width], -inf for classes not known, of which one must be.

    Examples
    --------
    >>> score(np.array([0]), torch.tensor([[0.0, 0.0, -torch.inf]]))
    (array([0]), array([0.5], dtype=float32), array([0.6931472], dtype=float32), array([0.5], ...))
    """
    log_p = torch.log_softmax(logits.detach(), 1).cpu().numpy()
    rows = np.arange(len(y))
    prediction = log_p.argmax(1)
    p = np.exp(log_p)
    probability = p[rows, prediction]
    last = logits.shape[1] - 1
    loss = np.minimum(-log_p[rows, np.minimum(y, last)], _LOSS_LIMIT)
    if y.min() < 0 or y.max() > last:
        loss[y > last] = LOSS_LIMIT
        loss[y < 0] = np.nan
    return prediction, probability, loss, np.einsum("ij,ij->i", p, p)


def score_blindly(y: NDArray[np.int64]) -> Scores:
    """Score rows while no class is known."""
    loss = np.where(y < 0, np.nan, LOSS_LIMIT).astype(np.float32)
    nothing = np.zeros(len(y), np.float32)
    return np.full(len(y), -1), np.full(len(y), np.nan, np.float32), loss, nothing
