"""Schedules of the learning rate for streams without an end.

A schedule is a callable ``step -> factor``: given the number of training steps since the start, or
since the last restart, it returns the factor of the learning rate in the next step. It is a closed
form of that number, so only the number has to be saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias, final

from torch import Tensor
from torch.optim import Optimizer

from streamreplay.errors import ConfigError
from streamreplay.state import GIVEN, SETTING, Fields

Schedule: TypeAlias = Callable[[int], float]
"""Given training steps taken, at least 0, return a factor of at least 0."""


def constant() -> Schedule:
    """Return the schedule that is always 1.

    Examples
    --------
    >>> constant()(1_000_000)
    1.0
    """
    return lambda _step: 1.0


def warmup(steps: int, then: Schedule | None = None) -> Schedule:
    """Return a schedule that rises to another one in ``steps`` equal steps, and then follows it.

    Step i has the factor min(1, (i + 1) / ``steps``) times that of ``then``, which counts steps
    from the start as well.

    Parameters
    ----------
    steps : int
        At least 0.
    then : Schedule, optional
        By default always 1.

    Raises
    ------
    ValueError
        ``steps`` is negative.

    Examples
    --------
    >>> [warmup(4)(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    after = then or constant()

    def factor(step: int) -> float:
        if step + 1 < steps:
            return after(step) * ((step + 1) / steps)
        return after(step)

    return factor


def inverse_sqrt(scale: float) -> Schedule:
    """Return a decay without an end: (1 + step / ``scale``) ** -0.5.

    It is 0.71 after ``scale`` steps, and 0.1 after 99 times as many. That is slow enough for steps
    to add up without bound, which convergence on a stationary stream requires (Robbins, Monro
    1951).

    Parameters
    ----------
    scale : float
        Steps, above 0.

    Raises
    ------
    ValueError
        ``scale`` is not above 0.

    Examples
    --------
    >>> inverse_sqrt(100)(300)
    0.5
    """
    _check_positive("scale", scale)
    return lambda step: 1 / math.sqrt(1 + step / scale)


def inverse_time(scale: float) -> Schedule:
    """Return a faster decay without an end: 1 / (1 + step / ``scale``).

    With it the weights of a linear model converge on a stationary stream. On a stream that drifts,
    a learner can no longer follow unless the schedule is restarted.

    Parameters
    ----------
    scale : float
        Steps, above 0.

    Raises
    ------
    ValueError
        ``scale`` is not above 0.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22,
    1951.

    Examples
    --------
    >>> inverse_time(100)(300)
    0.25
    """
    _check_positive("scale", scale)
    return lambda step: 1 / (1 + step / scale)


def cosine(period: int, *, floor: float = 0.0, growth: int = 1) -> Schedule:
    """Return cosine decay with warm restarts: from 1 to ``floor`` within a period, then from 1.

    Parameters
    ----------
    period : int
        Steps of the first period, at least 1.
    floor : float
        The factor at the end of a period, from 0 to 1.
    growth : int
        How many times longer each period is than the one before, at least 1.

    Raises
    ------
    ValueError
        A number is out of its range.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    equation 5; T_0 is ``period``, T_mult is ``growth``.

    Examples
    --------
    >>> [round(cosine(4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 1.0, 0.854]
    """
    if period < 1 or growth < 1:
        raise ValueError(
            f"period and growth must be at least 1, got period={period}, growth={growth}"
        )
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must be between 0 and 1, got {floor}")

    def factor(step: int) -> float:
        length = period
        if growth == 1:
            step %= length
        while step >= length:  # once for each restart: the logarithm of the step
            step -= length
            length *= growth
        return floor + (1 - floor) * (1 + math.cos(math.pi * step / length)) / 2

    return factor


@final
class Scheduler:
    """Set an optimizer's learning rate before each training step, by a schedule.

    The rate is the factor times the ``initial_lr`` of the optimizer's group of parameters: the rate
    it was built with, as for torch's own schedulers. AdamW and SGD multiply their weight decay with
    the learning rate anyway, so both shrink together; with ``weight_decay`` the decay itself
    follows the schedule too.

    Parameters
    ----------
    schedule : Schedule
    weight_decay : bool
        Multiply the weight decay with the factor as well.
    restart : bool
        Count steps again from each new experience on.

    Examples
    --------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    >>> scheduler = Scheduler(inverse_sqrt(100))
    >>> scheduler.steps = 300
    >>> scheduler.set(optimizer)
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    STATE: ClassVar = Fields(steps=int, _experience=GIVEN, _scheduled=SETTING)

    def __init__(
        self, schedule: Schedule, *, weight_decay: bool = False, restart: bool = False
    ) -> None:
        self._schedule = schedule
        self._scheduled = ["lr", "weight_decay"] if weight_decay else ["lr"]
        self._restarts = restart
        self._experience: int | None = None
        self.steps = 0
        """Training steps since the start or the last restart."""

    def arrive(self, experience: int) -> None:
        """Note the experience of the next rows, and restart if it is a new one."""
        if self._restarts and experience != self._experience:
            self._experience = experience
            self.restart()

    def restart(self) -> None:
        """Count steps from here on."""
        self.steps = 0

    def set(self, optimizer: Optimizer, boost: float = 1.0) -> None:
        """Set the rates of the next training step.

        Parameters
        ----------
        optimizer : Optimizer
        boost : float
            Another factor of the learning rate, in addition to the schedule.

        Raises
        ------
        ConfigError
            The schedule does not return a factor.
        """
        factor = float(self._schedule(self.steps))
        if not 0 <= factor < math.inf:
            raise ConfigError(
                f"learner.schedule: a factor is at least 0 and finite, got {factor} at step "
                f"{self.steps}"
            )
        for group in optimizer.param_groups:
            for name in self._scheduled:
                _set(group, name, factor * boost if name == "lr" else factor)

    def stepped(self) -> None:
        """Count a training step."""
        self.steps += 1


def set_rate(optimizer: Optimizer, factor: float) -> None:
    """Multiply the learning rate that an optimizer was built with; for use without a schedule.

    Examples
    --------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    >>> set_rate(optimizer, 0.5)
    >>> set_rate(optimizer, 0.5)
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """
    for group in optimizer.param_groups:
        _set(group, "lr", factor)


def _set(group: dict[str, Any], name: str, factor: float) -> None:
    live = group[name]
    base = group.setdefault(f"initial_{name}", float(live))
    if isinstance(live, Tensor):  # for a compiled step
        live.fill_(base * factor)
    else:
        group[name] = base * factor


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value}")
