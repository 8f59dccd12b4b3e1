"""Whole runs of the learner against the slow loops, method by method."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from streamreplay.learners import METHODS, Method, TorchLearner, Training, mlp
from streamreplay.learners.methods.catalogue import made_here
from streamreplay.records import Rehearsal
from tests.learners.reference import FEATURES, choosing, learn, network, rehearsals, sgd, stream
from tests.learners.slow import SlowReplay
from tests.memories import RecordingMemory

CLASSES = 6
Trainings: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""A setting for the learner, and for the slow loop."""
TRAININGS: dict[str, Trainings] = {
    "plain": ({}, {}),
    "clipped": ({"clip_grad_norm": 0.3}, {"clip": 0.3}),
    "smoothed": ({"label_smoothing": 0.2}, {"smoothing": 0.2}),
    "averaged": ({"ema": 0.9}, {"ema": 0.9}),
}


def module(seed: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(FEATURES, 7), nn.Tanh(), nn.Linear(7, CLASSES))


def records(
    labels: list[list[int]], *, k: int = 3, steps: int = 1, choose: int | None = None
) -> list[Rehearsal]:
    """Two batches to an experience; with ``choose`` the k rows drawn are candidates."""
    made = rehearsals(labels, k=k, steps=steps)
    return [
        replace(
            each if choose is None else choosing(each, choose),
            incoming=replace(each.incoming, experience=np.full(len(each.incoming), i // 2)),
        )
        for i, each in enumerate(made)
    ]


def compare(
    method: Method | str,
    name: str,
    runs: list[Rehearsal],
    training: Trainings = TRAININGS["plain"],
    **slow: Any,
) -> None:
    """float32: after some dozens of steps, sums in another order are apart by 1e-6 or so."""
    ours, theirs = training
    live = module()
    reference = SlowReplay(copy.deepcopy(live), name, **{**slow, **theirs}).learn(runs)
    memories = [RecordingMemory(r.memory.stored) for r in runs]
    runs = [replace(r, memory=memory) for r, memory in zip(runs, memories, strict=True)]
    learner = TorchLearner(
        live, sgd(0.1), method=method, training=Training(**ours), normalize="none"
    )
    assert learn(learner, runs).tolist() == reference.predictions
    for key, want in reference.module.state_dict().items():
        torch.testing.assert_close(
            learner.module.state_dict()[key], want, atol=2e-5, rtol=2e-5, msg=key
        )
    if runs[0].candidates is not None:
        counted = [t for m in memories for rows in m.counted for t in m.stored.t[rows].tolist()]
        assert counted == [t for each in reference.rehearsed for t in each]


NAMES: dict[str, dict[str, Any]] = {
    "er": {},
    "er-ace": {},
    "a-gem": {},
    "mir": {},
    "lwf": {},
    "mkd": {"ema": 0.99},
}


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("name", NAMES)
def test_learns_as_the_slow_loop(name: str, training: str) -> None:
    rng = np.random.default_rng(1)
    labels = [[0, 1], *rng.integers(0, 3, (4, 3)).tolist(), *rng.integers(2, 6, (5, 3)).tolist()]
    choose, k = (2, 7) if name == "mir" else (None, 3)
    compare(
        name, name, records(labels, k=k, steps=2, choose=choose), TRAININGS[training], **NAMES[name]
    )


@settings(deadline=None, max_examples=15)
@given(
    labels=st.lists(st.lists(st.integers(-1, 5), min_size=1, max_size=4), min_size=2, max_size=7),
    name=st.sampled_from(list(NAMES)),
)
def test_any_labels_are_learned_as_by_the_slow_loop(labels: list[list[int]], name: str) -> None:
    choose, k = (2, 5) if name == "mir" else (None, 2)
    compare(name, name, records(labels, k=k, choose=choose), **NAMES[name])


@pytest.mark.parametrize("back", [0, 1, 4, 5, 1000])
def test_er_ace_looks_back_over_so_many_rows(back: int) -> None:
    labels = [[0, 1, 2, 3], [4], [4, 4, 0, 4], [5], [1, -1], [5], [5, 3], [4], [2]]
    compare(METHODS["er-ace"](look_back=back), "er-ace", records(labels), back=back)


@pytest.mark.parametrize("name", ["er-ace", "lwf", "a-gem"])
def test_er_is_another_method(name: str) -> None:
    """As the tests above could not fail if all methods were one."""
    runs = records([[0, 1, 2], [1, 2, 0], [3, 4, 3], [4, 5, 3], [3, 4, 5], [5, 5, 4]])
    with pytest.raises(AssertionError):
        compare("er", name, runs)


def short(label: int) -> float:
    """Weigh the classes met so far; nobody may ask for others, though the module has outputs."""
    return [3.0, 1.0, 0.0, 1.0, 0.25][label]


@pytest.mark.parametrize("name", ["er", "er-ace", "a-gem"])
def test_class_weights(name: str) -> None:
    runs = records([[0, 1, 2], [4, 0, -1], [3, 2], [4, 4, 1], [0, 3]], k=4)
    for said in (short, {0: 3.0, 2: 0.0, 4: 0.25}):
        want = {"weights": {0: 3.0, 2: 0.0, 4: 0.25}}
        compare(name, name, runs, ({"class_weight": said}, want))


def test_what_is_frozen_stays() -> None:
    for name in METHODS:
        if name == "gdumb":
            continue
        live = module()
        live[0].weight.requires_grad_(requires_grad=False)  # type: ignore[index]
        before, bias = live[0].weight.clone(), live[0].bias.clone()  # type: ignore[index]
        chooses = METHODS[name]().retrieve is not None
        runs = [choosing(r, 2) for r in stream()] if chooses else stream(classes=4)
        learn(TorchLearner(live, sgd(0.5), method=name), runs)
        assert torch.equal(live[0].weight, before), name  # type: ignore[index]
        assert not torch.equal(live[0].bias, bias), name  # type: ignore[index]


@pytest.mark.parametrize("name", METHODS)
def test_none_of_ours_draws_at_random_but_that_which_shuffles(name: str) -> None:
    assert made_here(METHODS[name]()) == (name != "gdumb")


def test_a_loss_of_one_s_own_draws_from_the_learner_s_numbers() -> None:
    def shaken(step: Any) -> torch.Tensor:
        loss: torch.Tensor = step.cross_entropy(step.masked + torch.rand_like(step.masked))
        return loss

    outcomes = []
    for outer in (1, 2):
        torch.manual_seed(outer)
        learner = TorchLearner(mlp([4]), sgd(), method=Method(loss=shaken), seed=3)
        learn(learner, stream())
        outcomes.append(network(learner).module.state_dict()["0.weight"].tolist())
        after = torch.rand(1)
        torch.manual_seed(outer)
        assert torch.equal(after, torch.rand(1)), "torch's own generator has moved"
    assert outcomes[0] == outcomes[1]
