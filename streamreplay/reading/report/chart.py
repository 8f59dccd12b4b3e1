"""What a report is made of: sections of charts, each with its values as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "DASHES",
    "MARKERS",
    "PAGE",
    "PAPER",
    "SERIES",
    "Canvas",
    "Chart",
    "Ink",
    "Section",
    "Table",
]

Ink: TypeAlias = Mapping[str, str]
"""Colours by the part they play: ``text``, ``soft``, ``line``, ``page``, ``series1``, ..."""

SERIES = 8
"""How many colours there are for series."""

DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (2.5, 1.5)), (0, (9, 3)))
"""Lines of series are told apart by these too, not by colour alone."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""And by these."""

_PARTS = ("text", "soft", "line", "page", *(f"series{i}" for i in range(1, SERIES + 1)))

PAGE: Ink = {part: f"#01fe{place:02x}" for place, part in enumerate(_PARTS)}
"""No colours to look at: each is replaced by the page's variable for its part."""

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
"""On white: hues of Okabe and Ito (2008), dark enough to be seen."""


@dataclass(frozen=True)
class Canvas:
    """What a chart is drawn on.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    ink : Ink
    narrow : bool
        Whether it is for a phone: half as wide, so fewer things fit side by side.
    """

    figure: Any
    ink: Ink
    narrow: bool

    def series(self, place: int) -> str:
        """Return the colour of a series by its place, 0 for the first."""
        return self.ink[f"series{place % SERIES + 1}"]


@dataclass(frozen=True)
class Table:
    """Values as text; the first column names the rows.

    Attributes
    ----------
    header : tuple of str
    rows : sequence of tuple of str
    """

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Chart:
    """A picture and its words.

    Attributes
    ----------
    name : str
        Of its files and anchors.
    title : str
    caption : str
        What is to be seen in it.
    alt : str
        The same for who does not see it.
    draw : callable
        Draws it on a canvas.
    height : float
        In inches, where it is 7.6 wide.
    narrow_height : float or None
        Where it is 3.6 wide; by default as `height`.
    table : Table or None
        Its values.
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
        Its anchor.
    title : str
    lead : str
        How to read it.
    charts : list of Chart
    missing : list of str
        What cannot be shown, why, and how to get it.
    facts : Table or None
        Figures that need no chart.
    """

    name: str
    title: str
    lead: str = ""
    charts: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    facts: Table | None = None
