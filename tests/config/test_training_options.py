"""Augmentations, schedules and budgets of a job file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamreplay.config import build, load_job
from streamreplay.config.building.methods import (
    AUGMENTATIONS,
    SCHEDULES,
    make_augmentation,
    make_budget,
    make_schedule,
)
from streamreplay.config.job import LearnerSection
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.catalogue import er, gdumb

OWN = """
def double(x, y):
    return 2 * x

def step(n):
    return 0.5 if n else 1.0
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def rows(folder: Path, x: Any = None) -> Path:
    x = np.random.default_rng(0).random((40, 4, 4)) if x is None else x
    np.savez(folder / "rows.npz", x=x.astype(np.float32), y=np.arange(len(x)) % 2)
    return folder / "rows.npz"


def test_a_job_says_all_of_it(tmp_path: Path, own: str) -> None:
    (tmp_path / "job.toml").write_text(f"""
        [source]
        path = "{rows(tmp_path)}"
        batch_size = 4
        [mixer]
        steps = 1
        [learner]
        module = "linear"
        optimizer = "sgd"
        lr = 0.5
        augment = ["crop(1, edge=True)", "flip()", "{own}:double"]
        augment_incoming = false
        schedule = "inverse_time(2)"
        warmup = 3
        schedule_weight_decay = true
        schedule_restarts = true
        replay_rows_per_second = 1e-9
        replay_horizon = 2.0
    """)
    pipeline = build(load_job(tmp_path / "job.toml"))
    learner = pipeline["learner"]
    training = learner.training
    assert not training.augment_incoming
    assert training.schedule_weight_decay
    assert training.schedule_restarts
    reports = list(pipeline)
    scored = [report.scored for report in reports if report.scored is not None]
    assert sum(each.replayed for each in scored) == 0
    assert sum(each.throttled for each in scored) == 4 * 9
    # ten steps, the last of which came after nine
    rate = learner._network.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(0.5 / (1 + 9 / 2))


def test_what_is_made_is_what_is_written(own: str) -> None:
    x, y = torch.ones(3, 4, 4), torch.zeros(3, dtype=torch.int64)
    learner = LearnerSection(augment=["flip(0.0)", f"{own}:double", "feature_dropout(p=1.0)"])
    augment = make_augmentation(learner)
    assert augment is not None
    assert torch.equal(augment(x, y), torch.zeros(3, 4, 4))
    augment = make_augmentation(LearnerSection(augment=[f"{own}:double"] * 3))
    assert augment is not None
    assert torch.equal(augment(x, y), 8 * x)
    schedule = make_schedule(LearnerSection(schedule="cosine(4, floor=0.5)"))
    assert schedule is not None
    assert [schedule(n) for n in (0, 2, 4)] == [1.0, 0.75, 1.0]
    schedule = make_schedule(LearnerSection(schedule=f"{own}:step", warmup=4))
    assert schedule is not None
    assert [schedule(n) for n in range(5)] == [0.25, 0.25, 0.375, 0.5, 0.5]
    schedule = make_schedule(LearnerSection(warmup=2))
    assert schedule is not None
    assert [schedule(n) for n in range(3)] == [0.5, 1.0, 1.0]
    budget = make_budget(LearnerSection(replay_budget=0.25, replay_horizon=4.0), er())
    assert budget is not None
    assert budget.horizon == 4.0


def test_nothing_is_made_of_nothing() -> None:
    assert make_augmentation(LearnerSection()) is None
    assert make_schedule(LearnerSection()) is None
    assert make_budget(LearnerSection(), er()) is None


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_has_a_name_in_jobs(name: str) -> None:
    needed = {"crop": "1", "cutout": "1", "noise": "0.1", "feature_dropout": "0.1"}
    augment = make_augmentation(LearnerSection(augment=[f"{name}({needed.get(name, '')})"]))
    assert augment is not None
    assert augment(torch.ones(2, 3, 3), torch.tensor([0, 1])).shape == (2, 3, 3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_schedule_has_a_name_in_jobs(name: str) -> None:
    schedule = make_schedule(
        LearnerSection(schedule=f"{name}({'' if name == 'constant' else '5'})")
    )
    assert schedule is not None
    assert schedule(0) == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["learner.augment=['flip()', 'corp(2)']"],
            "learner.augment[1], character 1: 'corp' cannot be used; allowed is crop, flip, ",
        ),
        (
            ["learner.augment=['crop(0)']"],
            "learner.augment[0], character 1: 'crop(0)' cannot be made: padding must be a whole",
        ),
        (["learner.augment=['no.such:thing']"], "learner.augment[0]: 'no.such:thing' cannot be"),
        (["learner.augment_incoming=false"], "learner.augment_incoming: goes with learner.augment"),
        (["learner.schedule=linear(3)"], "learner.schedule, character 1: 'linear' cannot be used"),
        (["learner.schedule=cosine()"], "missing 1 required positional argument: 'period'"),
        (["learner.schedule_restarts=true"], "learner.schedule_restarts: goes with learner."),
        (["learner.schedule_weight_decay=true"], "learner.schedule_weight_decay: goes with"),
        (["learner.replay_horizon=1.0"], "learner.replay_rows_per_second, got 1.0 with neither"),
        (["learner.replay_budget=1.0"], "learner.replay_budget: must be less than 1, got 1.0"),
        (
            ["learner.replay_budget=0.5", "learner.replay_rows_per_second=9.0"],
            "learner.replay_rows_per_second: goes without learner.replay_budget, got 9.0",
        ),
        (
            ["learner.replay_budget=0.5", "learner.method=gdumb"],
            "learner.replay_budget: is for methods that rehearse with each batch, got gdumb",
        ),
        (
            ["learner.river=naive_bayes.GaussianNB()", "learner.warmup=5"],
            "learner.warmup: is of torch modules and goes without learner.river, got 5",
        ),
    ],
)
def test_what_does_not_go_is_said(settings: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        build(load_job(None, [f"source.path={rows(tmp_path)}", *settings]))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_budget_needs_a_method_that_rehearses_whatever_its_name() -> None:
    with pytest.raises(ConfigError, match=r"replay_rows_per_second: .* got mine:method"):
        make_budget(LearnerSection(method="mine:method", replay_rows_per_second=1.0), gdumb())


def failing(folder: Path, settings: list[str], x: Any = None) -> Exception:
    job = load_job(None, [f"source.path={rows(folder, x)}", *settings])
    with pytest.raises(Exception) as raised:  # noqa: PT011 - of any kind
        list(build(job))
    return raised.value


def test_rows_that_are_no_images_are_said(tmp_path: Path, own: str) -> None:
    augment = f"learner.augment=['{own}:double', 'crop(1)']"
    error = failing(tmp_path, [augment], np.random.default_rng(0).random((40, 5)))
    assert isinstance(error, ConfigError)
    assert str(error).startswith("learner.augment: crop is for images, float32[n, ..., height, wi")
