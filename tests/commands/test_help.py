"""The help of every command, on terminals of several widths."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from streamreplay.commands.app import COMMANDS
from streamreplay.config import Job
from tests.commands.conftest import CLI

NAMES = [command.__name__.replace("_", "-") for command in COMMANDS]


def help_of(*command: str, columns: int = 80) -> str:
    done = subprocess.run(
        [sys.executable, str(CLI), *command, "--help"],
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_fits_and_breaks_no_sentence(name: str, columns: int) -> None:
    text = help_of(*filter(None, [name]), columns=columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "<" not in text  # no types of Python
    assert not re.search(r"[a-z]\.\.\.$", text, re.MULTILINE)
    for paragraph in text.partition("Options:")[0].split("\n\n")[1:]:
        last = paragraph.rstrip()[-1:]
        assert last in "." or "Arguments:" in paragraph, paragraph


def test_the_defaults_shown_are_those_of_the_job() -> None:
    text = " ".join(help_of("run").split())
    job = Job()
    for option, value in (
        ("--checkpoint-every", job.run.checkpoint_every),
        ("--emit", job.run.emit),
        ("--limit", job.run.limit),
        ("--batch-size", job.source.batch_size),
        ("--seed", job.seed),
    ):
        (found,) = re.findall(rf"{option} [A-Z]+ .*?\[default: (.*?)\]", text)
        assert found == str(value), option


def test_all_commands_are_listed_with_a_whole_sentence() -> None:
    listed = help_of().partition("Commands:")[2]
    assert re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE) == NAMES
    sentences = re.split(r"\n  (?=[a-z])", listed.strip("\n"))
    assert all(each.rstrip().endswith(".") for each in sentences)
