"""Factories of the reference networks, which are built when the first row shows its shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias, final

import torch
from torch import nn
from torch.nn.functional import relu

from streamreplay.errors import ConfigError
from streamreplay.learners.models.layers import (
    ChannelsFirst,
    HeadKind,
    check_head,
    group_norm,
    make_head,
)

Layout: TypeAlias = Literal["auto", "chw", "hwc"]


def channels_first(
    feature_shape: tuple[int, ...], layout: Layout, name: str
) -> tuple[list[nn.Module], tuple[int, int, int]]:
    """Return the layers that turn rows into [n, c, h, w], and c, h and w.

    Parameters
    ----------
    feature_shape : tuple of int
        [h, w], which is one channel, or three axes.
    layout : {"auto", "chw", "hwc"}
        Which of three axes holds the channels; auto takes the shorter of the first and the last,
        and the first if both have the same length.
    name : str
        The name of the model, for messages.

    Raises
    ------
    ValueError
        There is no such layout.
    ConfigError
        Rows are not images.

    Examples
    --------
    >>> channels_first((32, 24, 3), "auto", "cnn")
    ([ChannelsFirst()], (3, 32, 24))
    >>> channels_first((28, 28), "auto", "cnn")
    ([Unflatten(dim=1, unflattened_size=(1, 28))], (1, 28, 28))
    """
    check_layout(layout)
    if len(feature_shape) == 2:
        height, width = feature_shape
        return [nn.Unflatten(1, (1, height))], (1, height, width)
    if len(feature_shape) != 3:
        raise ConfigError(
            f"{name} needs rows that are images, [h, w], [c, h, w] or [h, w, c], "
            f"got [{', '.join(map(str, feature_shape))}]"
        )
    first, _, last = feature_shape
    if layout == "hwc" or (layout == "auto" and last < first):
        height, width, channels = feature_shape
        return [ChannelsFirst()], (channels, height, width)
    channels, height, width = feature_shape
    return [], (channels, height, width)


def check_layout(layout: Layout) -> None:
    """Raise ValueError unless there is such a layout."""
    if layout not in ("auto", "chw", "hwc"):
        raise ValueError(f"layout must be auto, chw or hwc, got {layout!r}")


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


def cnn(
    channels: Sequence[int] = (24, 48, 96),
    *,
    hidden: Sequence[int] = (),
    norm: Literal["group", "none"] = "group",
    head: HeadKind = "linear",
    layout: Layout = "auto",
) -> ModuleFactory:
    """Return a factory of a small network of strided convolutions.

    Each convolution (5x5, then 3x3) halves the image; the result is flattened. No layer draws
    random numbers or behaves differently in training, so a learner's training pass doubles as its
    prediction.

    Parameters
    ----------
    channels : sequence of int
        The channels of each convolution, at least 2; at least one convolution.
    hidden : sequence of int
        Units of linear layers between the convolutions and the head.
    norm : {"group", "none"}
        Whether a group norm of up to 8 groups follows each convolution. Without it a step is a
        third faster, and classes are forgotten faster.
    head : {"linear", "cosine", "weight_norm"}
    layout : {"auto", "chw", "hwc"}
        See `channels_first`.

    Raises
    ------
    ValueError
        A parameter is out of range.
    ConfigError
        Later: rows are not images.

    Examples
    --------
    >>> module = cnn([8, 16])((28, 28), 10)
    >>> module[-1]
    Linear(in_features=784, out_features=10, bias=True)
    """
    if not channels or min(channels) < 2:
        raise ValueError(f"channels must be at least one number from 2 up, got {list(channels)}")
    if norm not in ("group", "none"):
        raise ValueError(f"norm must be group or none, got {norm!r}")
    classifier = mlp(hidden, head=head)
    check_layout(layout)

    def build(feature_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        layers, (width, rows, columns) = channels_first(feature_shape, layout, "cnn")
        for place, after in enumerate(channels):
            size = 3 if place else 5
            layers.append(nn.Conv2d(width, after, size, stride=2, padding=size // 2))
            layers += [group_norm(after), nn.ReLU()] if norm == "group" else [nn.ReLU()]
            width, rows, columns = after, (rows + 1) // 2, (columns + 1) // 2
        layers.append(nn.Flatten())
        last = classifier((width * rows * columns,), n_classes)
        return nn.Sequential(*layers, *(last if isinstance(last, nn.Sequential) else [last]))

    return build


_Norm = Callable[[int], nn.Module]

_convolution = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)


def slim_resnet18(
    channels: int = 20,
    *,
    norm: Literal["batch", "group"] = "batch",
    head: HeadKind = "linear",
    layout: Layout = "auto",
) -> ModuleFactory:
    """Return a factory of a ResNet-18 with a third of the channels, for small images.

    As in the literature: a 3x3 convolution without stride or pooling, then four stages of two
    blocks with 1, 2, 4 and 8 times ``channels``, then the mean over the image, then the head.

    Parameters
    ----------
    channels : int
        Channels of the first stage, at least 2.
    norm : {"batch", "group"}
        Batch norm is used in the literature. Its running statistics follow the latest rows, the
        training pass cannot double as the prediction, and images must be larger than 8x8, because a
        step on one row with one pixel left has no variance. Group norm (of up to 8 groups) has none
        of these limits.
    head : {"linear", "cosine", "weight_norm"}
    layout : {"auto", "chw", "hwc"}
        See `channels_first`.

    Raises
    ------
    ValueError
        A parameter is out of range.
    ConfigError
        Later: rows are not images, or too small for batch norm.

    References
    ----------
    D. Lopez-Paz, M. Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017.

    Examples
    --------
    >>> module = slim_resnet18()((3, 32, 32), 10)
    >>> sum(p.numel() for p in module.parameters())
    1094750
    """
    if channels < 2:
        raise ValueError(f"channels must be at least 2, got {channels}")
    if norm not in ("batch", "group"):
        raise ValueError(f"norm must be batch or group, got {norm!r}")
    check_head(head)
    check_layout(layout)
    normalize: _Norm = nn.BatchNorm2d if norm == "batch" else group_norm

    def build(feature_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        layers, (width, *size) = channels_first(feature_shape, layout, "slim_resnet18")
        if norm == "batch" and max(size) <= 8:
            raise ConfigError(
                "slim_resnet18 with batch norm needs images larger than 8x8, "
                f"got {size[0]}x{size[1]}: take norm = group"
            )
        layers += [_convolution(width, channels), normalize(channels), nn.ReLU()]
        width = channels
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage and not block else 1
                layers.append(ResidualBlock(width, channels << stage, stride, normalize))
                width = channels << stage
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), make_head(head, width, n_classes)]
        return nn.Sequential(*layers)

    return build


@final
class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Parameters
    ----------
    before, after : int
        Channels.
    stride : int
        The stride of the first convolution.
    normalize : callable
        Given a number of channels, makes the layer after a convolution.
    """

    def __init__(self, before: int, after: int, stride: int, normalize: _Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(before, after, stride=stride),
            normalize(after),
            nn.ReLU(),
            _convolution(after, after),
            normalize(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            pointwise = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(pointwise, normalize(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32[n, after, h / stride, w / stride]."""
        return relu(self.body(x) + self.shortcut(x))
