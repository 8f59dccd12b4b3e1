"""A job with a probe, through the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streamreplay import data_path
from tests.commands.test_kill import SMALL, kill_and_resume

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

SPLIT = (
    "--set", "source.split.n_experiences=5", "--set", "source.batch_size=10",
    "--set", "buffer.max_size=100", "--set", "mixer.steps=1",
)  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_with_a_probe_and_a_test_set(cli: Cli) -> None:
    samples = ("--probe", "0.1", "--set", "probe.every=100", "--set", "test.share=0.1")
    args = ("-s", data_path("digits.npz"), *SPLIT, *SMALL, *samples)
    assert kill_and_resume(cli, args, kills=4, seed=5)


def test_what_a_run_with_a_probe_writes(cli: Cli) -> None:
    args = ("-s", data_path("digits.npz"), *SPLIT, *SMALL, "--probe", "0.1", "-o", "out")
    done = cli("run", *args, "--emit", "predictions", "--quiet")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    withheld = [line for line in lines if line.get("withheld")]
    assert 100 < len(withheld) < 260
    assert all(line["label"] is not None for line in withheld)
    metrics = (cli.folder / "out" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in metrics]
    ends = [r for r in records if r["kind"] == "retention" and r["experience_end"]]
    assert [r["sample"] for r in ends] == ["probe"] * 5
    assert ends[-1]["withheld"] == ends[-1]["rows"] == len(withheld)
    assert set(ends[-1]["by_class"]) == {str(digit) for digit in range(10)}
    (last,) = [r for r in records if r["kind"] == "prequential" and r["position"] == len(lines)]
    assert last["rows"] == len(lines)  # the withheld ones among them


def test_the_same_rows_are_withheld_whatever_learns(cli: Cli) -> None:
    found = []
    for seed, size, steps in ((0, 10, 1), (3, 64, 2)):
        settings = ("--set", f"source.batch_size={size}", "--set", f"mixer.steps={steps}")
        args = ("-s", data_path("digits.npz"), *SMALL, *settings, "--seed", str(seed))
        done = cli("run", *args, "--probe", "0.05", "--emit", "predictions", "--quiet")
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found.append([line["position"] for line in lines if line.get("withheld")])
    assert found[0] == found[1]
    assert found[0]


def test_a_probe_of_several_learners_is_one(cli: Cli) -> None:
    learners = ("--set", 'learner.0.method="er"', "--set", 'learner.1.method="er-ace"')
    hidden = ("--set", "learner.0.hidden=[8]", "--set", "learner.1.hidden=[8]")
    args = ("-s", data_path("digits.npz"), *SPLIT, *learners, *hidden, "--probe", "0.1")
    done = cli("run", *args, "--quiet")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [r for r in records if r["kind"] == "retention" and r["experience_end"]]
    assert [r["learner"] for r in ends] == ["learner1", "learner2"] * 5
    assert ends[-1]["rows"] == ends[-2]["rows"]


@pytest.mark.parametrize("share", ["0", "1", "x"])
def test_a_share_that_is_none(cli: Cli, share: str) -> None:
    done = cli("run", "-s", data_path("digits.npz"), "--probe", share)
    assert done.returncode in (1, 2)
    assert "probe" in done.stderr
    assert "Traceback" not in done.stderr
