"""Factories of linear models and perceptrons: built when the first row shows its shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import nn

from streamreplay.learners.models.layers import HeadKind, check_head, make_head

ModuleFactory: TypeAlias = Callable[[tuple[int, ...], int], nn.Module]
"""Given a row's feature shape and a number of classes, build a module float32[n, *feature] ->
float32[n, classes]."""


def linear(head: HeadKind = "linear") -> ModuleFactory:
    """Return a factory of softmax regression.

    Parameters
    ----------
    head : {"linear", "cosine", "weight_norm"}

    Raises
    ------
    ValueError
        There is no such head.

    Examples
    --------
    >>> linear()((20,), 3)
    Linear(in_features=20, out_features=3, bias=True)
    """
    return mlp((), head=head)


def mlp(hidden: Sequence[int] = (256, 256), *, head: HeadKind = "linear") -> ModuleFactory:
    """Return a factory of a multi-layer perceptron with ReLU units.

    Parameters
    ----------
    hidden : sequence of int
        Units of each hidden layer; without any, the model is linear.
    head : {"linear", "cosine", "weight_norm"}
        The last layer: `torch.nn.Linear`, `CosineLinear` or `WeightNormLinear`.

    Raises
    ------
    ValueError
        A layer has no units, or there is no such head.

    Examples
    --------
    >>> [tuple(p.shape) for p in mlp([256])((28, 28), 10).parameters()]
    [(256, 784), (256,), (10, 256), (10,)]
    """
    if any(units < 1 for units in hidden):
        raise ValueError(f"hidden layers need at least 1 unit each, got {list(hidden)}")
    check_head(head)

    def build(feature_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        width = math.prod(feature_shape)
        layers: list[nn.Module] = [] if len(feature_shape) == 1 else [nn.Flatten()]
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU()]
            width = units
        layers.append(make_head(head, width, n_classes))
        return nn.Sequential(*layers) if len(layers) > 1 else layers[0]

    return build
