"""``streamreplay compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streamreplay.commands.values import whole_number
from streamreplay.errors import RunFolderError, fitting
from streamreplay.plain_text import terminal_width, visible, wrapped_for


def compare(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN [RUN]...", help="Run folders.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Score to test: accuracy, mae, exact_match, loss, brier, mse or hamming_loss.",
            show_default="the main score",
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(metavar="NUMBER", help="Number of bootstrap resamples.", parser=whole_number),
    ] = 2000,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Seed of the resampling.", parser=whole_number)
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare runs, and test whether a difference may be chance.

    Runs on the same stream are compared row by row, with a bootstrap over blocks of dependent rows.
    Runs that differ only in their seed form a group. Each group is compared with the first.
    """
    from streamreplay.reading.compare.comparison import compare_runs  # noqa: PLC0415 - slow
    from streamreplay.reading.compare.text import (  # noqa: PLC0415
        comparison_lines,
        comparison_object,
    )

    with fitting("the logs cannot be compared", RunFolderError):
        comparison = compare_runs(runs, metric, resamples=resamples, seed=seed)
        if as_json:
            lines = [json.dumps(comparison_object(comparison), ensure_ascii=False)]
        else:
            lines = [*comparison_lines(comparison, terminal_width(1))]
    text = "\n".join(visible(line, keep="\n") for line in lines)
    typer.echo(text if as_json else wrapped_for(1, text))
