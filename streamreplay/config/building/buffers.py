"""From a job's ``[buffer]`` to a buffer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from streamreplay.buffers import BUFFER_KINDS, ExemplarsBuffer, ReservoirSamplingBuffer
from streamreplay.buffers.selection import (
    ClosestToCenterSelectionStrategy,
    ExemplarsSelectionStrategy,
    GSSGreedySelectionStrategy,
    HerdingSelectionStrategy,
    LossAwareSelectionStrategy,
    OnlineSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from streamreplay.config.buffer_keys import EITHER, GOES_WITH
from streamreplay.config.building.user_code import UserCode, as_array
from streamreplay.config.job import BufferSection
from streamreplay.errors import ConfigError
from streamreplay.randomness import Seed, spawn_seed

__all__ = ["make_buffer"]

_GROUPS = {
    "class_balanced": "total_num_classes",
    "task_balanced": "total_num_tasks",
    "experience_balanced": "num_experiences",
}
_ASKS = {
    "herding": "features",
    "closest_to_center": "features",
    "loss_aware": "losses",
    "gss_greedy": "gradients",
}


def make_buffer(settings: BufferSection, seed: Seed, learner: Any) -> ExemplarsBuffer:
    """Make a job's buffer.

    Parameters
    ----------
    settings : Buffer
    seed : int or numpy.random.SeedSequence
    learner : TorchLearner or RiverLearner or None
        What a selection strategy asks for losses, features and gradients; None where several
        share the buffer.

    Raises
    ------
    ConfigError
        A key does not go with the kind, or a strategy cannot be made.
    """
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


def _own_settings(settings: BufferSection, seed: Seed, learner: Any) -> dict[str, Any]:
    """Return the settings that only this kind of buffer has."""
    if settings.groups is not None:
        return {"adaptive_size": False, _GROUPS[settings.kind]: settings.groups}
    if settings.kind == "parametric":
        return {
            "groupby": _groupby(settings),
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


def _groupby(settings: BufferSection) -> Any:
    return None if settings.groupby == "none" else settings.groupby or "class"


def _strategy(
    name: str, seed: Seed, learner: Any
) -> ExemplarsSelectionStrategy | OnlineSelectionStrategy:
    kinds: dict[str, Callable[[], ExemplarsSelectionStrategy | OnlineSelectionStrategy]] = {
        "random": RandomExemplarsSelectionStrategy,
        "herding": lambda: HerdingSelectionStrategy(learner.features),
        "closest_to_center": lambda: ClosestToCenterSelectionStrategy(learner.features),
        "loss_aware": lambda: LossAwareSelectionStrategy(learner.losses),
        "gss_greedy": lambda: GSSGreedySelectionStrategy(
            learner.gradients, seed=spawn_seed(seed, "gss")
        ),
    }
    if learner is None and (name in _ASKS or name not in kinds):
        raise ConfigError(
            f"buffer.selection: {name} asks the learner, and goes without buffer.shared"
        )
    if name in _ASKS and not hasattr(learner, _ASKS[name]):
        raise ConfigError(f"buffer.selection: {name} needs a torch module, got learner.river")
    if name in kinds:
        return kinds[name]()
    return _user_strategy(UserCode("buffer.selection", name), ", ".join(kinds), learner)


def _user_strategy(
    code: UserCode, choices: str, learner: Any
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
