"""``streamreplay compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Score to test: by default accuracy, mae or exact_match; or loss, brier, mse, "
            "hamming_loss.",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(metavar="N", help="Number of bootstrap resamples.")
    ] = 2000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare runs, and test whether one is better or the difference may be chance.

    Runs on the same stream are compared row by row, with a bootstrap over blocks of dependent rows.
    Runs that differ only in their seed form a group. Each group is compared with the first.
    """
    from streamreplay.reading.compare.comparison import compare_runs  # noqa: PLC0415 - slow
    from streamreplay.reading.compare.text import (  # noqa: PLC0415
        comparison_lines,
        comparison_object,
    )

    comparison = compare_runs(runs, metric, resamples=resamples, seed=seed)
    if as_json:
        typer.echo(json.dumps(comparison_object(comparison), ensure_ascii=False))
    else:
        typer.echo("\n".join(comparison_lines(comparison)))
