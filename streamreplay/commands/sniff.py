"""``streamreplay sniff``."""

from __future__ import annotations

from typing import Annotated

import typer


def sniff(*, path: Annotated[str, typer.Argument(metavar="FILE")]) -> None:
    """Show what a file holds: format, columns, a proposed label, and the command to run."""
    from streamreplay.ingest.sniff import sniff as describe  # noqa: PLC0415 - slow

    for line in describe(path).lines():
        typer.echo(line)
