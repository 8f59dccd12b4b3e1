"""The parts of a report: sections, charts, tables, and the colours that charts are drawn with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Ink: TypeAlias = Mapping[str, str]
"""Colours by their use: ``text``, ``soft``, ``line``, ``page``, ``series1``, ..."""

SERIES = 8
"""Number of colours for lines."""

DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (2.5, 1.5)), (0, (9, 3)))
"""Lines also differ by dash, for readers who cannot tell the colours apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""Lines also differ by marker."""

_PARTS = ("text", "soft", "line", "page", *(f"series{i}" for i in range(1, SERIES + 1)))

PAGE: Ink = {part: f"#01fe{place:02x}" for place, part in enumerate(_PARTS)}
"""Placeholders: `inline_svg` replaces each by the page's CSS variable of that name."""

PAPER: Ink = dict(
    zip(
        _PARTS,
        (
            *("#1b1f24", "#57606a", "#d0d7de", "#ffffff"),
            *("#0072b2", "#c04e00", "#00795a", "#a0468a"),
            *("#8a6100", "#1f7fae", "#5c5c5c", "#6a51a3"),
        ),
        strict=True,
    )
)
"""Colours on white: hues of Okabe and Ito (2008), darkened for contrast."""


@dataclass(frozen=True)
class Canvas:
    """The figure that a chart is drawn on.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    ink : Ink
    narrow : bool
        Whether the chart is for a phone, half as wide.
    """

    figure: Any
    ink: Ink
    narrow: bool

    def series(self, place: int) -> str:
        """Return the colour of a series by its index."""
        return self.ink[f"series{place % SERIES + 1}"]


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the rows.

    Attributes
    ----------
    header : tuple of str
    rows : sequence of tuple of str
    """

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Chart:
    """A chart with its title, caption and values.

    Attributes
    ----------
    name : str
        Used for its files and its anchor.
    title : str
    caption : str
    alt : str
        A description for readers who do not see the chart.
    draw : callable
        Draws it on a canvas.
    height : float
        Inches, at a width of 7.6.
    narrow_height : float or None
        Inches, at a width of 3.6; by default as `height`.
    table : Table or None
        The values.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Canvas], None]
    height: float = 2.9
    narrow_height: float | None = None
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes
    ----------
    name : str
        The anchor.
    title : str
    lead : str
        An introduction.
    charts : list of Chart
    missing : list of str
        What cannot be shown, why, and how to get it.
    figures : Table or None
        Figures without a chart.
    """

    name: str
    title: str
    lead: str = ""
    charts: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    figures: Table | None = None


def write_behind(
    canvas: Canvas, axes: Any, text: str, at: float, fontsize: float | None = None
) -> None:
    """Write a text to the right of the axes, at a height in their units."""
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
