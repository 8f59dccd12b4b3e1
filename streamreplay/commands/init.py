"""``streamreplay init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def init(
    *,
    path: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Job file; - is standard output.")
    ] = Path("job.toml"),
    full: Annotated[bool, typer.Option("--full", help="Write all keys.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a job file with the keys that most people set.

    Each has its default and its meaning.
    """
    from streamreplay.config import template, write_template  # noqa: PLC0415 - slow

    if str(path) == "-":
        sys.stdout.write(template(full=full))
        return
    write_template(path, full=full, force=force)
    typer.echo(f"wrote {path}; run it with: streamreplay run {path}", err=True)
