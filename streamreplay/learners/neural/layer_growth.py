"""The head of a classifier: grow it for new labels, and observe its inputs and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from streamreplay.errors import ConfigError
from streamreplay.learners.models.layers import CosineLinear, WeightNormLinear

_STEP = 64  # outputs


def last_linear(module: nn.Module) -> tuple[str, nn.Linear] | None:
    """Return a module's last linear layer, in order of registration, and its name."""
    layers = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    return layers[-1] if layers else None


def first_linear(module: nn.Module, feature_shape: tuple[int, ...]) -> nn.Linear | None:
    """Return the layer that a module gives its inputs to, if it can be widened.

    That is the first layer of an `torch.nn.Sequential`, as `mlp` and `linear` make them, or what a
    module's own method ``input_layer()`` returns.
    """
    layer: object = module
    named = getattr(module, "input_layer", None)
    if callable(named) and not isinstance(named, nn.Module):
        layer = named()
    elif isinstance(module, nn.Sequential):
        layer = next(iter(module), None)
    return layer if type(layer) is nn.Linear and (layer.in_features,) == feature_shape else None


def grow_inputs(layer: nn.Linear, width: int, optimizer: Optimizer) -> None:
    """Grow a linear layer to more inputs, in place; new weights and their optimizer state are 0."""
    parameter = layer.weight
    old = parameter.shape
    zeros = parameter.data.new_zeros(old[0], width - old[1])
    for key, value in optimizer.state.get(parameter, {}).items():
        if isinstance(value, torch.Tensor) and value.shape == old:
            optimizer.state[parameter][key] = torch.cat([value, zeros], 1)
    parameter.grad = None
    # optimizer and module refer to the parameter object, so it must stay the same
    parameter.data = torch.cat([parameter.data, zeros], 1)
    layer.in_features = width


def head_width(classes: int) -> int:
    """Return the outputs of a head that grows for so many classes.

    Up to 64 it has one for each. Beyond, it grows in steps of 64 up to 512, and then doubles, with
    outputs that are masked until their class comes: at each width libraries compile and keep
    kernels, and optimizers copy their state.

    Examples
    --------
    >>> [head_width(n) for n in (3, 64, 65, 500, 513, 1025)]
    [3, 64, 128, 512, 1024, 2048]
    """
    if classes <= _STEP:
        return classes
    steps = -(-classes // _STEP)
    return _STEP * (steps if steps <= 8 else 1 << (steps - 1).bit_length())


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


@dataclass(eq=False)
class HeadView:
    """The inputs and outputs of a head when it last ran."""

    head: nn.Linear | None
    inputs: torch.Tensor | None = None
    """float32[n, ..., in_features]."""
    outputs: torch.Tensor | None = None

    def features(self, logits: torch.Tensor) -> NDArray[np.float32]:
        """Return the head's inputs, or the logits of a module without a head: float32[n, d]."""
        found = logits if self.inputs is None else self.inputs
        flat = found.detach().reshape(len(logits), -1)
        # copied, as a head without layers before it reads the staged rows themselves
        return flat.to("cpu", torch.float32, copy=True).numpy()

    def gradients(
        self, at_outputs: NDArray[np.float32], logits: torch.Tensor
    ) -> NDArray[np.float32]:
        """Return each row's gradient of the loss with respect to the head: float32[n, d].

        It is the gradient at each output times the gradient of that output at its class's weights:
        ``[inputs, 1]`` for a linear head (without the 1 if it has no bias), the layer's ``slopes``
        for a cosine or a weight-normalised one. Entries are ordered by class, so that a head that
        grows appends entries. If the head's outputs are not the module's, or it is of another kind,
        the gradient at the outputs is returned.

        Parameters
        ----------
        at_outputs : float32[n, classes]
        logits : float32[n, width]
            The module's outputs.
        """
        head, inputs = self.head, self.inputs
        if head is None or inputs is None or self.outputs is not logits or inputs.ndim != 2:
            return at_outputs
        if isinstance(head, CosineLinear | WeightNormLinear):
            with torch.no_grad():
                slopes = head.slopes(inputs, at_outputs.shape[1]).to("cpu", torch.float32)
            found: NDArray[np.float32] = at_outputs[:, :, None] * slopes.numpy()
            return found.reshape(len(found), -1)
        if type(head) is not nn.Linear:
            return at_outputs
        h = self.features(logits)
        if head.bias is not None:
            h = np.append(h, np.ones((len(h), 1), np.float32), 1)
        return (at_outputs[:, :, None] * h[:, None, :]).reshape(len(h), -1)


@contextmanager
def watching(head: nn.Linear | None) -> Iterator[HeadView]:
    """Record inputs and outputs of a head while a module runs inside the block."""
    view = HeadView(head)
    if head is None:
        yield view
        return

    def look(_head: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        view.inputs, view.outputs = inputs[0], output

    hook = head.register_forward_hook(look)
    try:
        yield view
    finally:
        hook.remove()


def gradients_at_outputs(
    probability: NDArray[np.float32], y: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the gradient of each row's cross-entropy with respect to its logits.

    A class without a probability counts as if it were 0. Rows without a label have a gradient
    of 0.

    Parameters
    ----------
    probability : float32[n, width]
    y : int64[n]
        Label index, -1 where there is none.

    Returns
    -------
    float32[n, max(width, largest label + 1)]
        Probabilities, less 1 at the label.

    Examples
    --------
    >>> p = np.array([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25]], np.float32)
    >>> gradients_at_outputs(p, np.array([0, 2, -1]))
    array([[-0.25,  0.25,  0.  ],
           [ 0.75,  0.25, -1.  ],
           [ 0.  ,  0.  ,  0.  ]], dtype=float32)
    """
    n, width = probability.shape
    found = np.zeros((n, max(width, int(y.max(initial=-1)) + 1)), np.float32)
    labelled = np.flatnonzero(y >= 0)
    found[labelled, :width] = probability[labelled]
    found[labelled, y[labelled]] -= 1
    return found
