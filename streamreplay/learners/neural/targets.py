"""What a network's outputs stand for: classes, numbers, or labels of a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    mse_loss,
)

from streamreplay.batch import Batch, Objective, objective_of
from streamreplay.learners.methods.step import Step
from streamreplay.learners.neural.layer_growth import gradients_at_outputs
from streamreplay.learners.predictions import (
    LOSS_LIMIT,
    Predictions,
    label_losses,
    squared_errors,
)
from streamreplay.state import ARRAY, SETTING, Fields, State, load_state

_LOSS_LIMIT = np.float32(LOSS_LIMIT)


@final
class ClassTargets:
    """One of several classes, whose number grows: outputs are logits.

    Examples
    --------
    >>> rows = Batch.from_arrays([[0.0]], [0])
    >>> ClassTargets().predict(torch.tensor([[0.0, 0.0, -torch.inf]]), rows)
    Predictions(prediction=array([0]), probability=array([0.5], dtype=float32), ...)
    """

    STATE = Fields(objective=SETTING)
    objective: ClassVar[Objective] = "classes"
    width = None

    def count_outputs(self, rows: Batch) -> int:
        """Return one output for each class up to the largest label, at least one."""
        return max(1, int(rows.y.max(initial=-1)) + 1)

    def mean_loss(self, outputs: torch.Tensor, rows: Batch) -> torch.Tensor:
        """Return the mean cross-entropy of labelled rows."""
        return cross_entropy(outputs, torch.tensor(rows.y, device=outputs.device))

    def slopes(self, outputs: torch.Tensor, rows: Batch) -> NDArray[np.float32]:
        """Return probabilities, less 1 at the label: float32[n, max(width, largest label + 1)]."""
        p: NDArray[np.float32] = torch.softmax(outputs, 1).cpu().numpy()
        if bool(torch.isneginf(outputs).all()):  # no class is known
            p = np.zeros_like(p)
        return gradients_at_outputs(p, rows.y)

    def predict(self, outputs: torch.Tensor, rows: Batch) -> Predictions:
        """Return the most likely class of each row, of which one at least must be known."""
        y = rows.y
        log_p = torch.log_softmax(outputs.detach(), 1).cpu().numpy()
        each = np.arange(len(y))
        prediction = log_p.argmax(1)
        p = np.exp(log_p)
        probability = p[each, prediction]
        last = outputs.shape[1] - 1
        loss = np.minimum(-log_p[each, np.minimum(y, last)], _LOSS_LIMIT)
        if y.min() < 0 or y.max() > last:
            loss[y > last] = LOSS_LIMIT
            loss[y < 0] = np.nan
        squares = np.einsum("ij,ij->i", p, p)
        if rows.late is None:
            return Predictions(prediction, probability, loss, squares)
        return Predictions(prediction, probability, loss, squares, np.minimum(-log_p, _LOSS_LIMIT))

    def probabilities(self, outputs: torch.Tensor) -> NDArray[np.float32]:
        """Return the probability of each class, 0 for those that no label has named."""
        p: NDArray[np.float32] = torch.softmax(outputs, 1).cpu().numpy()
        return p


class ColumnTargets(ABC):
    """The d targets of a row, which are columns of the stream: as many outputs from the start.

    Parameters
    ----------
    width : int
        d.
    """

    STATE: ClassVar[Fields]
    objective: ClassVar[Objective]

    def __init__(self, width: int) -> None:
        self.width = width

    def count_outputs(self, rows: Batch) -> int:  # noqa: ARG002 - the width is known
        """Return d."""
        return self.width

    def update(self, rows: Batch) -> None:  # noqa: B027 - only numbers have a scale
        """Update the running scale of the targets by those of labelled rows."""

    def aim(self, step: Step, target: NDArray[Any] | None) -> None:
        """Set the staged targets of a training pass, [n + k, d], and their loss."""
        if target is not None:
            step.aim(self.stage(target).to(step.logits.device), self.losses)

    def marks(self, y: torch.Tensor, target: NDArray[Any] | None) -> torch.Tensor:
        """Return what two rows must have in common to be mixed by an augmentation.

        Parameters
        ----------
        y : int64[n]
            On the CPU.
        target : float64[n, d] or bool[n, d] or None

        Returns
        -------
        float32[n, d + 1]
            The staged targets, then ``y``.
        """
        if target is None:
            return y
        staged = self.stage(target)
        return torch.cat([staged, y[:, None].to(staged.dtype)], 1)

    def mean_loss(self, outputs: torch.Tensor, rows: Batch) -> torch.Tensor:
        """Return the mean loss of labelled rows, to be differentiated."""
        if rows.target is None:
            return outputs.sum() * 0
        return self.losses(outputs, self.stage(rows.target).to(outputs.device)).mean()

    def slopes(self, outputs: torch.Tensor, rows: Batch) -> NDArray[np.float32]:
        """Return the gradient of each row's loss at its outputs, 0 if unlabelled: float32[n, d]."""
        if rows.target is None:
            return np.zeros(tuple(outputs.shape), np.float32)
        leaf = outputs.detach().clone().requires_grad_()
        with torch.enable_grad():
            total = self.losses(leaf, self.stage(rows.target).to(leaf.device)).sum()
        (slopes,) = torch.autograd.grad(total, leaf)
        found: NDArray[np.float32] = slopes.cpu().numpy()
        found[rows.y < 0] = 0
        return found

    @abstractmethod
    def stage(self, target: NDArray[Any]) -> torch.Tensor:
        """Return targets as a loss takes them: float32[n, d]."""

    @abstractmethod
    def losses(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of each row over its d staged targets: float32[n]."""

    @abstractmethod
    def predict(self, outputs: torch.Tensor, rows: Batch) -> Predictions:
        """Return the predictions of rows, and how far off they are."""

    @abstractmethod
    def probabilities(self, outputs: torch.Tensor) -> NDArray[np.float32]:
        """Return the probability of each label: float32[n, d].

        Raises
        ------
        ValueError
            The outputs are numbers.
        """


@final
class NumberTargets(ColumnTargets):
    """The d numbers of a row, learned by their squared error.

    Outputs are in units of the numbers' running standard deviation from their running mean, so that
    the scale of the numbers does not matter. Each number is predicted on its own. Mean and
    deviation are updated when labelled rows are learned, after they were predicted.

    Parameters
    ----------
    width : int
        d.
    huber : float, optional
        Standard deviations from which on an error counts linearly.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", 1964.

    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983:
    the update for a batch of rows.
    """

    STATE = Fields(
        objective=SETTING, width=SETTING, _huber=SETTING, _rows=int, _mean=ARRAY, _squares=ARRAY
    )
    objective = "numbers"

    def __init__(self, width: int, huber: float | None = None) -> None:
        super().__init__(width)
        self._huber = huber
        self._rows = 0
        self._mean = np.zeros(width)
        self._squares = np.zeros(width)  # sum of squared distances from the mean
        self._deviation = np.ones(width)

    @property
    def scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean and the deviation of each number: float64[d]."""
        return self._mean, self._deviation

    def update(self, rows: Batch) -> None:
        """Update the running mean and deviation by the targets of labelled rows."""
        if rows.target is None:
            return
        new = rows.target[rows.y >= 0]
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

    def stage(self, target: NDArray[Any]) -> torch.Tensor:
        """Return standardised numbers, 0 in rows without a target: float32[n, d]."""
        standard = (target - self._mean) / self._deviation
        return torch.tensor(np.nan_to_num(standard), dtype=torch.float32)

    def losses(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of each row, or Huber's loss: float32[n]."""
        if self._huber is None:
            return mse_loss(outputs, target, reduction="none").mean(1)
        return huber_loss(outputs, target, reduction="none", delta=self._huber).mean(1)

    def predict(self, outputs: torch.Tensor, rows: Batch) -> Predictions:
        """Return numbers on their own scale: float64[n, d], NaN before the first label."""
        predicted = np.full(tuple(outputs.shape), np.nan)
        if self._rows:
            raw = outputs.detach().cpu().numpy().astype(np.float64)
            predicted = np.asarray(raw * self._deviation + self._mean)
        nothing = np.full(len(rows), np.nan, np.float32)
        return Predictions(predicted, nothing, squared_errors(rows, predicted))

    def probabilities(self, outputs: torch.Tensor) -> NDArray[np.float32]:  # noqa: ARG002 - none
        """Raise ValueError: numbers have no probabilities."""
        raise ValueError("numbers have no probabilities: see predict")

    def state_dict(self) -> State:
        """Return the running scale of the numbers."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load the running scale of as many numbers."""
        self.STATE.load(self, state)
        self._prepare()

    def _prepare(self) -> None:
        deviation = np.sqrt(self._squares / max(self._rows, 1))
        # a number that was constant so far keeps its scale: its deviation is the mean's rounding
        constant = deviation <= 1e-12 * np.abs(self._mean)
        self._deviation = np.where(constant, 1.0, deviation)


@final
class LabelTargets(ColumnTargets):
    """Which of d labels a row has: outputs are a logit for each, learned by its cross-entropy."""

    STATE = Fields(objective=SETTING, width=SETTING)
    objective = "labels"

    def stage(self, target: NDArray[Any]) -> torch.Tensor:
        """Return labels as 0 and 1: float32[n, d]."""
        return torch.tensor(target, dtype=torch.float32)

    def losses(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of each row's labels: float32[n]."""
        return binary_cross_entropy_with_logits(outputs, target, reduction="none").mean(1)

    def predict(self, outputs: torch.Tensor, rows: Batch) -> Predictions:
        """Return the labels with a probability of at least one half: bool[n, d]."""
        probability = self.probabilities(outputs)
        return Predictions(probability >= 0.5, probability, label_losses(rows, probability))

    def probabilities(self, outputs: torch.Tensor) -> NDArray[np.float32]:
        """Return the probability of each label: float32[n, d]."""
        p: NDArray[np.float32] = torch.sigmoid(outputs.detach()).cpu().numpy()
        return p


Targets: TypeAlias = ClassTargets | NumberTargets | LabelTargets


def targets_of(rows: Batch, huber: float | None = None) -> Targets:
    """Return what some rows ask for.

    Parameters
    ----------
    rows : Batch
    huber : float, optional
        For numbers, see `NumberTargets`.

    Examples
    --------
    >>> targets_of(Batch.from_arrays([[0.0]], target=[[1.5, 2.0]])).objective
    'numbers'
    """
    if rows.target is None:
        return ClassTargets()
    width = rows.target.shape[1]
    if objective_of(rows.target) == "labels":
        return LabelTargets(width)
    return NumberTargets(width, huber)


def load_targets(state: State, huber: float | None) -> Targets:
    """Return the targets of a state.

    Raises
    ------
    CheckpointError
        They were learned with another ``huber``.
    """
    targets: Targets = ClassTargets()
    if state["objective"] == "numbers":
        targets = NumberTargets(int(state["width"]), huber)
    elif state["objective"] == "labels":
        targets = LabelTargets(int(state["width"]))
    load_state(targets, state)
    return targets


def check_objective(targets: Targets, batch: Batch) -> None:
    """Raise ValueError if labelled rows ask for something else than what was learned."""
    objective = objective_of(batch.target)
    width = None if batch.target is None else batch.target.shape[1]
    if (objective, width) == (targets.objective, targets.width):
        return
    if batch.target is not None or batch.y.max(initial=-1) >= 0:
        raise ValueError(
            f"target: this learner has learned {_described(targets.objective, targets.width)} "
            f"from the first row on, got rows with {_described(objective, width)}: the target of "
            "a row may be unknown if it is NaN, or if y is -1"
        )


def _described(objective: Objective, width: int | None) -> str:
    return f"{objective}[{'' if width is None else width}]"
