"""The typer application. Imports that are slow wait until a command needs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from streamreplay import __version__
from streamreplay.commands.demo import demo
from streamreplay.commands.export import export
from streamreplay.commands.reading import compare, tail
from streamreplay.commands.report import report

__all__ = ["app"]

app = typer.Typer(
    name="streamreplay",
    help="Learn from a stream as it comes, without forgetting.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(*, value: bool) -> None:
    if value:
        typer.echo(f"streamreplay {__version__}")
        raise typer.Exit


@app.callback()
def _streamreplay(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def run(  # noqa: PLR0913 - one argument for each option
    *,
    job: Annotated[
        Path | None, typer.Argument(metavar="[JOB.toml]", help="Job file; see `init`.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", metavar="PATH|-", help="File, or - for stdin.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="auto, jsonl, csv, npz or idx.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", "-l", metavar="NAME", help="Field with the label.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Set any key of the job file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Run folder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue", help="With --resume: stdin is what comes next, not the same stream again."
        ),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="With --resume of a River model: run the pickle that is in --out."
        ),
    ] = False,
    checkpoint_every: Annotated[
        int | None, typer.Option(metavar="ROWS", help="Rows from one checkpoint to the next.")
    ] = None,
    probe: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Keep this share of the rows from being learned, and test retention on them.",
        ),
    ] = None,
    emit: Annotated[
        Literal["predictions", "metrics", "none"] | None,
        typer.Option(help="What goes to standard output."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first record that cannot be read.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(metavar="ROWS", help="Stop after so many rows; 0: never.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="ROWS", help="Rows per training step.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of everything random.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> None:
    """Learn from a stream: rows in, predictions or metrics out, one JSON object per line."""
    flags = {
        "source.path": source,
        "source.format": format,
        "source.label": label,
        "source.batch_size": batch_size,
        "probe.share": probe,
        "run.checkpoint_every": checkpoint_every,
        "run.emit": emit,
        "run.strict": strict or None,
        "run.limit": limit,
        "seed": seed,
    }
    given = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in flags.items()
        if value is not None
    ]
    overrides = [*(settings or ()), *given]
    if job is None and not resume and not overrides:
        raise typer.BadParameter("give a job file, or at least --source", param_hint="JOB.toml")

    from streamreplay.run import Options, choose_job, run_job  # noqa: PLC0415 - slow

    chosen = choose_job(job, overrides, out, resume=resume)
    options = Options(out=out, resume=resume, go_on=go_on, quiet=quiet, trust=trust)
    code = run_job(chosen, options)
    raise typer.Exit(code)


@app.command()
def inspect(
    *,
    path: Annotated[Path, typer.Argument(metavar="RUN_DIR|CHECKPOINT")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what is in a run folder or a checkpoint: labels, buffer, parameters, last scores."""
    from streamreplay.run.inspection import inspect_path, print_report  # noqa: PLC0415 - slow

    report = inspect_path(path)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        print_report(report)


@app.command()
def init(
    *,
    path: Annotated[Path, typer.Argument(metavar="[PATH|-]")] = Path("job.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a job file with every key, its default and what it means."""
    from streamreplay.config import template, write_template  # noqa: PLC0415 - slow

    if str(path) == "-":
        sys.stdout.write(template())
        return
    write_template(path, force=force)
    typer.echo(f"wrote {path}; run it with: streamreplay run {path}", err=True)


@app.command()
def schema(
    *,
    log: Annotated[bool, typer.Option("--log", help="Of the lines of the logs instead.")] = False,
) -> None:
    """Print the JSON schema of a job file, or of the logs."""
    if log:
        from streamreplay.run.logschema import log_schema  # noqa: PLC0415 - slow

        typer.echo(json.dumps(log_schema(), indent=2))
        return
    from streamreplay.config import job_schema  # noqa: PLC0415 - slow

    typer.echo(json.dumps(job_schema(), indent=2))


app.command()(report)
app.command()(compare)
app.command()(tail)
app.command()(demo)
app.command()(export)
