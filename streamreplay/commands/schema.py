"""``streamreplay schema``."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(
    *,
    log: Annotated[
        bool, typer.Option("--log", help="Print the schema of the logs instead.")
    ] = False,
) -> None:
    """Print the JSON schema of job files, or of the logs."""
    if log:
        from streamreplay.log.schema import log_schema  # noqa: PLC0415 - slow

        typer.echo(json.dumps(log_schema(), indent=2))
        return
    from streamreplay.config import job_schema  # noqa: PLC0415 - slow

    typer.echo(json.dumps(job_schema(), indent=2))
