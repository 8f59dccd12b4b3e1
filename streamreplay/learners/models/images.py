"""Bring rows that are images to one layout: channels first."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import nn

from streamreplay.errors import ConfigError
from streamreplay.learners.models.layers import ChannelsFirst

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
