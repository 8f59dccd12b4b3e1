"""``streamreplay export-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreplay.commands.load import load_torch
from streamreplay.plain_text import visible


def export_model(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the model.")],
    learner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which learner, if the run has several.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that the job imports.")] = (
        False
    ),
) -> None:
    """Write the model of a run, to predict without the run.

    The folder has the weights, the schema of the features, and how to rebuild the model.
    streamreplay.load_model(FOLDER) predicts with it. For plain numbers
    and images there is a program of torch.export, too.
    """
    load_torch()
    from streamreplay.predicting.export import export_model as export  # noqa: PLC0415 - slow

    files, reason = export(run, to, learner=learner, trust=trust)
    for path in files:
        typer.echo(visible(f"{path}: {path.stat().st_size:,} bytes"))
    if reason:
        typer.echo(visible(f"streamreplay: no program.pt2: {reason}"), err=True)
