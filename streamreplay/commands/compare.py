"""``streamreplay compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What is tested: accuracy, mae or exact_match, as the runs have it, or loss, "
            "brier, mse, hamming_loss.",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(metavar="N", help="How often each mean is drawn anew.")
    ] = 2000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of these draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Put runs side by side, and say whether one is better or it may be chance.

    Runs of one stream are compared row by row, by blocks of rows that depend on one another. Runs
    that differ in their seed alone are taken together. All are compared with the first.
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
