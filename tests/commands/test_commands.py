"""What holds of every command: the list is `COMMANDS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from streamreplay.commands.app import COMMANDS, app

GROUP: Any = typer.main.get_command(app)


def test_the_commands_are_those_of_the_list() -> None:
    assert list(GROUP.commands) == [command.__name__.replace("_", "-") for command in COMMANDS]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_a_command_explains_itself(command: Callable[..., None]) -> None:
    assert command.__module__ == f"streamreplay.commands.{command.__name__}"
    name = command.__name__.replace("_", "-")
    assert (sys.modules[command.__module__].__doc__ or "").startswith(f"``streamreplay {name}``")
    assert (command.__doc__ or "").partition("\n")[0].endswith(".")
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert name in shown.output
    for parameter in GROUP.commands[name].params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_a_command_refuses_an_option_that_it_lacks(command: Callable[..., None]) -> None:
    refused = CliRunner().invoke(app, [command.__name__, "--no-such-option"])
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?"),
        (["rows.csv"], "No such command 'rows.csv'. Did you mean 'run rows.csv'?"),
        (["run", "--lable", "y"], "No such option: --lable (Possible options: --label)"),
        (["run", "--limit", "ten"], "--limit': must be a whole number, got 'ten'"),
        (["run", "--probe", "ten"], "--probe': must be a number, got 'ten'"),
        (["run", "--emit", "all"], "must be auto, predictions, metrics or none, got 'all'"),
    ],
)
def test_a_mistyped_word_gets_a_hint(
    words: list[str], hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").touch()
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert hint in refused.output
