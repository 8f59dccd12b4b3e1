"""Build the buffer of ``[buffer]``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.selection import (
    ClosestToCenterSelectionStrategy,
    ExemplarsSelectionStrategy,
    GSSGreedySelectionStrategy,
    HerdingSelectionStrategy,
    LossAwareSelectionStrategy,
    OnlineSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from streamreplay.config.building.learners import Learner, require_torch
from streamreplay.config.building.user_code import UserCode, as_array
from streamreplay.config.choices import SELECTIONS
from streamreplay.config.job import EITHER, GOES_WITH, BufferSection
from streamreplay.errors import ConfigError
from streamreplay.randomness import Seed, spawn_seed

_OF_TORCH = ("herding", "closest_to_center", "gss_greedy")

_GROUPS = {
    "class_balanced": "total_num_classes",
    "task_balanced": "total_num_tasks",
    "experience_balanced": "num_experiences",
}


def make_buffer(settings: BufferSection, seed: Seed, learner: Learner | None) -> ExemplarsBuffer:
    """Return the buffer that the settings describe.

    Parameters
    ----------
    settings : BufferSection
    seed : int or numpy.random.SeedSequence
    learner : TorchLearner or RiverLearner or None
        The learner whose losses, features and gradients a selection strategy may use; None if
        several learners share the buffer.

    Raises
    ------
    ConfigError
        A key does not go with the kind, or the strategy cannot be built.
    """
    from streamreplay.buffers import BUFFER_KINDS, ReservoirSamplingBuffer  # noqa: PLC0415 - slow

    _check(settings)
    if settings.kind == "none":
        return ReservoirSamplingBuffer(0, seed)  # the mixer behind it still sets the steps
    common: dict[str, Any] = {
        "max_size": settings.max_size if settings.max_bytes is None else None,
        "max_bytes": settings.max_bytes,
        "seed": seed,
        "storage": settings.storage,
        "ttl": _span(settings.ttl, settings.ttl_seconds),
    }
    own = _own_settings(settings, seed, learner)
    try:
        return BUFFER_KINDS[settings.kind](**common, **own)
    except OSError as error:
        raise ConfigError(
            f"buffer.storage: {settings.storage!r} cannot be used: {error.strerror}"
        ) from None


def _own_settings(settings: BufferSection, seed: Seed, learner: Learner | None) -> dict[str, Any]:
    """Return the settings that only this kind of buffer has."""
    if settings.groups is not None:
        return {"adaptive_size": False, _GROUPS[settings.kind]: settings.groups}
    if settings.kind == "parametric":
        return {
            "groupby": None if settings.groupby == "none" else settings.groupby or "class",
            "selection_strategy": _strategy(settings.selection or "random", seed, learner),
        }
    half_life = _span(settings.half_life, settings.half_life_seconds)
    return {} if half_life is None else {"half_life": half_life}


def _check(settings: BufferSection) -> None:
    for key, kinds in GOES_WITH.items():
        if getattr(settings, key) is not None and settings.kind not in kinds:
            raise ConfigError(
                f"buffer.{key}: goes with kind {' or '.join(kinds)}, got {settings.kind}"
            )
    for one, other in EITHER:
        if getattr(settings, one) is not None and getattr(settings, other) is not None:
            raise ConfigError(f"buffer.{one}: goes without {other}, got both")


def _span(rows: float | None, seconds: float | None) -> float | timedelta | None:
    return rows if seconds is None else timedelta(seconds=seconds)


def _strategy(
    name: str, seed: Seed, learner: Learner | None
) -> ExemplarsSelectionStrategy | OnlineSelectionStrategy:
    if name == "random":
        return RandomExemplarsSelectionStrategy()
    if learner is None:
        raise ConfigError(
            f"buffer.selection: {name} asks the learner, and goes without buffer.shared"
        )
    if name == "loss_aware":
        return LossAwareSelectionStrategy(learner.losses)
    if name not in _OF_TORCH:
        choices = ", ".join(SELECTIONS.names)
        return _user_strategy(UserCode("buffer.selection", name), choices, learner)
    module = require_torch(learner, f"buffer.selection: {name}")
    if name == "gss_greedy":
        return GSSGreedySelectionStrategy(module.gradients, seed=spawn_seed(seed, "gss"))
    if name == "herding":
        return HerdingSelectionStrategy(module.features)
    return ClosestToCenterSelectionStrategy(module.features)


def _user_strategy(
    code: UserCode, choices: str, learner: Learner
) -> ExemplarsSelectionStrategy | OnlineSelectionStrategy:
    made = code.make(code.load(choices), learner)
    if not isinstance(made, ExemplarsSelectionStrategy | OnlineSelectionStrategy):
        raise ConfigError(
            f"{code.key}: {code.name!r} must return a selection strategy, got {made!r}"
        )
    ranks = isinstance(made, ExemplarsSelectionStrategy)
    method = "make_sorted_indices" if ranks else "make_keys"
    # on the object, whose class is part of the buffer's state
    vars(made)[method] = code.wrap(getattr(made, method), as_array)
    return made
