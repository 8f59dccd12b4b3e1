"""One step of gradient descent: from what a training pass has computed to other weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.boost import Boost
from streamreplay.errors import DivergenceError
from streamreplay.labels import Labels, Name
from streamreplay.learners.methods.catalogue import Method
from streamreplay.learners.methods.step import Step
from streamreplay.learners.neural.fastpath import FastPath
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.schedules import Scheduler, set_rate
from streamreplay.learners.neural.training import ClassWeight, OnDivergence, Training
from streamreplay.learners.neural.user_functions import loss_of
from streamreplay.records import Rehearsal


def project(
    gradients: Sequence[torch.Tensor], references: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Return the gradient closest to the given one with no negative inner product with another.

    Parameters
    ----------
    gradients, references : sequence of torch.Tensor
        One tensor for each parameter; together they are one vector.

    References
    ----------
    A. Chaudhry et al., "Efficient lifelong learning with A-GEM", 2019, equation 11.

    Examples
    --------
    >>> project([torch.tensor([1.0, -1.0])], [torch.tensor([0.0, 2.0])])[0].tolist()
    [1.0, 0.0]
    """
    pairs = list(zip(gradients, references, strict=True))
    along = sum(float((g.double() * r.double()).sum()) for g, r in pairs)
    length = sum(float((r.double() ** 2).sum()) for r in references)
    if along >= 0 or length == 0:
        return list(gradients)
    factor = along / length
    return [g - factor * r for g, r in pairs]


@final
class RowWeights:
    """Compute the weights of incoming rows and rows of memory.

    Parameters
    ----------
    class_weight : mapping of str or int to float, or callable, or None
        See `streamreplay.learners.neural.training.Training`.
    """

    def __init__(self, class_weight: ClassWeight | None) -> None:
        self._class_weight = class_weight
        self._of_class = torch.ones(0)  # float32[classes met]

    def __call__(
        self, rehearsal: Rehearsal, rows: NDArray[np.int64], y: torch.Tensor
    ) -> torch.Tensor | None:
        """Return the weight of each row, float32[n + k]; None if all count the same.

        Parameters
        ----------
        rehearsal : Rehearsal
        rows : int64[k]
            Rows of its memory.
        y : int64[n + k]
        """
        given = _given_weights(rehearsal, rows, y.device)
        if self._class_weight is None:
            return given
        of_class = self._of_classes(self._class_weight, y, rehearsal.incoming.labels)
        return of_class if given is None else given * of_class

    def _of_classes(
        self, class_weight: ClassWeight, y: torch.Tensor, labels: Labels | None
    ) -> torch.Tensor:
        done = len(self._of_class)
        top = int(y.max()) + 1  # a module may have outputs for classes that nobody has named
        if done < top:
            names = [label if labels is None else labels.name(label) for label in range(done, top)]
            more = torch.tensor([_weight_of(class_weight, name) for name in names])
            self._of_class = torch.cat([self._of_class, more])
        return self._of_class.to(y.device)[y.clamp(min=0)]


def _weight_of(class_weight: ClassWeight, name: Name) -> float:
    """Return the weight of a class; a mapping may also have its name as text, as a job has it."""
    if callable(class_weight):
        return float(class_weight(name))
    return float(class_weight.get(name, class_weight.get(str(name), 1.0)))


def _given_weights(
    rehearsal: Rehearsal, rows: NDArray[np.int64], device: torch.device
) -> torch.Tensor | None:
    """Return the weights that the stream gives, 1 for rows without; None if it gives none."""
    incoming, stored = rehearsal.incoming.weight, rehearsal.memory.stored.weight
    if incoming is None and (stored is None or not len(rows)):
        return None
    mine = np.ones(len(rehearsal.incoming), np.float32) if incoming is None else incoming
    theirs = np.ones(len(rows), np.float32) if stored is None else stored[rows]
    return torch.tensor(np.concatenate([mine, theirs]), device=device)


@final
@dataclass(eq=False, repr=False)
class Descent:
    """Descend on the loss of a method.

    Parameters
    ----------
    network : Network
    method : Method
        The gradient of its loss is projected so as not to raise its ``reference``.
    training : Training
    on_divergence : {"raise", "skip"}
    """

    network: Network
    method: Method
    training: Training
    on_divergence: OnDivergence

    def __post_init__(self) -> None:
        training = self.training
        self._loss, self._reference = self.method.loss, self.method.reference
        # whether anything comes between the gradients and the optimizer's step
        self._reads_gradients = (
            self.on_divergence == "skip"
            or self._reference is not None
            or training.clip_grad_norm is not None
        )
        self.scheduler: Scheduler | None = None
        if training.schedule is not None:
            self.scheduler = Scheduler(
                training.schedule,
                weight_decay=training.schedule_weight_decay,
                restart=training.schedule_restarts,
            )
        self.boost = Boost()
        """The factor of the learning rate in addition to that of the schedule."""

    def remember(self) -> list[torch.Tensor]:
        """Copy what a forward pass changes, where it may have to be restored."""
        if self.on_divergence == "raise" or not self.network.statistics:
            return []
        return [buffer.clone() for buffer in self.network.statistics]

    def step(self, step: Step, incoming: Batch, batches: int, before: list[torch.Tensor]) -> bool:
        """Take a step; return False if its loss or gradient is not finite, and it is left out.

        Parameters
        ----------
        step : Step
        incoming : Batch
            Its incoming rows, for messages.
        batches : int
            Batches learned from so far, for messages.
        before : list of torch.Tensor
            What `remember` returned before the forward pass.

        Raises
        ------
        DivergenceError
            The loss is not finite, and such steps are not to be left out.
        """
        network, logits = self.network, step.logits
        fast = network.descended(logits)
        loss, reference = loss_of(step, self._loss), self._reference_loss(step)
        diverged = _not_finite(loss, reference)
        if diverged is not None:
            if self.on_divergence == "raise":
                raise DivergenceError(
                    f"loss is {diverged} at batch {batches} (stream positions {incoming.t[0]} to "
                    f"{incoming.t[-1]}): try a smaller learning rate, or on_divergence = skip"
                )
            network.restore(before)
            return False
        references = () if reference is None else self._slopes(reference, logits, fast)
        for parameter in network.parameters:
            parameter.grad = None  # what optimizer.zero_grad() does, without its hooks
        loss.backward()  # type: ignore[no-untyped-call]
        if fast is not None and self._reads_gradients:
            fast.backward(logits)
            fast = None
        if self.on_divergence == "skip" and not self._finite_gradients(references):
            network.restore(before)
            return False
        if self._reads_gradients:
            self._change_gradients(references)
        self._set_rate()
        if fast is None:
            network.optimizer.step()
        else:
            fast.step(logits)
        return True

    def _reference_loss(self, step: Step) -> torch.Tensor | None:
        if self._reference is None or step.n == len(step.y):
            return None
        return loss_of(step, self._reference)

    def _slopes(
        self, loss: torch.Tensor, logits: torch.Tensor, fast: FastPath | None
    ) -> Sequence[torch.Tensor]:
        """Return a loss's gradient at the parameters."""
        at = self.network.trainable if fast is None else [logits]
        found = torch.autograd.grad(
            loss, at, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return found if fast is None else fast.gradients(found[0])

    def _change_gradients(self, references: Sequence[torch.Tensor]) -> None:
        """Project and clip the gradients."""
        parameters = self.network.trainable
        if references:
            mine = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            for parameter, gradient in zip(parameters, project(mine, references), strict=True):
                parameter.grad = gradient
        if self.training.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters, self.training.clip_grad_norm)

    def _set_rate(self) -> None:
        """Set the learning rate of the present step."""
        if self.scheduler is not None:
            self.scheduler.set(self.network.optimizer, self.boost.factor)
            self.scheduler.stepped()
        elif self.boost.used:
            set_rate(self.network.optimizer, self.boost.factor)

    def _finite_gradients(self, references: Sequence[torch.Tensor]) -> bool:
        gradients = [p.grad for p in self.network.parameters if p.grad is not None]
        return all(bool(torch.isfinite(each).all()) for each in (*gradients, *references))


def _not_finite(*losses: torch.Tensor | None) -> float | None:
    """Return the first loss that is not finite, None if all are."""
    for loss in losses:
        value = 0.0 if loss is None else loss.item()
        if not math.isfinite(value):
            return value
    return None
