"""``streamreplay export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="DIR", help="Folder for the tables; by default RUN_DIR/export."
        ),
    ] = None,
    format: Annotated[
        Literal["parquet", "csv"], typer.Option("--format", help="Format of the tables.")
    ] = "parquet",
) -> None:
    """Write the logs of a run as tables, one file for each kind of line."""
    from streamreplay.log.tables.export import export_logs  # noqa: PLC0415 - slow

    for path, rows in export_logs(run, to, format).items():
        typer.echo(f"{path}: {rows:,} rows", err=True)
