"""What a network's outputs stand for where they are no classes: numbers, or labels of a row."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss, mse_loss

from streamreplay.batch import Batch, Scored, objective_of
from streamreplay.learners.scores import LOSS_LIMIT
from streamreplay.state import State, expect

__all__ = ["Outputs", "Said", "label_losses", "say_nothing", "scored", "squared_errors"]

Said: TypeAlias = tuple[
    NDArray[Any], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None
]
"""``prediction``, ``probability``, ``loss`` and ``square_sum`` of a `Scored`."""


def scored(
    incoming: Batch, said: Said, replayed: int = 0, skipped: int = 0, throttled: int = 0
) -> Scored:
    """Put what was said of a batch beside it, and what was done to learn from it."""
    return Scored(incoming, *said[:3], replayed, skipped, throttled, said[3])


class Outputs:
    """The d outputs of a network: losses to descend on, and what is predicted by them.

    Numbers are learned in units of their running standard deviation from their running mean, so
    that their scale does not matter, and predicted on their own. Both are taken from labelled rows
    when these are learned, after they were predicted.

    Parameters
    ----------
    target : float64[n, d] or bool[n, d]
        Any rows, for their type and number.
    huber : float, optional
        Of numbers: standard deviations from which on an error counts linearly.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", 1964.

    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983:
    the update for a batch of rows.
    """

    def __init__(self, target: NDArray[Any], huber: float | None = None) -> None:
        self.objective = objective_of(target)
        self.width = target.shape[1]
        self._huber = huber
        self._rows = 0
        self._mean = np.zeros(self.width)
        self._squares = np.zeros(self.width)  # sum of squared distances from the mean
        self._deviation = np.ones(self.width)

    def meet(self, batch: Batch) -> None:
        """Take the targets of labelled rows into the running mean and deviation."""
        if batch.target is None or self.objective == "labels":
            return
        new = batch.target[batch.y >= 0]
        if not len(new):
            return
        mean = new.mean(axis=0)
        away = new - mean
        delta, total = mean - self._mean, self._rows + len(new)
        self._squares += (away * away).sum(axis=0)
        self._squares += delta * delta * (self._rows * len(new) / total)
        self._mean += delta * (len(new) / total)
        self._rows = total
        self._prepare()

    def _prepare(self) -> None:
        deviation = np.sqrt(self._squares / max(self._rows, 1))
        # of a target that was constant so far; what is left of the mean's own rounding is no scale
        constant = deviation <= 1e-12 * np.abs(self._mean)
        self._deviation = np.where(constant, 1.0, deviation)

    def stage(self, target: NDArray[Any]) -> torch.Tensor:
        """Return targets as the loss takes them: float32[n, d], 0 in rows without."""
        if self.objective == "labels":
            return torch.tensor(target, dtype=torch.float32)
        standard = (target - self._mean) / self._deviation
        return torch.tensor(np.nan_to_num(standard), dtype=torch.float32)

    def losses(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return each row's loss, the mean over its d: float32[n].

        Parameters
        ----------
        outputs : float32[n, d]
        target : float32[n, d]
            As `stage` returns it.
        """
        if self.objective == "labels":
            each = binary_cross_entropy_with_logits(outputs, target, reduction="none")
        elif self._huber is None:
            each = mse_loss(outputs, target, reduction="none")
        else:
            each = huber_loss(outputs, target, reduction="none", delta=self._huber)
        return each.mean(1)

    def slopes(self, outputs: torch.Tensor, batch: Batch) -> NDArray[np.float32]:
        """Return the gradient of each row's loss at its outputs: float32[n, d], 0 if unlabelled."""
        if batch.target is None:
            return np.zeros(tuple(outputs.shape), np.float32)
        leaf = outputs.detach().clone().requires_grad_()
        with torch.enable_grad():
            total = self.losses(leaf, self.stage(batch.target).to(leaf.device)).sum()
        (slopes,) = torch.autograd.grad(total, leaf)
        found: NDArray[np.float32] = slopes.cpu().numpy()
        found[batch.y < 0] = 0
        return found

    def predict(self, outputs: torch.Tensor) -> NDArray[Any]:
        """Return numbers on their own scale, float64[n, d], or probabilities, float32[n, d]."""
        if self.objective == "labels":
            probability: NDArray[Any] = torch.sigmoid(outputs.detach()).cpu().numpy()
            return probability
        if not self._rows:
            return np.full(tuple(outputs.shape), np.nan)
        raw = outputs.detach().cpu().numpy().astype(np.float64)
        return np.asarray(raw * self._deviation + self._mean)

    def score(self, batch: Batch, outputs: torch.Tensor) -> Said:
        """Return what is predicted of a batch, and how far off that is."""
        predicted = self.predict(outputs)
        if self.objective == "labels":
            return predicted >= 0.5, predicted, label_losses(batch, predicted), None
        nothing = np.full(len(batch), np.nan, np.float32)
        return predicted, nothing, squared_errors(batch, predicted), None

    def state_dict(self) -> State:
        """Return the scale of the targets."""
        return {
            "objective": self.objective,
            "width": self.width,
            "huber": self._huber,
            "rows": self._rows,
            "mean": self._mean.copy(),
            "squares": self._squares.copy(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over the scale of targets of the same kind."""
        for name, live in (("objective", self.objective), ("width", self.width)):
            expect(name, state[name], live)
        expect("huber", state["huber"], self._huber)
        self._rows = int(state["rows"])
        self._mean, self._squares = state["mean"].copy(), state["squares"].copy()
        self._prepare()


def say_nothing(batch: Batch, like: NDArray[Any]) -> Said:
    """Return the `Scored` fields of a batch of which nothing can be predicted yet.

    Parameters
    ----------
    batch : Batch
    like : float64[n, d] or bool[n, d]
        Any targets, for their type and number.
    """
    n, shape = len(batch), (len(batch), like.shape[1])
    if objective_of(like) == "labels":
        loss = np.where(batch.y < 0, np.nan, LOSS_LIMIT).astype(np.float32)
        return np.zeros(shape, np.bool_), np.full(shape, np.nan, np.float32), loss, None
    nothing = np.full(n, np.nan, np.float32)
    return np.full(shape, np.nan), nothing, nothing, None


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

    That of one label is at most `LOSS_LIMIT`; NaN where unlabelled.
    """
    if batch.target is None:
        return np.full(len(batch), np.nan, np.float32)
    p = probability.astype(np.float64)
    right = np.where(batch.target, p, 1 - p)
    nats = -np.log(np.maximum(right, np.exp(-LOSS_LIMIT))).mean(axis=1)
    loss: NDArray[np.float32] = np.where(batch.y < 0, np.nan, nats).astype(np.float32)
    return loss
