"""``streamreplay report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreplay.errors import RunFolderError, StreamReplayError, fitting
from streamreplay.plain_text import visible


def report(
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders. Several runs are shown in the same charts."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="File for the page.")
    ] = Path("report.html"),
    png: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write each chart as a PNG file.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write each chart as an SVG file.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title; by default the names of the runs.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Write a page with charts of one run or several.

    They show scores, forgetting, drift, replay and cost.
    """
    from rich.console import Console  # noqa: PLC0415 - slow
    from rich.text import Text  # noqa: PLC0415

    if out.is_dir():
        raise StreamReplayError(f"--out: must be a file, {out} is a folder")
    try:
        from streamreplay.reading.report import (  # noqa: PLC0415 - slow
            make_report,
            write_page,
            write_pictures,
        )
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise StreamReplayError(
            "report: matplotlib is missing, pip install 'streamreplay[plot]'"
        ) from None
    console = Console(stderr=True, quiet=quiet)
    unread = "the logs cannot be drawn"
    with fitting(unread, RunFolderError), console.status("reading") as status:

        def show(step: str) -> None:
            status.update(Text(visible(step)))

        made = make_report(runs, title, show)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_page(made, out, show)
        for folder, form in ((png, "png"), (svg, "svg")):
            if folder is not None:
                status.update(f"writing {form.upper()} files")
                count = len(write_pictures(made, folder, form))
                console.print(f"{count} {form.upper()} files in {folder}", highlight=False)
    console.print(f"{len(made.charts)} charts of {len(made.runs)} run(s)", highlight=False)
    typer.echo(out)
