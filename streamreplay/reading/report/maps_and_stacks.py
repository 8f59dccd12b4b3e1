"""Maps of scores and stacks of shares over the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.report.chart import Canvas
from streamreplay.reading.report.columns import Floats
from streamreplay.reading.report.plots import cut, legend, rows_axis
from streamreplay.reading.scores import tick

__all__ = ["Map", "colour_bar", "colours", "draw_map", "draw_stack", "names_axis"]

_PIXELS = 240


@dataclass(frozen=True)
class Map:
    """A score of each group over the stream.

    Attributes
    ----------
    names : list of str
        Of the rows, top to bottom.
    x : float64[n]
        Where the columns end; they begin where the one before ends.
    values : float64[rows, n]
    last : list of str
        What to write behind each row.
    share : bool
        Whether values are from 0 to 1, and more is better; otherwise they are errors.
    """

    names: list[str]
    x: Floats
    values: Floats
    last: list[str]
    share: bool = True


def draw_map(canvas: Canvas, axes: Any, shown: Map) -> Any:
    """Draw a map with time to the right, and return the image for a colour bar."""
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
        _write_behind(canvas, axes, text, row, 7 if len(shown.names) > 20 else 8)
    rows_axis(axes, canvas, end)
    return image


def _write_behind(
    canvas: Canvas, axes: Any, text: str, at: float, fontsize: float | None = None
) -> None:
    """Write a text to the right of the axes, at a height of theirs."""
    axes.annotate(
        text,
        (1, at),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=canvas.ink["text"],
        fontsize=fontsize,
        annotation_clip=False,
    )


def colours(values: Floats, *, share: bool) -> dict[str, Any]:
    """Return the colours of a map: bright is good, for every kind of reader (Nuñez et al. 2018)."""
    if share:
        return {"cmap": "cividis", "vmin": 0.0, "vmax": 1.0}
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    return {"cmap": "cividis_r", "vmin": 0.0, "vmax": most or 1.0}


def colour_bar(canvas: Canvas, axes: Any, image: Any, *, share: bool = True) -> None:
    """Put a small key to the colours of a map above it."""
    bar = canvas.figure.colorbar(
        image, ax=axes, location="top", shrink=0.4, aspect=28, pad=0.02, anchor=(0.0, 0.0)
    )
    bar.outline.set_visible(False)
    if share:
        bar.ax.xaxis.set_major_formatter(lambda value, _: tick(value))
        bar.set_ticks([0, 0.5, 1])


def names_axis(axes: Any, names: Sequence[str]) -> None:
    """Name the rows of a map."""
    axes.set_yticks(range(len(names)), [cut(name) for name in names])
    if len(names) > 20:
        axes.tick_params(axis="y", labelsize=7)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def draw_stack(canvas: Canvas, axes: Any, x: Floats, parts: Sequence[tuple[str, Floats]]) -> None:
    """Draw shares on top of one another, each named at its right edge where there is room."""
    colours = [canvas.series(place) for place in range(len(parts))]
    values = np.nan_to_num(np.stack([part for _, part in parts]))
    if len(x) == 1:  # one moment alone is drawn as if it had been so from the start
        x, values = np.array([0.0, x[0]]), np.repeat(values, 2, axis=1)
    hatches = ["", "////", "....", "\\\\\\\\"]
    high = canvas.figure.get_figheight() * 72 * 0.65  # points, about
    room = 10 / high * max(float(values[:, -1].sum()), 1e-12)
    bands = axes.stackplot(x, values, colors=colours, linewidth=0.6, edgecolor=canvas.ink["page"])
    for place, band in enumerate(bands):
        band.set_hatch(hatches[place // len(set(colours)) % len(hatches)] if place else "")
        band.set_alpha(0.85)
    middle = np.cumsum(values[:, -1]) - values[:, -1] / 2
    for (name, _), height, at in zip(parts, values[:, -1], middle, strict=True):
        if height > room:
            _write_behind(canvas, axes, cut(name, 14), at)
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.set_ylim(0, max(float(values.sum(axis=0).max()), 1e-12))
    if (values[:, -1] <= room).any():
        for (name, _), band in zip(parts, bands, strict=True):
            band.set_label(cut(name))
        legend(canvas, axes)
