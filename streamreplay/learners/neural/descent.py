"""One step of gradient descent: from what a training pass has computed to other weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch

from streamreplay.batch import Batch
from streamreplay.boost import Boost
from streamreplay.errors import DivergenceError
from streamreplay.learners.methods.gradient_projection import project
from streamreplay.learners.methods.step import Loss, Step
from streamreplay.learners.neural.fastpath import FastPath
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.schedules import Scheduler, set_rate
from streamreplay.learners.neural.training import OnDivergence, Training
from streamreplay.learners.neural.user_functions import loss_of


@final
class Descent:
    """Descend on the loss of a method.

    Parameters
    ----------
    network : Network
    loss : Loss
    reference : Loss or None
        The gradient is projected so as not to raise this loss.
    training : Training
    on_divergence : {"raise", "skip"}
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        reference: Loss | None,
        training: Training,
        on_divergence: OnDivergence,
    ) -> None:
        self._network = network
        self._loss = loss
        self._reference = reference
        self._clip_grad_norm = training.clip_grad_norm
        self._on_divergence = on_divergence
        # whether anything comes between the gradients and the optimizer's step
        self._reads_gradients = (
            on_divergence == "skip" or reference is not None or training.clip_grad_norm is not None
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
        if self._on_divergence == "raise" or not self._network.statistics:
            return []
        return [buffer.clone() for buffer in self._network.statistics]

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
        network, logits = self._network, step.logits
        fast = network.descended(logits)
        loss, reference = loss_of(step, self._loss), self._reference_loss(step)
        diverged = _not_finite(loss, reference)
        if diverged is not None:
            if self._on_divergence == "raise":
                raise _error(diverged, incoming, batches)
            network.restore(before)
            return False
        references = () if reference is None else self._slopes(reference, logits, fast)
        for parameter in network.parameters:
            parameter.grad = None  # what optimizer.zero_grad() does, without its hooks
        loss.backward()  # type: ignore[no-untyped-call]
        if fast is not None and self._reads_gradients:
            fast.backward(logits)
            fast = None
        if self._on_divergence == "skip" and not self._finite_gradients(references):
            network.restore(before)
            return False
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
        at = self._network.trainable if fast is None else [logits]
        found = torch.autograd.grad(
            loss, at, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return found if fast is None else fast.gradients(found[0])

    def _change_gradients(self, references: Sequence[torch.Tensor]) -> None:
        """Project and clip the gradients."""
        parameters = self._network.trainable
        if references:
            mine = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            for parameter, gradient in zip(parameters, project(mine, references), strict=True):
                parameter.grad = gradient
        if self._clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._network.parameters, self._clip_grad_norm)

    def _set_rate(self) -> None:
        """Set the learning rate of the present step."""
        if self.scheduler is not None:
            self.scheduler.set(self._network.optimizer, self.boost.factor)
            self.scheduler.stepped()
        elif self.boost.used:
            set_rate(self._network.optimizer, self.boost.factor)

    def _finite_gradients(self, references: Sequence[torch.Tensor]) -> bool:
        gradients = [p.grad for p in self._network.parameters if p.grad is not None]
        return all(bool(torch.isfinite(each).all()) for each in (*gradients, *references))


def _not_finite(*losses: torch.Tensor | None) -> float | None:
    """Return the first loss that is not finite, None if all are."""
    values = [loss.item() for loss in losses if loss is not None]
    return next((value for value in values if not math.isfinite(value)), None)


def _error(loss: float, incoming: Batch, batches: int) -> DivergenceError:
    return DivergenceError(
        f"loss is {loss} at batch {batches} (stream positions {incoming.t[0]} to "
        f"{incoming.t[-1]}): try a smaller learning rate, or on_divergence = skip"
    )
