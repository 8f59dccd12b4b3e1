"""Build the learner of ``[learner]``, and the torch modules that a job names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from streamreplay.config.building.river_models import construct_river
from streamreplay.config.building.user_code import UserCode, is_import_path
from streamreplay.config.choices import MODULES
from streamreplay.config.job import BackboneSection, LearnerSection
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.randomness import Seed
from streamreplay.stage import Stage

_NORMS = {"cnn": ("none", "group"), "slim_resnet18": ("group", "batch")}

Learner: TypeAlias = "TorchLearner | RiverLearner"
_RIVERS = ("river", "allow_pickle")


def make_module(settings: LearnerSection) -> Any:
    """Return the module that ``[learner]`` names, or a factory of modules.

    Raises
    ------
    ConfigError
        A key does not go with the module, or it cannot be imported.
    """
    from streamreplay.learners import cnn, linear, mlp, slim_resnet18  # noqa: PLC0415 - slow

    _check(settings)
    head, given = settings.head, _given(channels=settings.channels, norm=settings.norm)
    match settings.module:
        case "linear":
            return linear(head=head)
        case "mlp":
            return mlp(settings.hidden, head=head)
        case "cnn":
            return cnn(**given, head=head)
        case "slim_resnet18":
            if "channels" in given:
                (given["channels"],) = given["channels"]
            return slim_resnet18(**given, head=head)
    return _user_module(UserCode("learner.module", settings.module), ", ".join(MODULES.names))


def make_backbone(settings: BackboneSection, seed: Seed) -> Stage[Any, Any]:
    """Return the stage of ``[backbone]``.

    Raises
    ------
    ConfigError
        The module cannot be imported, or the device cannot be used.
    """
    from streamreplay.learners.neural import backbone  # noqa: PLC0415 - slow

    code = UserCode("backbone.module", settings.module)
    return backbone.Backbone(
        _user_module(code, "the path of a module", trained=False),
        device=find_device("backbone.device", settings.device),
        threads=settings.threads,
        seed=seed,
    )


def find_device(key: str, name: str) -> Any:
    """Return a torch device by its name.

    Raises
    ------
    ConfigError
        Torch has no such device on this machine.
    """
    import torch  # noqa: PLC0415 - slow: only a job that runs needs it

    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{key}: {name!r} cannot be used: {reason}") from None


def _check(settings: LearnerSection) -> None:
    module = settings.module
    for key in ("channels", "norm"):
        value = getattr(settings, key)
        if value is not None and module not in _NORMS:
            raise ConfigError(
                f"learner.{key}: goes with module {' or '.join(_NORMS)}, got {module!r}"
            )
    _check_norm(settings)
    _check_channels(settings)
    if settings.head != "linear" and module not in MODULES.names:
        raise ConfigError(
            f"learner.head: goes with module {', '.join(MODULES.names)}, got {module!r}: a module "
            "of your own brings its head, which may be a streamreplay.CosineLinear or "
            "WeightNormLinear"
        )


def _check_norm(settings: LearnerSection) -> None:
    allowed = _NORMS.get(settings.module, ())
    if settings.norm is not None and settings.norm not in allowed:
        raise ConfigError(
            f"learner.norm: with module {settings.module} must be {' or '.join(allowed)}, "
            f"got {settings.norm!r}"
        )


def _check_channels(settings: LearnerSection) -> None:
    channels, one = settings.channels, settings.module == "slim_resnet18"
    if channels is None or len(channels) == 1 or (channels and not one):
        return
    wanted = "one number" if one else "at least one number"
    raise ConfigError(
        f"learner.channels: with module {settings.module} must be {wanted}, got {channels}"
    )


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _user_module(code: UserCode, choices: str, *, trained: bool = True) -> Any:
    """Import a module or a factory of it, and check each module that it gives."""
    from torch import nn  # noqa: PLC0415 - slow

    from streamreplay.learners.neural.user_functions import run_forward_inside  # noqa: PLC0415

    def check(module: Any) -> nn.Module:
        if not isinstance(module, nn.Module):
            raise ConfigError(
                f"{code.key}: {code.name!r} must return a torch.nn.Module, got {module!r}"
            )
        if trained and not any(parameter.requires_grad for parameter in module.parameters()):
            raise ConfigError(f"{code.key}: {code.name!r} has no parameters to learn")
        run_forward_inside(module, code)
        return module

    given = code.load(choices)
    if isinstance(given, nn.Module):
        return check(given)
    return lambda *shape: check(code.make(given, *shape))


if TYPE_CHECKING:
    import torch

    from streamreplay.learners import RiverLearner, TorchLearner


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

    from streamreplay.config.building.methods import (  # noqa: PLC0415
        make_budget,
        make_method,
        make_training,
    )
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

    from streamreplay.learners.neural.optimizers import uncompiled  # noqa: PLC0415

    held = list(parameters)
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":  # fused, it would refuse sparse gradients, for a tenth of speed
        return uncompiled(torch.optim.SGD)(held, momentum=settings.momentum, **common)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    fused = all(each.is_cpu and each.is_floating_point() for each in held)
    return uncompiled(kind)(held, fused=fused or None, **common)
