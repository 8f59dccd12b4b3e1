"""Charts as SVG for the page, and as SVG and PNG files."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from streamreplay.reading.report.charts.chart import PAGE, PAPER, Canvas, Chart, Ink

_WIDE, _NARROW = 7.6, 3.6  # inches
_DPI = 200
_STYLE = Path(__file__).with_name("charts.mplstyle")


def inline_svg(chart: Chart, *, narrow: bool = False) -> str:
    """Return a chart as an ``<svg>`` for a page.

    Text stays text in the page's font. Colours become the page's CSS variables ``--text``,
    ``--series1`` and so on. Ids begin with the name of the chart, so that they are unique.

    Parameters
    ----------
    chart : Chart
    narrow : bool
        Whether to draw the chart for a phone.
    """
    own = f"{chart.name}{'-narrow' if narrow else ''}"
    svg = _svg(chart, PAGE, narrow=narrow, salt=own)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id=")', rf"\g<1>{own}-", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{own}-", svg)
    for part, colour in PAGE.items():
        svg = svg.replace(colour, f"var(--{part})")
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*; ?", "", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box[0] if box else ""} aria-hidden="true">'
    return re.sub(r"<svg[^>]*>", head, svg, count=1).replace("xlink:href", "href").strip()


def save_svg(chart: Chart, path: Path) -> None:
    """Write a chart as an SVG file, on white."""
    path.write_text(_svg(chart, PAPER, narrow=False, salt=chart.name), encoding="utf-8")


def save_png(chart: Chart, path: Path) -> None:
    """Write a chart as a PNG file, on white."""
    with mpl.rc_context(_style(PAPER)):
        figure = _draw(chart, PAPER, narrow=False)
        figure.set_dpi(_DPI)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(path)


def _svg(chart: Chart, ink: Ink, *, narrow: bool, salt: str) -> str:
    with mpl.rc_context({**_style(ink), "svg.fonttype": "none", "svg.hashsalt": salt}):
        figure, out = _draw(chart, ink, narrow=narrow), io.StringIO()
        # savefig would draw twice, the first time to find out the layout
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(out, metadata={"Date": None})
    return out.getvalue()


def _draw(chart: Chart, ink: Ink, *, narrow: bool) -> Figure:
    height = chart.height if not narrow else chart.narrow_height or chart.height
    figure = Figure(figsize=(_NARROW if narrow else _WIDE, height), layout="constrained")
    chart.draw(Canvas(figure, ink, narrow))
    return figure


def _style(ink: Ink) -> Any:  # matplotlib types the names of settings as a literal of all of them
    common = mpl.rc_params_from_file(_STYLE, use_default_template=False)
    return {
        **common,
        "axes.titlecolor": ink["text"],
        "axes.labelcolor": ink["soft"],
        "axes.edgecolor": ink["line"],
        "figure.facecolor": "none" if ink is PAGE else ink["page"],
        "grid.color": ink["line"],
        "xtick.color": ink["line"],
        "ytick.color": ink["line"],
        "xtick.labelcolor": ink["soft"],
        "ytick.labelcolor": ink["soft"],
        "text.color": ink["text"],
    }
