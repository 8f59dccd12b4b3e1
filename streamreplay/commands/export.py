"""``streamreplay export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamreplay.commands.values import one_of
from streamreplay.errors import RunFolderError, fitting
from streamreplay.plain_text import counted, visible


def export(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FOLDER", help="Folder for the tables.", show_default="RUN/export"
        ),
    ] = None,
    format: Annotated[
        Literal["parquet", "csv"],
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format of the tables: parquet or csv.",
            parser=one_of("parquet", "csv"),
        ),
    ] = "parquet",
) -> None:
    """Write the logs of a run as tables, one file for each kind of line."""
    from streamreplay.log.tables.export import export_logs  # noqa: PLC0415 - slow

    with fitting(f"{run}: its logs cannot be written as tables", RunFolderError):
        written = export_logs(run, to, format)
    for path, rows in written.items():
        typer.echo(visible(f"{path}: {counted(rows, 'row')}"), err=True)
