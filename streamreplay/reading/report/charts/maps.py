"""Maps: a score as colour, by group and over the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.columns import Floats
from streamreplay.reading.number_text import tick
from streamreplay.reading.report.charts.axes import names_axis, rows_axis
from streamreplay.reading.report.charts.chart import Canvas, write_behind

_PIXELS = 240


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
    """

    names: list[str]
    x: Floats
    values: Floats
    last: list[str]
    share: bool = True


def draw_map(canvas: Canvas, axes: Any, shown: Map) -> Any:
    """Draw a map with the stream from left to right; return the image for a colour bar."""
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
    names_axis(axes, shown.names)
    for row, text in enumerate(shown.last):
        axes.axhline(row - 0.5, color=canvas.ink["page"], linewidth=1.2)
        write_behind(canvas, axes, text, row, 7 if len(shown.names) > 20 else 8)
    rows_axis(axes, canvas, end)
    return image


def colours(values: Floats, *, share: bool) -> dict[str, Any]:
    """Return the colours of a map, made for colour-blind readers too (Nuñez et al. 2018)."""
    if share:
        return {"cmap": "cividis", "vmin": 0.0, "vmax": 1.0}
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    return {"cmap": "cividis_r", "vmin": 0.0, "vmax": most or 1.0}


def colour_bar(canvas: Canvas, axes: Any, image: Any, *, share: bool = True) -> None:
    """Draw a small colour bar above a map."""
    bar = canvas.figure.colorbar(
        image, ax=axes, location="top", shrink=0.4, aspect=28, pad=0.02, anchor=(0.0, 0.0)
    )
    bar.outline.set_visible(False)
    if share:
        bar.ax.xaxis.set_major_formatter(lambda value, _: tick(value))
        bar.set_ticks([0, 0.5, 1])


def map_height(n: int) -> float:
    """Return the height in inches of a chart with so many named rows."""
    return max(1.5, 0.75 + 0.2 * n)
