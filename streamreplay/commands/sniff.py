"""``streamreplay sniff``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from streamreplay.plain_text import terminal_width, visible, wrapped_for


def sniff(
    *,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="A path, a folder, a pattern, or - for standard input."
        ),
    ] = None,
) -> None:
    """Show what a file holds: format, columns, a label, and the command to run."""
    if path is None and os.isatty(0):
        raise typer.BadParameter("give a file, or pipe one in", param_hint="FILE")

    from streamreplay.ingest.sniff import sniff as describe  # noqa: PLC0415 - slow

    for line in describe(path or "-").lines(terminal_width(1, margin=2)):
        typer.echo(wrapped_for(1, visible(line)))
