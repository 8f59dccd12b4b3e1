"""How training steps are taken, whatever the method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

from streamreplay.labels import Name
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.schedules import Schedule

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
        _check_share("ema", self.ema)
        _check_positive("clip_grad_norm", self.clip_grad_norm)
        _check_positive("huber", self.huber)
        _check_share("label_smoothing", self.label_smoothing)
        for name in ("schedule_weight_decay", "schedule_restarts"):
            if getattr(self, name) and self.schedule is None:
                raise ValueError(f"{name} goes with a schedule, got none")


def _check_share(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")
