"""``streamreplay tail``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["tail"]


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
    from streamreplay.reading.live.tail import show_once, tail_run  # noqa: PLC0415 - slow

    if once:
        show_once(run)
        return
    raise typer.Exit(tail_run(run, interval))
