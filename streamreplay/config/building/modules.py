"""Build the torch modules that a job names."""

from __future__ import annotations

from typing import Any

from streamreplay.config.building.user_code import UserCode
from streamreplay.config.job import BackboneSection, LearnerSection
from streamreplay.errors import ConfigError
from streamreplay.randomness import Seed
from streamreplay.stage import Stage

_MODULES = ("linear", "mlp", "cnn", "slim_resnet18")
_NORMS = {"cnn": ("none", "group"), "slim_resnet18": ("group", "batch")}


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
    return _user_module(UserCode("learner.module", settings.module), ", ".join(_MODULES))


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
    if settings.head != "linear" and module not in _MODULES:
        raise ConfigError(
            f"learner.head: goes with module {', '.join(_MODULES)}, got {module!r}: a module of "
            "your own brings its head, which may be a streamreplay.CosineLinear or WeightNormLinear"
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

    from streamreplay.learners.neural.user_module import run_forward_inside  # noqa: PLC0415

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
