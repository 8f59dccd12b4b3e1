"""``streamreplay demo``."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from streamreplay.commands.load import load_torch


def demo(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the four runs.")
    ] = Path("streamreplay-demo"),
) -> None:
    """Show how a learner forgets, and how replay prevents it.

    It learns from two bundled streams of real data.
    """
    load_torch()
    from rich.console import Console  # noqa: PLC0415 - slow

    from streamreplay.demo import draw, print_table, run_demo  # noqa: PLC0415 - slow
    from streamreplay.demo.runs import Interrupted  # noqa: PLC0415

    console, progress = Console(), Console(stderr=True)
    start, runs = time.monotonic(), []
    try:
        with progress.status("starting") as status:
            for run in run_demo(out):
                runs.append(run)
                kind = "with replay" if run.replay else "without replay"
                progress.print(
                    f"{run.stream.title}, {kind}: {run.scores[-1]['position']:,} rows "
                    f"({time.monotonic() - start:.0f} s)"
                )
                status.update("learning")
    except Interrupted as stopped:
        raise typer.Exit(stopped.code) from None
    print_table(runs, console)
    picture = out / "forgetting.png"
    try:
        draw(runs, picture)
    except ImportError:
        progress.print("no picture: matplotlib is missing, pip install 'streamreplay[plot]'")
    else:
        console.print(f"picture:     {picture}", highlight=False, soft_wrap=True)
    console.print(f"run folders: {runs[0].folder.parent}", highlight=False, soft_wrap=True)
    folders = [shlex.quote(str(run.folder)) for run in runs]
    for what, command in (
        ("look inside", f"inspect {folders[-1]}"),
        ("as a page", f"report {' '.join(folders[:2])}"),
    ):
        console.print(f"{what + ':':12} streamreplay {command}", highlight=False, soft_wrap=True)
