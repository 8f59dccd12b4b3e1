"""Maps of a score by group, and stacks of shares of a whole, over the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap

from streamreplay.reading.columns import Floats
from streamreplay.reading.number_text import tick
from streamreplay.reading.report.charts.chart import Canvas, names_axis, share_axis, shorten

_PIXELS = 240

NamedShare: TypeAlias = tuple[str, Floats]
"""A name, and its share at each record."""

_HATCHES = ("", "////", "....", "\\\\\\\\")

# the darker part of cividis is left out: it cannot be told from a dark page
_COLOURS = ListedColormap(mpl.colormaps["cividis"](np.linspace(0.38, 1.0, 256)), "values")


@dataclass(frozen=True)
class Map:
    """A score of each group over the stream.

    Attributes
    ----------
    names : list of str
        The groups: rows of the map from top to bottom.
    x : float64[n]
        The end of each column; a column begins at the end of the one before.
    values : float64[rows, n]
    last : list of str
        Text to the right of each row.
    share : bool
        True for shares, of which more is better; False for errors.
    label : str
        Of the axis with the names.
    """

    names: list[str]
    x: Floats
    values: Floats
    last: list[str]
    share: bool = True
    label: str = ""

    @property
    def height(self) -> float:
        """The height of a chart of it, in inches."""
        return max(1.5, 0.75 + 0.2 * len(self.names))


def draw_map(canvas: Canvas, shown: Map) -> None:
    """Draw a map with the stream from left to right, and a colour bar above it."""
    axes = canvas.figure.subplots()
    end = float(shown.x[-1])
    at = (np.arange(_PIXELS) + 0.5) * end / _PIXELS
    values = shown.values[:, np.searchsorted(shown.x, at)]
    image = axes.imshow(
        np.ma.masked_invalid(values),
        aspect="auto",
        interpolation="none",
        **colours(shown.values, share=shown.share),
        extent=(0, end, len(shown.names) - 0.5, -0.5),
    )
    hatch_blanks(canvas, axes, values)
    names_axis(axes, shown.names)
    for row, text in enumerate(shown.last):
        axes.axhline(row - 0.5, color=canvas.ink["page"], linewidth=1.2)
        canvas.write_behind(axes, text, row, 7 if len(shown.names) > 20 else 8)
    canvas.rows_axis(axes, end)
    colour_bar(canvas, axes, image, share=shown.share)
    axes.set_ylabel(shown.label)


def colours(values: Floats, *, share: bool) -> dict[str, Any]:
    """Return the colours of a map, made for colour-blind readers too (Nuñez et al. 2018).

    Each has a contrast of at least 3 with a dark page; a good score is bright.
    """
    if share:
        return {"cmap": _COLOURS, "vmin": 0.0, "vmax": 1.0}
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    return {"cmap": _COLOURS.reversed(), "vmin": 0.0, "vmax": most or 1.0}


def ink_on(colour: Sequence[float]) -> str:
    """Return black or white, whichever has more contrast with a colour (WCAG 2.2)."""
    parts = np.array(colour[:3])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return "#000000" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "#ffffff"


def hatch_blanks(canvas: Canvas, axes: Any, values: Floats) -> None:
    """Hatch the ground of a map where it has no value: no colour of the map is hatched."""
    if not np.isfinite(values).all():
        axes.patch.set(hatch="////", edgecolor=canvas.ink["soft"], linewidth=0.0)


def colour_bar(canvas: Canvas, axes: Any, image: Any, *, share: bool) -> None:
    """Draw a small colour bar above a map."""
    bar = canvas.figure.colorbar(
        image, ax=axes, location="top", shrink=0.4, aspect=28, pad=0.02, anchor=(0.0, 0.0)
    )
    bar.outline.set_visible(False)
    if share:
        bar.ax.xaxis.set_major_formatter(lambda value, _: tick(value))
        bar.set_ticks([0, 0.5, 1])


def draw_stack(canvas: Canvas, x: Floats, shares: Sequence[NamedShare], title: str) -> None:
    """Draw shares that add up to 1, with their names at the right edge or in a legend."""
    axes = canvas.figure.subplots()
    canvas.rows_axis(axes, float(x[-1]))
    _draw_bands(canvas, axes, x, shares)
    share_axis(axes, whole=False)
    axes.set_ylim(0, 1)
    axes.set_ylabel(title)


def _draw_bands(canvas: Canvas, axes: Any, x: Floats, shares: Sequence[NamedShare]) -> None:
    colours = [canvas.series(place) for place in range(len(shares))]
    values = np.nan_to_num(np.stack([share for _, share in shares]))
    if x[0] == x[-1]:  # records at a single row are drawn as a band from row 0
        x, values = np.array([0.0, x[-1]]), np.repeat(values[:, -1:], 2, axis=1)
    bands = axes.stackplot(x, values, colors=colours, linewidth=0.6, edgecolor=canvas.ink["page"])
    for place, band in enumerate(bands):
        band.set_hatch(_HATCHES[place // len(set(colours)) % len(_HATCHES)] if place else "")
        band.set_alpha(0.85)
    last = values[:, -1]
    points_high = canvas.figure.get_figheight() * 72 * 0.65  # of the axes, about
    room = 10 / points_high * max(float(last.sum()), 1e-12)
    for (name, _), height, middle in zip(shares, last, np.cumsum(last) - last / 2, strict=True):
        if height > room:
            canvas.write_behind(axes, shorten(name, 14), middle)
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.set_ylim(0, max(float(values.sum(axis=0).max()), 1e-12))
    if (last <= room).any():
        for (name, _), band in zip(shares, bands, strict=True):
            band.set_label(shorten(name, 36))
        canvas.legend(axes)
