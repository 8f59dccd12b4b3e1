"""Check what a learner is given as a module, its factory or an optimizer, and what is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.optim import Optimizer

from streamreplay.learners.models.networks import cnn, linear, mlp, slim_resnet18

_MAKERS = (linear, mlp, cnn, slim_resnet18)


def check_factory(given: object) -> None:
    """Check that a module or a factory of modules is given.

    Raises
    ------
    TypeError
        It is something else, or what makes a factory, such as `linear` in place of ``linear()``.
    """
    for maker in _MAKERS:
        if given is maker:
            name = maker.__name__
            raise TypeError(f"module: {name} makes a factory: call it, {name}()")
    if not callable(given):
        raise TypeError(
            "module: must be a torch.nn.Module, or a factory that is given a row's shape and the "
            f"number of classes, got {type(given).__name__}"
        )


def check_optimizer(given: object) -> None:
    """Check that an optimizer or a factory of optimizers is given.

    Raises
    ------
    TypeError
        It is something else, such as a name.
    """
    if not (callable(given) or isinstance(given, Optimizer)):
        raise TypeError(
            "optimizer: must be a torch.optim.Optimizer or a factory that is given the parameters, "
            f"as functools.partial(torch.optim.SGD, lr=0.1), got {given!r}"
        )


def call_factory(factory: Any, feature_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return the module that a factory makes.

    Raises
    ------
    TypeError
        It makes none, or is the class of a module that cannot be built from a shape and a number.
    """
    name = getattr(factory, "__name__", type(factory).__name__)
    try:
        module = factory(feature_shape, n_classes)
    except TypeError as error:
        if not isinstance(factory, type):
            raise
        raise TypeError(
            f"module: the class {name} cannot be built from a shape and a number of classes "
            f"({error}): give a module, {name}(...), or a function of both that returns one"
        ) from error
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"module: {name} must return a torch.nn.Module for a shape and a number of classes, "
            f"got {type(module).__name__}"
        )
    return module


@contextmanager
def naming_the_shape(feature_shape: tuple[int, ...]) -> Iterator[None]:
    """Raise a ``ValueError`` with the shape of a row for torch's error about it.

    Raises
    ------
    ValueError
        The module in the block does not take such rows.
    """
    try:
        yield
    except RuntimeError as error:
        shape = ", ".join(map(str, feature_shape))
        raise ValueError(f"module: does not take rows of shape [n, {shape}]: {error}") from error


def trained_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that require a gradient.

    Raises
    ------
    ValueError
        There is none.
    """
    found = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not found:
        raise ValueError(f"module: {type(module).__name__} has no parameter that can be trained")
    return found


def frozen_parts(module: nn.Module) -> list[nn.Module]:
    """Return the largest submodules with parameters of which none requires a gradient.

    Examples
    --------
    >>> backbone = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout())
    >>> model = nn.Sequential(backbone.requires_grad_(False), nn.Dropout(), nn.Linear(3, 2))
    >>> frozen_parts(model) == [backbone]
    True
    """
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    if wanted and not any(wanted):
        return [module]
    return [part for child in module.children() for part in frozen_parts(child)]
