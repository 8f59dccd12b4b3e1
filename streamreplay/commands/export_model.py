"""``streamreplay export-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreplay.commands.load import load_torch


def export_model(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR")],
    to: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the model.")],
    learner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which learner, if the run has several.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that the job imports.")] = (
        False
    ),
) -> None:
    """Write what a run predicts with: weights, schema of the features, and how to rebuild it.

    streamreplay.load_model(DIR) predicts without the run. For plain numbers
    and images there is a program of torch.export, too.
    """
    load_torch()
    from streamreplay.predicting.export import export_model as export  # noqa: PLC0415 - slow

    files, reason = export(run, to, learner=learner, trust=trust)
    for path in files:
        typer.echo(f"{path}: {path.stat().st_size:,} bytes")
    if reason:
        typer.echo(f"streamreplay: no program.pt2: {reason}", err=True)
