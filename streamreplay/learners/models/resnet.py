"""The residual network that continual learning methods are usually compared on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, final

import torch
from torch import nn
from torch.nn.functional import relu

from streamreplay.errors import ConfigError
from streamreplay.learners.models.images import Layout, channels_first, check_layout
from streamreplay.learners.models.layers import HeadKind, check_head, group_norm, make_head
from streamreplay.learners.models.mlp import ModuleFactory

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
        See `streamreplay.learners.models.images.channels_first`.

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
