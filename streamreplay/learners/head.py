"""A classification head that grows as labels appear."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

__all__ = ["grow_head", "last_linear"]


def last_linear(module: nn.Module) -> tuple[str, nn.Linear] | None:
    """Return a module's last linear layer, in order of registration, and its name."""
    layers = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    return layers[-1] if layers else None


def grow_head(head: nn.Linear, width: int, optimizer: Optimizer) -> None:
    """Give a linear layer more outputs, in place.

    Old weights and what the optimizer remembers of them stay. New rows are initialised as PyTorch
    initialises the layer, from torch's global generator; the optimizer's memory of them is zero.

    Parameters
    ----------
    head : torch.nn.Linear
    width : int
        Outputs from now on, more than there are.
    optimizer : torch.optim.Optimizer
    """
    more = width - head.out_features
    fresh = nn.Linear(
        head.in_features,
        more,
        bias=head.bias is not None,
        device=head.weight.device,
        dtype=head.weight.dtype,
    )
    for parameter, rows in ((head.weight, fresh.weight), (head.bias, fresh.bias)):
        if parameter is None:
            continue
        old = parameter.shape
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor) and value.shape == old:
                optimizer.state[parameter][key] = torch.cat([value, torch.zeros_like(rows)])
        parameter.grad = None
        # the parameter object stays the one that optimizer and module know
        parameter.data = torch.cat([parameter.data, rows.data])
    head.out_features = width
