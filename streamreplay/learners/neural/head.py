"""A classification head that grows as labels appear."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from streamreplay.errors import ConfigError
from streamreplay.learners.models.layers import CosineLinear, WeightNormLinear

__all__ = ["grow_head", "last_linear"]


def last_linear(module: nn.Module) -> tuple[str, nn.Linear] | None:
    """Return a module's last linear layer, in order of registration, and its name."""
    layers = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    return layers[-1] if layers else None


def grow_head(head: nn.Linear, width: int, optimizer: Optimizer) -> None:
    """Give a linear layer more outputs, in place.

    Old weights and what the optimizer remembers of them stay. New rows are initialised as the layer
    itself is, from torch's global generator; the optimizer's memory of them is zero. What belongs
    to all classes, as the scale of a cosine head, stays what it is.

    Parameters
    ----------
    head : torch.nn.Linear
    width : int
        Outputs from now on, more than there are.
    optimizer : torch.optim.Optimizer

    Raises
    ------
    ConfigError
        The layer is a kind of its own, and what its other parameters mean is not known.
    """
    fresh = _fresh(head, width - head.out_features).to(head.weight.device, head.weight.dtype)
    mine, new = dict(head.named_parameters()), dict(fresh.named_parameters())
    if mine.keys() != new.keys():
        raise ConfigError(
            f"label index {width - 1} is beyond the module's {head.out_features} outputs, and its "
            f"head ({type(head).__name__} with {', '.join(sorted(mine))}) is of no kind that can "
            "grow: Linear, CosineLinear, WeightNormLinear"
        )
    for name, parameter in mine.items():
        if not parameter.ndim:
            continue
        old, rows = parameter.shape, new[name].detach()
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor) and value.shape == old:
                optimizer.state[parameter][key] = torch.cat([value, torch.zeros_like(rows)])
        parameter.grad = None
        # the parameter object stays the one that optimizer and module know
        parameter.data = torch.cat([parameter.data, rows])
    head.out_features = width


def _fresh(head: nn.Linear, rows: int) -> nn.Linear:
    """Return a layer of the same kind for so many classes."""
    if isinstance(head, CosineLinear | WeightNormLinear):
        return head.fresh(rows)
    return nn.Linear(head.in_features, rows, bias=head.bias is not None)
