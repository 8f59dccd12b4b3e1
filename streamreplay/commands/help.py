"""Help as plain text: whole sentences, and arguments by the names that people know."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

WIDTH = min(80, shutil.get_terminal_size().columns)
"""Columns of the help text."""

_NAMES = min(26, WIDTH // 3)  # columns for names; a longer one has a line of its own


class Command(TyperCommand):
    """A command whose help names arguments as its usage does, without the types of Python."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # Any: typer's types are its own
        """Return the parts of the usage."""
        return ["[OPTIONS]", *(_name(each) for each in _arguments(self, ctx))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        arguments = [
            (_name(each), _plain(record[1]))
            for each in _arguments(self, ctx)
            if (record := each.get_help_record(ctx)) is not None
        ]
        options = [
            (record[0], _plain(record[1]))
            for each in self.get_params(ctx)
            if each.param_type_name == "option"
            and (record := each.get_help_record(ctx)) is not None
        ]
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=_NAMES)


class Group(TyperGroup):
    """The commands, each with its whole first sentence."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is asked for; a file in its place is for `run`."""
        name = args[0] if args else ""
        if name and name not in self.commands and Path(name).exists():
            ctx.fail(f"No such command {name!r}. Did you mean 'run {name}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(1000)) for name, each in found if each is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows, col_max=_NAMES)


def _arguments(command: TyperCommand, ctx: Any) -> list[Any]:
    return [each for each in command.get_params(ctx) if each.param_type_name == "argument"]


def _plain(text: str) -> str:
    """Return a help text without the parentheses around a default that is a text."""
    return re.sub(r"\[default: \((.*)\)\]", r"[default: \1]", text)


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())
