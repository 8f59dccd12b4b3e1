"""What a training pass is given, when other rows were staged since the batch arrived."""

from __future__ import annotations

import numpy as np
import torch

from streamreplay.batch import Batch
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.learners import TorchLearner, linear
from streamreplay.learners.neural.training import Training
from streamreplay.mixing import Mixer
from tests.learners.reference import sgd


def test_class_means_leave_a_batch_as_it_was() -> None:
    given = []

    def look(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given.append((x.numpy().copy(), y.numpy().copy()))
        return x.clone()

    training = Training(augment=look)
    learner = TorchLearner(linear(), sgd(), method="ncm", training=training, normalize="none")
    rng = np.random.default_rng(0)
    batches = [
        Batch.from_arrays(rng.random((4, 3)), rng.integers(0, 3, 4), start=4 * i) for i in range(70)
    ]
    list(learner(Mixer(2)(ReservoirSamplingBuffer(500)(batches))))
    assert len(given) == len(batches)
    for batch, (x, y) in zip(batches, given, strict=True):
        assert np.array_equal(x[:4], batch.x)
        assert np.array_equal(y[:4], batch.y)
