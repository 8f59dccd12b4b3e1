"""Print the table of the demonstration, and draw its picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from streamreplay.demo.runs import STREAMS, DemoRun

# dark enough on white, and distinguishable by colour-blind readers (Okabe and Ito 2008)
_COLOURS = {False: "#d55e00", True: "#0072b2"}
_NAMES = {False: "without replay", True: "with replay"}


def print_table(runs: Sequence[DemoRun], console: Console) -> None:
    """Print the scores of each run."""
    table = Table(box=SIMPLE_HEAD, title="One pass over each stream", title_justify="left")
    table.add_column("stream", no_wrap=True)
    table.add_column("replay", no_wrap=True)
    for name in (
        "prequential",
        "all classes\nat the end",
        "first classes\nat the end",
        "forgetting",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        last = run.rounds[-1]
        table.add_row(
            run.stream.name,
            "yes" if run.replay else "no",
            f"{run.scores[-1]['accuracy']:.1%}",
            f"{last['accuracy']:.1%}",
            f"{run.retained()[-1][1]:.1%}",
            f"{last['class_forgetting']:.1%}",
            end_section=run.replay,
        )
    console.print(table)
    console.print(
        "prequential: each row was predicted before it was learned\n"
        "at the end: on rows that were never learned\n"
        "forgetting: how far a class has fallen from its best, on average\n",
        style="dim",
    )


def draw(runs: Sequence[DemoRun], path: Path) -> None:
    """Draw the accuracy on held-out rows over each stream, and save the picture.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, len(STREAMS), sharey=True)
    for axes, stream in zip(panels, STREAMS, strict=True):
        for run in (run for run in runs if run.stream is stream):
            _draw_run(axes, run)
        classes = f"{', '.join(stream.first[:-1])} and {stream.first[-1]}"
        axes.set_title(f"{stream.title}: what is retained of {classes}", fontsize=11)
        axes.axvline(stream.gone_after, color="0.5", linewidth=1, linestyle="--")
        axes.annotate(
            f" {classes} are gone",
            (stream.gone_after, 0.09),
            color="0.35",
            fontsize=9,
            xycoords=("data", "axes fraction"),
        )
        axes.set_xlabel("rows of the stream")
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy")
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=130)


def _draw_run(axes: Any, run: DemoRun) -> None:
    name, colour = _NAMES[run.replay], _COLOURS[run.replay]
    axes.plot(
        *zip(*run.retained(), strict=True),
        color=colour,
        linewidth=2.2,
        label=f"{name}: held-out rows of these classes",
    )
    axes.plot(
        [record["position"] for record in run.scores],
        [record["accuracy_window"] for record in run.scores],
        color=colour,
        linewidth=1,
        linestyle=":",
        label=f"{name}: prequential, all classes",
    )
