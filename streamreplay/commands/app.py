"""The typer application: one file for each command.

A command imports what is slow to load inside its function. To add a command, write its file and
add it to `COMMANDS`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamreplay import __version__
from streamreplay.commands.compare import compare
from streamreplay.commands.demo import demo
from streamreplay.commands.export import export
from streamreplay.commands.export_model import export_model
from streamreplay.commands.help import WIDTH, Command, Group
from streamreplay.commands.init import init
from streamreplay.commands.inspect import inspect
from streamreplay.commands.predict import predict
from streamreplay.commands.report import report
from streamreplay.commands.run import run
from streamreplay.commands.schema import schema
from streamreplay.commands.sniff import sniff
from streamreplay.commands.tail import tail

COMMANDS = (
    run,
    predict,
    sniff,
    report,
    compare,
    tail,
    inspect,
    export,
    export_model,
    init,
    schema,
    demo,
)
"""The commands, in the order of the help text."""

app = typer.Typer(
    name="streamreplay",
    help="Learn from a stream as it comes, without forgetting.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": WIDTH},
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


for command in COMMANDS:
    app.command(cls=Command)(command)
