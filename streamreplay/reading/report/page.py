"""A report as one HTML file without external resources, and its charts as picture files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from streamreplay.errors import writing
from streamreplay.reading.report.charts.chart import Chart
from streamreplay.reading.report.charts.render import inline_svg, save_png, save_svg
from streamreplay.reading.report.contents import RunReport


def render_page(report: RunReport, progress: Callable[[str], None] = lambda _: None) -> str:
    """Return the page's HTML.

    Parameters
    ----------
    report : RunReport
    progress : callable
        Called with a text for each chart that is drawn.
    """

    def svg(chart: Chart, *, narrow: bool) -> Markup:
        if not narrow:
            progress(f"drawing: {chart.title}")
        return Markup(inline_svg(chart, narrow=narrow))  # noqa: S704 - our own; matplotlib escapes text

    environment = Environment(
        loader=PackageLoader("streamreplay.reading.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    page = environment.get_template("page.html.j2")
    return page.render(report=report, svg=svg, css=Markup(css)) + "\n"  # noqa: S704 - as above


def _code(text: str) -> Markup:
    """Turn text between backticks into code elements."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def write_page(
    report: RunReport, path: Path, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Write the page. If writing fails, a file of that name stays as it was."""
    html = render_page(report, progress)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with writing(path):
            # a folder may have a name that is not UTF-8
            temporary.write_text(html, encoding="utf-8", errors="backslashreplace")
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_pictures(report: RunReport, folder: Path, form: str) -> list[Path]:
    """Write each chart as a file into a folder, which is created if necessary.

    Parameters
    ----------
    report : RunReport
    folder : Path
    form : {"png", "svg"}

    Returns
    -------
    list of Path
    """
    save = {"png": save_png, "svg": save_svg}[form]
    paths = []
    for chart in report.charts:
        path = folder / f"{chart.name}.{form}"
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            save(chart, path)
        paths.append(path)
    return paths
