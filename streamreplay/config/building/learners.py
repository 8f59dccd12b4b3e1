"""Build the learner of ``[learner]``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from streamreplay.config.building.modules import find_device, make_module
from streamreplay.config.building.river_models import construct_river
from streamreplay.config.building.user_code import UserCode, is_import_path
from streamreplay.config.job import LearnerSection
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.randomness import Seed

if TYPE_CHECKING:
    import torch

    from streamreplay.learners import RiverLearner, TorchLearner

Learner: TypeAlias = "TorchLearner | RiverLearner"

_RIVERS = ("river", "allow_pickle")


def make_learner(settings: LearnerSection, seed: Seed, *, trusted: bool = False) -> Learner:
    """Return the learner that the settings describe.

    Parameters
    ----------
    settings : LearnerSection
    seed : int or numpy.random.SeedSequence
    trusted : bool
        Whether a checkpoint with a pickle may be loaded.

    Raises
    ------
    ConfigError
        Keys do not go together, or a part that they name cannot be built.
    """
    if settings.river is None:
        if settings.allow_pickle:
            raise ConfigError("learner.allow_pickle: goes with learner.river, got no learner.river")
        return _make_torch(settings, seed)
    _check_alone(settings)
    return _make_river(settings, settings.river, seed, trusted=trusted)


def torch_learner(learner: Learner) -> TorchLearner | None:
    """Return a learner of a torch module; None for a River model."""
    from streamreplay.learners import TorchLearner  # noqa: PLC0415 - slow

    return learner if isinstance(learner, TorchLearner) else None


def require_torch(learner: Learner, setting: str) -> TorchLearner:
    """Return a learner of a torch module.

    Raises
    ------
    ConfigError
        The learner has a River model; the message begins with the setting.
    """
    found = torch_learner(learner)
    if found is None:
        raise ConfigError(f"{setting} needs a torch module, got learner.river")
    return found


def _check_alone(settings: LearnerSection) -> None:
    for key, field in LearnerSection.model_fields.items():
        value = getattr(settings, key)
        if key not in _RIVERS and value != field.default:
            raise ConfigError(
                f"learner.{key}: is of torch modules and goes without learner.river, got {value!r}"
            )


def _make_river(settings: LearnerSection, text: str, seed: Seed, *, trusted: bool) -> RiverLearner:
    from streamreplay.learners import RiverLearner  # noqa: PLC0415 - slow

    code = UserCode("learner.river", text.strip())
    if is_import_path(text):
        model = code.make(code.load("a constructor of River"))
    else:
        model = construct_river(text, seed)
    try:
        learner = RiverLearner(
            model,
            allow_pickle=settings.allow_pickle,
            trusted=trusted,
            context=code,
        )
        if settings.allow_pickle:
            learner.state_dict()  # better now than at the first checkpoint
    except (TypeError, ImportError, CheckpointError) as error:
        raise ConfigError(f"learner.river: {error}") from None
    return learner


def _make_torch(settings: LearnerSection, seed: Seed) -> TorchLearner:
    import torch  # noqa: PLC0415 - slow: only a job that runs needs it

    from streamreplay.config.building.methods import make_method, make_training  # noqa: PLC0415
    from streamreplay.config.building.training_options import make_budget  # noqa: PLC0415
    from streamreplay.learners import TorchLearner  # noqa: PLC0415

    factory = make_module(settings)
    method = make_method(settings)
    if method.retrain is not None and isinstance(factory, torch.nn.Module):
        raise ConfigError(
            f"learner.module: {settings.module!r} is a module, and method {settings.method} needs "
            "a factory of fresh ones"
        )
    return TorchLearner(
        factory,
        partial(_make_optimizer, settings),
        method=method,
        training=make_training(settings),
        replay_budget=make_budget(settings, method),
        normalize=settings.normalize,
        on_divergence=settings.on_divergence,
        device=find_device("learner.device", settings.device),
        threads=settings.threads,
        seed=seed,
    )


def _make_optimizer(settings: LearnerSection, parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """Return the optimizer, fused if that is faster and gives the same results."""
    import torch  # noqa: PLC0415 - slow: only a job that runs needs it

    held = list(parameters)
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":  # fused, it would refuse sparse gradients, for a tenth of speed
        return torch.optim.SGD(held, momentum=settings.momentum, **common)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    fused = all(each.is_cpu and each.is_floating_point() for each in held)
    return kind(held, fused=fused or None, **common)
