"""``streamreplay init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def init(
    *,
    path: Annotated[Path, typer.Argument(metavar="[PATH|-]")] = Path("job.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a job file that lists every key with its default and its meaning."""
    from streamreplay.config import template, write_template  # noqa: PLC0415 - slow

    if str(path) == "-":
        sys.stdout.write(template())
        return
    write_template(path, force=force)
    typer.echo(f"wrote {path}; run it with: streamreplay run {path}", err=True)
