"""`Step`: what a training pass has computed, and the functions of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from streamreplay.batch import Batch


@dataclass(slots=True, eq=False, repr=False)
class Step:
    """The results of a training pass: incoming rows first, then the rows of memory.

    Attributes
    ----------
    logits : float32[n + k, width]
        The module's outputs, which can be differentiated. For a plain perceptron on the CPU they
        are a leaf, and the learner computes the rest of the backward pass itself.
    y : int64[n + k]
        Label index, -1 where there is none.
    n : int
        The number of incoming rows.
    known : bool[width]
        Classes that a label has named.
    weight : float32[n + k] or None
        The weight of each row's loss; None: all are 1.
    smoothing : float
        The share of label smoothing.
    target : float32[n + k, d] or None
        Standardised numbers, or labels as 0 and 1; None for classes.
    notes : mapping of str to float32[k, ...]
        What was stored with the rows of memory; NaN where nothing was stored.
    """

    logits: torch.Tensor
    y: torch.Tensor
    n: int
    _mask: torch.Tensor | None
    known: torch.Tensor
    _find_recent: Callable[[], torch.Tensor]
    weight: torch.Tensor | None = None
    smoothing: float = 0.0
    target: torch.Tensor | None = None
    notes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    _losses: RowLosses | None = None
    _teach: Callable[[], torch.Tensor] | None = None
    _teacher_logits: torch.Tensor | None = None
    _teacher_known: torch.Tensor | None = None

    @property
    def masked(self) -> torch.Tensor:
        """Logits with -inf for classes that no label has named: float32[n + k, width]."""
        return self.logits if self._mask is None else self.logits + self._mask

    @property
    def recent(self) -> torch.Tensor:
        """Which classes are recent: bool[width].

        Those of the incoming rows, and of as many rows before them as the method looks back.
        """
        return self._find_recent()

    @property
    def teacher_logits(self) -> torch.Tensor | None:
        """The outputs of the method's teacher for the rows: float32[n + k, width], no gradient.

        None while there is no teacher yet. `teacher_known` marks the classes that it knows.
        """
        if self._teacher_logits is None and self._teach is not None:
            self._teacher_logits = self._teach()
        return self._teacher_logits

    @property
    def teacher_known(self) -> torch.Tensor:
        """The classes that the teacher knows: bool[width]."""
        return self.known if self._teacher_known is None else self._teacher_known

    def taught_by(self, teach: Callable[[], torch.Tensor], known: torch.Tensor) -> None:
        """Set the function that computes `teacher_logits` when they are first read."""
        self._teach, self._teacher_known = teach, known

    def aim(self, target: torch.Tensor, losses: RowLosses) -> None:
        """Set targets in place of classes, and the function that returns their losses."""
        self.target, self._losses = target, losses

    def cross_entropy(
        self, logits: torch.Tensor, rows: slice = slice(None), classes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the mean cross-entropy of some rows: weighted, smoothed, without unlabelled ones.

        For rows with numbers or labels, return the mean of their own loss: the squared error,
        Huber's loss, or the cross-entropy of each label.

        Parameters
        ----------
        logits : float32[rows, width]
            -inf for classes that do not take part.
        rows : slice
            Which rows of the step they are.
        classes : bool[width], optional
            The classes that take part, among which labels are smoothed; by default all known ones.
        """
        y = self.y[rows]
        if not len(y):
            return logits.sum()  # the mean of nothing would be NaN
        if self.target is not None and self._losses is not None:
            return self._mean(self._losses(logits, self.target[rows]), y >= 0, rows)
        labelled = y >= 0
        whole = rows == slice(None)  # at least one row has a label, or there would be no step
        if self.weight is None and not self.smoothing and (whole or bool(labelled.any())):
            return cross_entropy(logits, y, ignore_index=-1)
        log_p = torch.log_softmax(logits, 1)
        losses = -log_p.gather(1, y.clamp(min=0)[:, None])[:, 0]
        if self.smoothing:
            among = self.known if classes is None else classes
            uniform = -log_p[:, among].mean(1)
            losses = (1 - self.smoothing) * losses + self.smoothing * uniform
        return self._mean(losses, labelled, rows)

    def _mean(self, losses: torch.Tensor, labelled: torch.Tensor, rows: slice) -> torch.Tensor:
        weight = labelled.to(losses.dtype) if self.weight is None else self.weight[rows] * labelled
        losses = torch.where(labelled, losses, 0.0)
        return (weight * losses).sum() / weight.sum().clamp(min=1e-12)


RowLosses: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Given outputs and targets, float32[n, d] both, return each row's loss, float32[n]."""

Loss: TypeAlias = Callable[[Step], torch.Tensor]
"""Given a step, return a scalar to descend on."""

NoteMaker: TypeAlias = Callable[[Step], Mapping[str, torch.Tensor]]
"""Given a step, return what to store with its incoming rows: float32[n, ...] by name."""


class AskableLearner(Protocol):
    """A learner that answers questions about rows, and is not changed by them."""

    batches: int
    """Batches learned from."""

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label."""

    def losses_after(self, lesson: Batch, batch: Batch) -> NDArray[np.float32]:
        """Return each row's loss after a step of gradient descent on other rows: float32[n]."""

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d]."""

    def gradients(self, batch: Batch) -> NDArray[np.float32]:
        """Return each row's gradient of the loss at the head's weights and bias: float32[n, d]."""


Retrieval: TypeAlias = Callable[[AskableLearner, Batch, Batch, int], NDArray[np.int64]]
"""``retrieve(learner, incoming, candidates, k)`` returns which candidates to rehearse: int64[<= k].

It may call the `TorchLearner`'s `losses`, `losses_after`, `features` and `gradients`."""
