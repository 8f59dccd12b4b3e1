"""One of several classes a row, whose number grows."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from streamreplay.batch import Batch
from streamreplay.learners.methods.step import Step
from streamreplay.learners.neural.head_view import gradients_at_outputs
from streamreplay.learners.neural.targets.base import Targets
from streamreplay.learners.predictions import LOSS_LIMIT, Predictions, unknown_classes
from streamreplay.state import SETTING, Fields

_LOSS_LIMIT = np.float32(LOSS_LIMIT)


@final
class ClassTargets(Targets):
    """One of several classes, whose number grows: outputs are logits.

    Examples
    --------
    >>> rows = Batch.from_arrays([[0.0]], [0])
    >>> ClassTargets().predict(torch.tensor([[0.0, 0.0, -torch.inf]]), rows)
    Predictions(prediction=array([0]), probability=array([0.5], dtype=float32), ...)
    """

    STATE = Fields(objective=SETTING)
    objective = "classes"

    def count_outputs(self, rows: Batch) -> int:
        """Return one output for each class up to the largest label, at least one."""
        return max(1, int(rows.y.max(initial=-1)) + 1)

    def update(self, rows: Batch) -> None:
        """Do nothing: classes have no scale."""

    def aim(self, step: Step, target: NDArray[Any] | None) -> None:
        """Do nothing: the loss of a class takes the label, which the step has."""

    def marks(self, y: torch.Tensor, target: NDArray[Any] | None) -> torch.Tensor:  # noqa: ARG002 - none
        """Return the labels: int64[n]."""
        return y

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
        return Predictions(prediction, probability, loss, np.einsum("ij,ij->i", p, p))

    def unknown(self, rows: Batch) -> Predictions:
        """Return -1 for each row, with the largest loss."""
        return unknown_classes(rows.y)

    def probabilities(self, outputs: torch.Tensor) -> NDArray[np.float32]:
        """Return the probability of each class, 0 for those that no label has named."""
        p: NDArray[np.float32] = torch.softmax(outputs, 1).cpu().numpy()
        return p
