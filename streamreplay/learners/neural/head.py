"""Grow the head of a classifier for new labels."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from streamreplay.errors import ConfigError
from streamreplay.learners.models.layers import CosineLinear, WeightNormLinear


def last_linear(module: nn.Module) -> tuple[str, nn.Linear] | None:
    """Return a module's last linear layer, in order of registration, and its name."""
    layers = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    return layers[-1] if layers else None


def grow_head(head: nn.Linear, width: int, optimizer: Optimizer) -> None:
    """Grow a linear layer to more outputs, in place.

    Old weights and their optimizer state stay. New rows are initialised as in a new layer of that
    kind, from torch's global generator; their optimizer state is zero. Parameters that belong to
    all classes, such as the scale of a cosine head, stay unchanged.

    Parameters
    ----------
    head : torch.nn.Linear
    width : int
        The new number of outputs, larger than before.
    optimizer : torch.optim.Optimizer

    Raises
    ------
    ConfigError
        The layer is of an unknown kind, with parameters of unknown meaning.
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
        # optimizer and module refer to the parameter object, so it must stay the same
        parameter.data = torch.cat([parameter.data, rows])
    head.out_features = width


def _fresh(head: nn.Linear, rows: int) -> nn.Linear:
    """Return a new layer of the same kind with ``rows`` outputs."""
    if isinstance(head, CosineLinear | WeightNormLinear):
        return head.fresh(rows)
    return nn.Linear(head.in_features, rows, bias=head.bias is not None)
