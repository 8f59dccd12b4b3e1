"""How training steps are taken, whatever the method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

from streamreplay.labels import Name
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.schedules import Schedule

__all__ = ["ClassWeight", "OnDivergence", "Training"]

OnDivergence: TypeAlias = Literal["raise", "skip"]
ClassWeight: TypeAlias = Callable[[Name], float] | Mapping[Any, float]


@final
@dataclass(frozen=True)
class Training:
    """How training steps are taken, whatever the method.

    Attributes
    ----------
    ema : float or None
        Predict with an exponential moving average of the weights: the share of the average, in
        [0, 1), that stays at each step; see `streamreplay.learners.methods.teachers.Average`.
    clip_grad_norm : float or None
        Upper limit on the Euclidean norm of a step's gradient.
    label_smoothing : float
        In [0, 1): the share of a label's weight that is divided among all known classes.
    class_weight : mapping of str or int to float, or callable
        How much rows of a class count in the loss, by the class's name; by its index if the stream
        has no names. 1 for classes that are not in the mapping.
    augment : Augmentation or None
        Changes staged rows for training, see `streamreplay.learners.neural.augment`. It draws from
        torch's global generators, which are the learner's own meanwhile.
    augment_incoming : bool
        Augment incoming rows as well as those of memory.
    schedule : Schedule or None
        The factor of the learning rate, see `streamreplay.learners.neural.schedules`.
    schedule_weight_decay : bool
        Multiply the weight decay as well.
    schedule_restarts : bool
        Restart the schedule with each new experience.
    huber : float or None
        For numbers to predict: standard deviations from which on an error counts linearly.

    Raises
    ------
    ValueError
        A value is out of its range.
    """

    ema: float | None = None
    clip_grad_norm: float | None = None
    label_smoothing: float = 0.0
    class_weight: ClassWeight | None = None
    augment: Augmentation | None = None
    augment_incoming: bool = True
    schedule: Schedule | None = None
    schedule_weight_decay: bool = False
    schedule_restarts: bool = False
    huber: float | None = None

    def __post_init__(self) -> None:
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            raise ValueError(f"clip_grad_norm must be above 0, got {self.clip_grad_norm}")
        if self.huber is not None and not self.huber > 0:
            raise ValueError(f"huber must be above 0, got {self.huber}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        if self.schedule is None and (self.schedule_weight_decay or self.schedule_restarts):
            raise ValueError(
                "schedule_weight_decay and schedule_restarts go with a schedule, got none"
            )
