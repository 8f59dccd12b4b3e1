"""Find the parts of a module that are not trained."""

from __future__ import annotations

from torch import nn


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
