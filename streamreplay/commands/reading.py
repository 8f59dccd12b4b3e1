"""``streamreplay compare`` and ``streamreplay tail``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare", "tail"]


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
    from streamreplay.reading.comparing import compare_runs  # noqa: PLC0415 - slow
    from streamreplay.reading.comparison_text import (  # noqa: PLC0415
        comparison_lines,
        comparison_object,
    )

    comparison = compare_runs(runs, metric, resamples=resamples, seed=seed)
    if as_json:
        typer.echo(json.dumps(comparison_object(comparison), ensure_ascii=False))
    else:
        typer.echo("\n".join(comparison_lines(comparison)))


def tail(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    once: Annotated[
        bool, typer.Option("--once", help="Print the present state and leave.")
    ] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", help="From one look at the logs to the next.")
    ] = 1.0,
) -> None:
    """Watch a run in the terminal: scores, what is retained and forgotten, drifts, buffer, cost.

    Ends with the run, or with Ctrl-C. A run that stopped or was killed is watched on, as it may be
    resumed. Where standard output is no terminal, the present state is printed once.
    """
    from streamreplay.reading.live import show_once, tail_run  # noqa: PLC0415 - slow

    if once:
        show_once(run)
        return
    raise typer.Exit(tail_run(run, interval))
