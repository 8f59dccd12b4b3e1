"""Batch norm in training passes over a single row."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from streamreplay import Batch, Mixer, Pipeline, Prequential, ReservoirSamplingBuffer, TorchLearner


def normed(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, classes)
    )


@pytest.mark.parametrize("replay", [0, 4])
def test_single_rows_are_learned_with_running_statistics(replay: int) -> None:
    learner = TorchLearner(normed, partial(torch.optim.SGD, lr=0.1), seed=0)
    pipeline = Pipeline(
        buffer=ReservoirSamplingBuffer(20),
        mixer=Mixer(replay),
        learner=learner,
        evaluator=Prequential(),
    )
    rng = np.random.default_rng(0)
    weights = set()
    for i in range(6):
        pipeline.step(Batch.from_arrays(rng.normal(size=(1, 3)), [i % 2]))
        state = learner.module.state_dict()
        assert int(state["1.num_batches_tracked"]) == (i if replay else 0)
        weights.add(str(state["0.weight"].tolist()))
    assert len(weights) == 6


def test_a_last_row_alone_can_be_learned_from_memory() -> None:
    learner = TorchLearner(normed, partial(torch.optim.SGD, lr=0.1), seed=0)
    rng = np.random.default_rng(0)
    memory = Batch.from_arrays(rng.normal(size=(33, 3)), [i % 2 for i in range(33)])
    learner.retrain(memory, passes=2, batch_size=32)
    assert int(learner.module.state_dict()["1.num_batches_tracked"]) == 2
