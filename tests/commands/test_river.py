"""River models on the command line: figures, pickles that are asked for, resume."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

ARF = "learner.river='forest.ARFClassifier(n_models=2)'"  # its seed is the job's
PICKLE = "learner.allow_pickle=true"
Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([ARF, "learner.hidden=[8]"], "learner.hidden: is of torch modules and goes without"),
        ([ARF, "learner.module=linear"], "learner.module: is of torch modules and goes without"),
        ([PICKLE], "learner.allow_pickle: goes with learner.river"),
        (["learner.river='forest.ARF()'"], "learner.river, character 1: River has no class 'f"),
        (["learner.river='preprocessing.StandardScaler()'"], "learner.river: model must be a"),
        (
            ["learner.river='linear_model.LinearRegression()'"],
            "learner: LinearRegression predicts numbers, and the stream has classes: see source.ta",
        ),
        (["learner.river='no_such:model'"], "learner.river: 'no_such:model' cannot be imp"),
        (
            ["learner.river='linear_model.LogisticRegression()'"],
            "learner: LogisticRegression tells two classes apart, and the stream has named a third",
        ),
        (
            [ARF, "buffer.kind=parametric", "buffer.selection=herding"],
            "buffer.selection: herding needs a torch module, got learner.river",
        ),
    ],
)  # fmt: skip
def test_mistakes(in_process: Run, cli: Cli, settings: list[str], message: str) -> None:
    args = [part for setting in settings for part in ("--set", setting)]
    code, _, err = in_process("run", "-s", cli.jsonl(300), *args, "--quiet")
    assert code == 1
    assert err.startswith(f"streamreplay: error: {message}"), err
    assert err.count("\n") == 1


BROKEN = """
from river import naive_bayes

class Broken(naive_bayes.GaussianNB):
    def learn_one(self, x, y):
        raise KeyError("a")
    learn_many = learn_one
"""


def test_what_a_model_raises_is_a_mistake_of_the_job(in_process: Run, cli: Cli) -> None:
    (cli.folder / "brokenmodels.py").write_text(BROKEN)
    model = "learner.river='brokenmodels:Broken'"
    code, _, err = in_process("run", "-s", cli.jsonl(30), "--set", model, "--quiet")
    message = "learner.river: 'brokenmodels:Broken' failed: KeyError: 'a' (brokenmodels.py:6)"
    assert (code, err) == (1, f"streamreplay: error: {message}\n")


def test_a_factory_of_ones_own(in_process: Run, cli: Cli) -> None:
    code = "from river import naive_bayes\n\n\ndef make():\n    return naive_bayes.GaussianNB()\n"
    (cli.folder / "rivermodels.py").write_text(code)
    args = ("--set", "learner.river='rivermodels:make'", "--quiet")
    assert in_process("run", "-s", cli.jsonl(200), *args)[0] == 0


def test_pickles_are_asked_for_twice(in_process: Run, cli: Cli) -> None:
    path = cli.jsonl(500)
    job: tuple[object, ...] = ("run", "-s", path, "--emit", "predictions", "--quiet", "--set", ARF)
    code, _, err = in_process(*job, "-o", "out")
    assert (code, "learner.allow_pickle = true" in err) == (1, True)
    assert not (cli.folder / "out").exists()
    job += ("--set", PICKLE)
    assert in_process(*job, "-o", "whole")[0] == 0
    assert in_process(*job, "-o", "out", "--limit", "192")[0] == 0
    assert in_process("inspect", "out")[0] == 0
    code, _, err = in_process("run", "--resume", "-o", "out", "--limit", "0")
    assert (code, "--trust" in err) == (1, True)
    assert in_process("run", "--resume", "--trust", "-o", "out", "--limit", "0", "--quiet")[0] == 0
    for name in ("predictions.jsonl", "dead_letters.jsonl"):  # a limit is an end, with its metrics
        whole, resumed = ((cli.folder / d / name).read_bytes() for d in ("whole", "out"))
        assert whole == resumed
    code, _, err = in_process("run", "-s", path, "--trust")
    assert (code, "--trust goes with --resume" in err) == (1, True)


@pytest.mark.slow
def test_kill_and_resume_in_other_processes(cli: Cli) -> None:
    """Each process hashes strings with another seed, on which no prediction may depend."""
    settings = ("--set", ARF, "--set", PICKLE, "--batch-size", "8", "--checkpoint-every", "200")
    job = ("run", "-s", cli.jsonl(2000), *settings, "--emit", "predictions", "--quiet")
    assert cli(*job, "-o", "whole").returncode == 0
    log = cli.folder / "out" / "predictions.jsonl"
    for size in (20_000, 120_000):
        process = cli.start(*job, "-o", "out", "--resume", "--trust", stdout=subprocess.DEVNULL)
        cli.wait_for(
            lambda: process.poll() is not None or (log.exists() and log.stat().st_size > size)  # noqa: B023
        )
        process.kill()
        process.communicate()
    assert cli(*job, "-o", "out", "--resume", "--trust").returncode == 0
    for name in ("predictions.jsonl", "metrics.jsonl", "dead_letters.jsonl"):
        whole, resumed = ((cli.folder / d / name).read_bytes() for d in ("whole", "out"))
        assert whole == resumed, name
