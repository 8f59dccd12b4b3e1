"""Build the augmentation, the schedule and the replay budget of ``[learner]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from streamreplay.config.building.user_code import UserCode, is_import_path
from streamreplay.config.job import LearnerSection
from streamreplay.config.parsing.expressions import construct
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.catalogue import Method
from streamreplay.learners.neural import augment, schedules
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.schedules import Schedule

AUGMENTATIONS: Mapping[str, Callable[..., Augmentation]] = {
    "crop": augment.crop,
    "flip": augment.flip,
    "jitter": augment.jitter,
    "cutout": augment.cutout,
    "noise": augment.noise,
    "feature_dropout": augment.feature_dropout,
    "mixup": augment.mixup,
}
"""Names that a job may write in ``learner.augment``."""

SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "constant": schedules.constant,
    "inverse_sqrt": schedules.inverse_sqrt,
    "inverse_time": schedules.inverse_time,
    "cosine": schedules.cosine,
}
"""Names that a job may write in ``learner.schedule``."""


def make_augmentation(settings: LearnerSection) -> Augmentation | None:
    """Return one augmentation that applies those of the job in order; None if it has none.

    Raises
    ------
    ConfigError
        An augmentation cannot be constructed.
    """
    if not settings.augment:
        if not settings.augment_incoming:
            raise ConfigError("learner.augment_incoming: goes with learner.augment, got none")
        return None
    return augment.compose(*map(_augmentation, count(), settings.augment))


def _augmentation(place: int, text: str) -> Augmentation:
    key = f"learner.augment[{place}]"
    if not is_import_path(text):
        ours: Augmentation = construct(key, text, AUGMENTATIONS)
        return ours
    name = text.strip()
    return UserCode("learner.augment", name).wrap(
        UserCode(key, name).load(", ".join(AUGMENTATIONS))
    )


def make_schedule(settings: LearnerSection) -> Schedule | None:
    """Return the schedule of the learning rate, with its warm-up; None if the job has neither.

    Raises
    ------
    ConfigError
        The schedule cannot be constructed, or keys are given that need a schedule.
    """
    if settings.schedule is None and not settings.warmup:
        for key in ("schedule_weight_decay", "schedule_restarts"):
            if getattr(settings, key):
                raise ConfigError(f"learner.{key}: goes with learner.schedule, got none")
        return None
    key, text = "learner.schedule", settings.schedule
    if not text:
        return schedules.warmup(settings.warmup)
    if not is_import_path(text):
        return schedules.warmup(settings.warmup, construct(key, text, SCHEDULES))
    code = UserCode(key, text.strip())
    return code.wrap(schedules.warmup(settings.warmup, code.load(", ".join(SCHEDULES))), float)


def make_budget(settings: LearnerSection, method: Method) -> ReplayBudget | None:
    """Return the budget of replay; None if the job has none.

    Parameters
    ----------
    settings : LearnerSection
    method : Method
        The learner's method, which must replay rows with each batch.

    Raises
    ------
    ConfigError
        Two kinds of budget are given, or keys that need a budget.
    """
    share, rows = settings.replay_budget, settings.replay_rows_per_second
    if share is not None and rows is not None:
        raise ConfigError(
            f"learner.replay_rows_per_second: goes without learner.replay_budget, got {rows}"
        )
    if share is None and rows is None:
        if settings.replay_horizon != LearnerSection.model_fields["replay_horizon"].default:
            raise ConfigError(
                "learner.replay_horizon: goes with learner.replay_budget or "
                f"learner.replay_rows_per_second, got {settings.replay_horizon} with neither"
            )
        return None
    if method.retrain is not None:
        key = "replay_budget" if rows is None else "replay_rows_per_second"
        raise ConfigError(
            f"learner.{key}: is for methods that rehearse with each batch, got {settings.method}"
        )
    return ReplayBudget(share, rows_per_second=rows, horizon=settings.replay_horizon)
