"""``streamreplay predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamreplay.commands.complete import complete_format
from streamreplay.commands.load import load_torch
from streamreplay.commands.values import one_of
from streamreplay.plain_text import split_names


def predict(  # noqa: PLR0913 - one argument for each option
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Files to predict, one after the other: paths, folders, patterns; by default "
            "standard input.",
        ),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Also write the probability of every class.")
    ] = False,
    format: Annotated[
        Literal["jsonl", "csv", "parquet"],
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format of the output: jsonl, csv or parquet.",
            parser=one_of("jsonl", "csv", "parquet"),
        ),
    ] = "jsonl",
    keep: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns of the input to put next to the predictions."),
    ] = None,
    input_format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of the input.",
            show_default="what the content shows",
            autocompletion=complete_format,
        ),
    ] = None,
    learner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which learner, if the run has several.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run the code that the job imports, load River's pickle."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no summary, only warnings.")
    ] = False,
) -> None:
    """Predict rows with a trained run, and learn nothing. The run folder is only read.

    Columns are matched by name with those of the run. The label's column may
    be missing; if it is there, the last line has the score. Exit code 3 means
    that no row, or not enough of the rows, could be read.
    """
    load_torch()
    from streamreplay.predicting.driver import PredictOptions, predict_rows  # noqa: PLC0415 - slow

    names = split_names(keep or "")
    options = PredictOptions(files or (), learner, proba, format, input_format, names, trust, quiet)
    raise typer.Exit(predict_rows(run, options))
