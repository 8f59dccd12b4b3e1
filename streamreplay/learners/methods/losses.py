"""Losses of the replay methods: functions of a `Step`."""

from __future__ import annotations

import torch
from torch.nn.functional import kl_div, log_softmax, softmax

from streamreplay.errors import ConfigError
from streamreplay.learners.methods.step import Loss, Step


def both(step: Step) -> torch.Tensor:
    """Return the mean cross-entropy over incoming rows and memory together: experience replay.

    References
    ----------
    A. Chaudhry et al., "On tiny episodic memories in continual learning", 2019.
    """
    return step.cross_entropy(step.masked)


def on_incoming(step: Step) -> torch.Tensor:
    """Return the mean cross-entropy over the incoming rows."""
    return step.cross_entropy(step.masked[: step.n], slice(0, step.n))


def on_memory(step: Step) -> torch.Tensor:
    """Return the mean cross-entropy over the rows of memory; 0 where there are none."""
    return step.cross_entropy(step.masked[step.n :], slice(step.n, None))


def asymmetric(step: Step) -> torch.Tensor:
    """Return the asymmetric cross-entropy of ER-ACE.

    Incoming rows compete only with the classes that are `Step.recent`, so that new classes do not
    push old ones away; rows of memory compete with all classes. The two means are summed.

    References
    ----------
    L. Caccia et al., "New insights on reducing abrupt representation change in online continual
    learning", 2022, equation 4.
    """
    _need_classes(step, "asymmetric cross-entropy")
    recent = step.recent
    among = step.masked[: step.n].masked_fill(~recent, -torch.inf)
    incoming = step.cross_entropy(among, slice(0, step.n), recent)
    return incoming + on_memory(step)


def dark(base: Loss, alpha: float, beta: float = 0.0) -> Loss:
    """Return a loss that also keeps logits close to those stored with the rows: DER and DER++.

    To ``base`` it adds ``alpha`` times the mean squared distance between the logits of memory rows
    and those stored when the rows came in, and ``beta`` times their cross-entropy. Classes that had
    no output or no label then have no stored logit, and are left out.

    Parameters
    ----------
    base : callable
        `on_incoming` for the published methods.
    alpha, beta : float
        Weights; ``beta`` 0 is DER.

    References
    ----------
    P. Buzzega et al., "Dark experience for general continual learning", 2020, equations 5 and 6;
    there each of the two terms has a draw of its own, here they share one.
    """

    def loss(step: Step) -> torch.Tensor:
        total = base(step) + alpha * _distance_to_stored(step)
        return total + beta * on_memory(step) if beta else total

    return loss


def distilled(base: Loss, weight: float, temperature: float) -> Loss:
    """Return a loss that also follows the method's teacher: LwF and momentum distillation.

    To ``base`` it adds ``weight`` x T^2 times the mean Kullback-Leibler divergence from the
    teacher's to the module's distribution, both softened by T, over the classes that the teacher
    knows.

    Parameters
    ----------
    base : callable
    weight : float
    temperature : float
        T, above 0.

    References
    ----------
    Z. Li, D. Hoiem, "Learning without forgetting", 2016, equation 3, with the factor T^2 of
    G. Hinton et al., "Distilling the knowledge in a neural network", 2015; N. Michel et al.,
    "Rethinking momentum knowledge distillation in online continual learning", 2024, equation 4.
    """

    def loss(step: Step) -> torch.Tensor:
        _need_classes(step, "distillation")
        told, total = step.teacher_logits, base(step)
        if told is None or not bool(step.teacher_known.any()):
            return total
        known = step.teacher_known
        mine = log_softmax(step.logits[:, known] / temperature, 1)
        theirs = softmax(told[:, known] / temperature, 1)
        apart = kl_div(mine, theirs, reduction="batchmean")
        return total + weight * temperature**2 * apart

    return loss


def _need_classes(step: Step, what: str) -> None:
    if step.target is not None:
        raise ConfigError(f"learner.method: {what} is for classes, and rows have targets instead")


def _distance_to_stored(step: Step) -> torch.Tensor:
    stored = step.notes.get("logits")
    logits = step.logits[step.n :]
    if stored is None or not len(logits):
        return step.logits.new_zeros(())
    # a head that has grown is wider than the stored logits, a fresh head may be narrower
    width = min(logits.shape[1], stored.shape[1])
    logits, stored = logits[:, :width], stored[:, :width]
    there = ~stored.isnan()
    squares = torch.where(there, logits - stored, 0.0) ** 2
    return squares.sum() / there.sum().clamp(min=1)
