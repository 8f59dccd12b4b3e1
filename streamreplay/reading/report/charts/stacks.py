"""Stacks: shares of a whole over the stream, one on top of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from streamreplay.reading.columns import Floats
from streamreplay.reading.report.charts.axes import legend, rows_axis, share_axis, shorten
from streamreplay.reading.report.charts.chart import Canvas, write_behind

NamedShare: TypeAlias = tuple[str, Floats]
"""A name, and its share at each record."""

_HATCHES = ("", "////", "....", "\\\\\\\\")


def draw_stack(canvas: Canvas, x: Floats, shares: Sequence[NamedShare], title: str) -> None:
    """Draw shares that add up to 1, with their names at the right edge or in a legend."""
    axes = canvas.figure.subplots()
    rows_axis(axes, canvas, float(x[-1]))
    _draw_bands(canvas, axes, x, shares)
    share_axis(axes, whole=False)
    axes.set_ylim(0, 1)
    axes.set_ylabel(title)


def _draw_bands(canvas: Canvas, axes: Any, x: Floats, shares: Sequence[NamedShare]) -> None:
    colours = [canvas.series(place) for place in range(len(shares))]
    values = np.nan_to_num(np.stack([share for _, share in shares]))
    if len(x) == 1:  # a single record is drawn as a band from row 0
        x, values = np.array([0.0, x[0]]), np.repeat(values, 2, axis=1)
    bands = axes.stackplot(x, values, colors=colours, linewidth=0.6, edgecolor=canvas.ink["page"])
    for place, band in enumerate(bands):
        band.set_hatch(_HATCHES[place // len(set(colours)) % len(_HATCHES)] if place else "")
        band.set_alpha(0.85)
    last = values[:, -1]
    points_high = canvas.figure.get_figheight() * 72 * 0.65  # of the axes, about
    room = 10 / points_high * max(float(last.sum()), 1e-12)
    for (name, _), height, middle in zip(shares, last, np.cumsum(last) - last / 2, strict=True):
        if height > room:
            write_behind(canvas, axes, shorten(name, 14), middle)
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.set_ylim(0, max(float(values.sum(axis=0).max()), 1e-12))
    if (last <= room).any():
        for (name, _), band in zip(shares, bands, strict=True):
            band.set_label(shorten(name))
        legend(canvas, axes)
