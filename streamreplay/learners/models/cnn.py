"""A small convolutional network that is fast enough to train online on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from streamreplay.learners.models.images import Layout, channels_first, check_layout
from streamreplay.learners.models.layers import HeadKind, group_norm
from streamreplay.learners.models.mlp import ModuleFactory, mlp


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
        See `streamreplay.learners.models.images.channels_first`.

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
