"""The parts of a report (sections, charts, tables), their colours, and axes along the stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from streamreplay.reading.number_text import compact, tick

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

EVENTS = ("end of an experience", "warning", "drift")
_NAME = 18  # letters of a name at an axis
_LEGEND = 0.7  # inches of a legend, about four lines, that a chart has room for


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

    def rows_axis(self, axes: Any, last: float, *, label: bool = True) -> None:
        """Set up the horizontal axis for the rows of the stream."""
        axes.set_xlim(0, last)
        axes.xaxis.set_major_formatter(lambda value, _: compact(value))
        axes.locator_params(axis="x", nbins=4 if self.narrow else 8)
        axes.grid(visible=False, axis="x")
        if label:
            axes.set_xlabel("rows of the stream")

    def legend(self, axes: Any) -> None:
        """Draw the legend above the axes, in as many columns as fit.

        The figure grows by what a long legend needs, so that the axes keep their height.
        """
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda place: labels[place] in EVENTS)  # these last
        for columns in range(len(labels), 0, -1):
            made = self.figure.legend(
                [handles[place] for place in order],
                [labels[place] for place in order],
                loc="outside upper left",
                ncols=columns,
            )
            extent = made.get_window_extent()
            if extent.width <= self.figure.bbox.width or columns == 1:
                more = extent.height / self.figure.dpi - _LEGEND
                self.figure.set_figheight(self.figure.get_figheight() + max(0.0, more))
                return
            made.remove()

    def write_behind(self, axes: Any, text: str, at: float, fontsize: float | None = None) -> None:
        """Write a text to the right of the axes, at a height in their units."""
        axes.annotate(
            text,
            (1, at),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=self.ink["text"],
            fontsize=fontsize,
            annotation_clip=False,
        )


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the rows.

    Attributes
    ----------
    header : tuple of str
    rows : sequence of tuple of str
    text : bool
        Whether cells are text to read: at the left, and in several lines where they are long.
    """

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    text: bool = False


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
    tables : list of (str, Table)
        Further ones, with their captions.
    commands : list of (str, str)
        Commands for a shell, each with what it is for.
    points : list of str
        Sentences that stand for themselves.
    """

    name: str
    title: str
    lead: str = ""
    charts: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    figures: Table | None = None
    tables: list[tuple[str, Table]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)


def share_axis(axes: Any, *, whole: bool = True) -> None:
    """Set up the vertical axis for shares, from 0 to 100 % or over the range of the data."""
    if whole:
        axes.set_ylim(-0.02, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(lambda value, _: tick(value))


def names_axis(axes: Any, names: Sequence[str]) -> None:
    """Set up the vertical axis for one name a row."""
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    if len(names) > 20:
        axes.tick_params(axis="y", labelsize=7)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def shorten(name: str, most: int = _NAME) -> str:
    """Shorten a name to fit, and keep matplotlib from reading it as a formula or a hidden label.

    Examples
    --------
    >>> shorten("a class with a long name")
    'a class with a lo…'
    """
    shown = name if len(name) <= most else f"{name[: most - 1]}…"
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in shown
    )
    shown = shown.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown
