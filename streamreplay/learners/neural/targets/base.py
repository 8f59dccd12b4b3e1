"""What the rows of a stream ask for: the abstract class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective, objective_of
from streamreplay.learners.methods.step import Step
from streamreplay.learners.predictions import Predictions
from streamreplay.state import Fields


class Targets(ABC):
    """What the rows of a stream ask for, and what a network's outputs mean for it.

    Where a method takes ``outputs``, float32[n, width], those of classes that no label has named
    yet are -inf.
    """

    STATE: ClassVar[Fields]
    objective: ClassVar[Objective]
    width: int | None = None
    """How many outputs there are; None for classes, which grow in number."""

    def __str__(self) -> str:
        return f"{self.objective}[{'' if self.width is None else self.width}]"

    def check(self, batch: Batch) -> None:
        """Raise ValueError if labelled rows ask for something else."""
        objective = objective_of(batch.target)
        width = None if batch.target is None else batch.target.shape[1]
        if (objective, width) == (self.objective, self.width):
            return
        if batch.target is not None or batch.y.max(initial=-1) >= 0:
            got = f"{objective}[{'' if width is None else width}]"
            raise ValueError(
                f"target: this learner has learned {self} from the first row on, got rows with "
                f"{got}: the target of a row may be unknown if it is NaN, or if y is -1"
            )

    @abstractmethod
    def count_outputs(self, rows: Batch) -> int:
        """Return the number of outputs that a module for such rows needs."""

    @abstractmethod
    def update(self, rows: Batch) -> None:
        """Update the running scale of the targets by those of labelled rows."""

    @abstractmethod
    def aim(self, step: Step, target: NDArray[Any] | None) -> None:
        """Set the targets of a training pass, [n + k, d], and their loss."""

    @abstractmethod
    def marks(self, y: torch.Tensor, target: NDArray[Any] | None) -> torch.Tensor:
        """Return what two rows must have in common to be mixed by an augmentation.

        Parameters
        ----------
        y : int64[n]
            On the CPU.
        target : float64[n, d] or bool[n, d] or None
        """

    @abstractmethod
    def mean_loss(self, outputs: torch.Tensor, rows: Batch) -> torch.Tensor:
        """Return the mean loss of labelled rows, to be differentiated."""

    @abstractmethod
    def slopes(self, outputs: torch.Tensor, rows: Batch) -> NDArray[np.float32]:
        """Return the gradient of each row's loss at its outputs, 0 for unlabelled rows."""

    @abstractmethod
    def predict(self, outputs: torch.Tensor, rows: Batch) -> Predictions:
        """Return the predictions of rows, and how far off they are."""

    @abstractmethod
    def unknown(self, rows: Batch) -> Predictions:
        """Return the predictions of rows while nothing is known to predict."""

    @abstractmethod
    def probabilities(self, outputs: torch.Tensor) -> NDArray[np.float32]:
        """Return the probability of each class or label: float32[n, width].

        Raises
        ------
        ValueError
            The outputs are numbers.
        """
