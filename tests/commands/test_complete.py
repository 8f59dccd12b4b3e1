"""What shells are given when they ask for completions."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streamreplay.commands.complete import complete_setting
from streamreplay.config import load_job
from streamreplay.config.choices import METHODS, MODULES, SELECTIONS
from streamreplay.config.job import Job
from streamreplay.config.parsing.load import known_keys
from streamreplay.errors import ConfigError
from streamreplay.ingest import FORMATS
from streamreplay.learners import METHODS as MADE
from tests.commands.conftest import CLI


def completions(words: str) -> list[str]:
    """Return what bash is offered for the last word of a line."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, str(CLI)],
        env={**os.environ, **asked, "_STREAMREPLAY_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def of_key(key: str, *values: str) -> list[str]:
    return [f"{key}={value}" for value in values]


LINES = [
    ("run --format ", ["auto", *FORMATS]),
    ("predict out --input-format p", ["parquet"]),
    ("run --emit p", ["predictions"]),
    ("run --set buffer.gr", ["buffer.groups=", "buffer.groupby="]),
    ("run --set buffer.groupby", of_key("buffer.groupby", "none", "class", "task", "experience")),
    ("run --set buffer.groupby = c", ["class"]),  # bash takes = for a word
    ("run --set learner.method=er", of_key("learner.method", "er", "er-ace", "er-slda")),
    ("run --set source.header=", of_key("source.header", "true", "false")),
    ("run --set learner.hid", ["learner.hidden=256,256"]),
    ("run --set source.path", ["source.path=-"]),
    ("run --set drift.0.w", ["drift.0.warning_actions="]),
    ("run --set no.such", []),
    ("run data", []),  # the shell completes files
    ("ins", ["inspect"]),
]


@pytest.mark.parametrize(("words", "offered"), LINES, ids=[words for words, _ in LINES])
def test_completions(words: str, offered: list[str]) -> None:
    assert completions(f"streamreplay {words}") == offered


def is_allowed(*settings: str) -> bool:
    """Return whether settings can be made, or only lack or exclude another key."""
    try:
        load_job(None, settings)
    except ConfigError as error:
        return any(words in str(error) for words in ("goes with", "needs", "either", "is missing"))
    return True


def test_every_key_is_offered_and_every_value_that_is_offered_can_be_set() -> None:
    keys = complete_setting("")
    assert len(keys) == len({*known_keys(Job)})
    assert {key.rstrip("=.").replace("drift.0", "drift") for key in keys} == {*known_keys(Job)}
    needs = {"source.split": "source.split.n_experiences=5", "backbone": "backbone.module=a:b"}
    for key in keys:
        for setting in complete_setting(key):
            name, _, value = setting.partition("=")
            with_it = [text for section, text in needs.items() if name.startswith(section)]
            if value and not is_allowed(*with_it, setting):
                raise AssertionError(setting)


def test_names_of_parts_are_those_that_exist() -> None:
    assert {*METHODS.names} == {"auto", *MADE, "gss"}
    assert "slim_resnet18" in MODULES.names
    assert "loss_aware" in SELECTIONS.names
