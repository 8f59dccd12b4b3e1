"""``streamreplay inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streamreplay.errors import RunFolderError, fitting


def inspect(
    *,
    path: Annotated[
        Path, typer.Argument(metavar="RUN|CHECKPOINT", help="Folder of a run or of a checkpoint.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a run folder or a checkpoint holds.

    These are labels, buffer, parameters and last scores.
    """
    from streamreplay.reading.inspect import inspect_path, print_report  # noqa: PLC0415 - slow

    with fitting(f"{path}: cannot be described", RunFolderError):
        report = inspect_path(path)
        if as_json:
            typer.echo(json.dumps(report))
        else:
            print_report(report)
