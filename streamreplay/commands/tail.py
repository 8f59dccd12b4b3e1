"""``streamreplay tail``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreplay.commands.values import number
from streamreplay.errors import RunFolderError, fitting


def tail(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    once: Annotated[
        bool, typer.Option("--once", help="Print the current state once and exit.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Time between two updates.", parser=number),
    ] = 1.0,
) -> None:
    """Watch a run in the terminal.

    The table shows scores, retention, forgetting, drift, buffer and cost.

    The command ends when the run has finished, or with Ctrl-C. It stays on a run that has stopped
    or was killed, since that may be resumed. If standard output is not a terminal, the current
    state is printed once.
    """
    from streamreplay.reading.live.tail import show_once, tail_run  # noqa: PLC0415 - slow

    with fitting(f"{run}: its log cannot be shown", RunFolderError):
        code = show_once(run) if once else tail_run(run, interval)
    raise typer.Exit(code)
