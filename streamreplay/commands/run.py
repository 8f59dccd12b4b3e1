"""``streamreplay run``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import typer

from streamreplay.commands.complete import (
    complete_emit,
    complete_format,
    complete_setting,
    complete_value,
)
from streamreplay.commands.load import load_torch
from streamreplay.commands.values import number, one_of, whole_number
from streamreplay.plain_text import split_names

Emit: TypeAlias = Literal["auto", "predictions", "metrics", "none"]


def run(  # noqa: PLR0913 - one argument for each option
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[JOB.toml] [FILE]...",
            help="Job file, see init, and files to read, one after the other: paths, folders, "
            "patterns, or - for standard input.",
            autocompletion=complete_value,
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", metavar="FILE", help="A further file to read; - as above."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of the files: csv, jsonl, npz, parquet, ...",
            show_default="what the content shows",
            autocompletion=complete_format,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            "-l",
            metavar="NAME",
            help="Column or field with the label, which is predicted.",
            show_default="y",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns to learn from.", show_default="all"),
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            metavar="C,'D*'", help="Columns to leave out: names or patterns.", show_default="none"
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any key of the job file: --set learner.lr=0.01. A list is a,b.",
            autocompletion=complete_setting,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Run folder, for logs and checkpoints.",
            show_default="nothing is saved",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="With --resume: the files, or standard input, are what comes next in the stream.",
        ),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="At the end of the files, wait for more until Ctrl-C.")
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="With --resume: run the code that the job in --out imports, load River's pickle.",
        ),
    ] = False,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="Rows between two checkpoints.",
            show_default="10000",
            parser=whole_number,
        ),
    ] = None,
    probe: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Keep this share of the rows out of learning, as 0.02, and measure on them what "
            "is retained.",
            show_default="none",
            parser=number,
        ),
    ] = None,
    emit: Annotated[
        Emit | None,
        typer.Option(
            metavar="WHAT",
            help="What to write to standard output: predictions, metrics or none; auto is a live "
            "table in a terminal, and metrics elsewhere.",
            show_default="auto",
            parser=one_of(*get_args(Emit)),
            autocompletion=complete_emit,
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first record that cannot be read.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="Stop after this number of rows; 0 is no limit.",
            show_default="0",
            parser=whole_number,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS", help="Rows of a training step.", show_default="32", parser=whole_number
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Seed of everything random.",
            show_default="0",
            parser=whole_number,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress and no summary, only warnings.")
    ] = False,
) -> None:
    """Learn from a stream, and show how good the predictions are.

    A terminal shows a live table. A pipe or a file gets one JSON object a line.

    Exit code 3 means that the stream was read to its end, but no row could be used, no row had the
    label that the job names, or more than source.max_bad_share of the rows were put aside. The last
    line says which.
    """
    from streamreplay.config.parsing.inputs import split_inputs  # noqa: PLC0415 - slow

    job, files = split_inputs(inputs or (), source or ())
    flags = {
        "source.path": (files if len(files) > 1 else files[0]) if files else None,
        "source.format": format,
        "source.label": label,
        "source.features": None if features is None else split_names(features),
        "features.exclude": None if exclude is None else split_names(exclude),
        "source.batch_size": batch_size,
        "probe.share": probe,
        "run.checkpoint_every": checkpoint_every,
        "run.emit": emit,
        "run.strict": strict or None,
        "run.limit": limit,
        "seed": seed,
    }
    given = [f"{key}={_toml(value)}" for key, value in flags.items() if value is not None]
    overrides = [*(settings or ()), *given]
    if job is None and not resume and not overrides:
        raise typer.BadParameter("give files to read, or a job file", param_hint="FILE")

    from streamreplay.run import choose_job  # noqa: PLC0415 - slow

    chosen = choose_job(job, overrides, out, resume=resume, go_on=go_on, trust=trust)
    load_torch()
    from streamreplay.run import RunOptions, run_job  # noqa: PLC0415 - slower still

    table = None
    if os.isatty(1):
        from streamreplay.reading.live.table import LiveTable  # noqa: PLC0415 - slow

        table = LiveTable()

    options = RunOptions(
        out=out, resume=resume, go_on=go_on, quiet=quiet, trust=trust, follow=follow
    )
    code = run_job(chosen, options, table)
    raise typer.Exit(code)


def _toml(value: object) -> str:
    """Write a value for a setting: JSON, which is TOML but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
