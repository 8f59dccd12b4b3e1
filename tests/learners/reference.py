"""A slow loop that learns as `TorchLearner` should, and streams to try both on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from streamreplay.batch import Batch
from streamreplay.learners import OptimizerFactory, TorchLearner
from streamreplay.learners.neural.network import Network
from streamreplay.memory import FixedMemory
from streamreplay.records import Rehearsal

__all__ = ["FEATURES", "Slow", "learn", "network", "rehearsals", "sgd", "stream", "weights"]

FEATURES = 5


class Slow:
    """Predict, join, average, step: one column of logits for each class of the module."""

    def __init__(self, module: nn.Module, make_optimizer: OptimizerFactory) -> None:
        self.module = module
        self.optimizer: Optimizer = make_optimizer(module.parameters())
        self.seen: set[int] = set()
        self.predictions: list[int] = []
        self.probabilities: list[float] = []

    def learn(self, records: Iterable[Rehearsal]) -> Slow:
        for record in records:
            self._predict(record.incoming)
            if record.incoming.held_out or not (record.incoming.y >= 0).any():
                continue
            self.seen |= {int(label) for label in record.incoming.y if label >= 0}
            for step in range(len(record.rows)):
                self._step(record.incoming, record.drawn(step))
        return self

    def _predict(self, incoming: Batch) -> None:
        self.module.eval()
        columns = sorted(self.seen)
        for row in incoming.x:
            if not columns:
                self.predictions.append(-1)
                self.probabilities.append(float("nan"))
                continue
            with torch.no_grad():
                logits = self.module(torch.from_numpy(row[None]))[0, columns]
            p = torch.softmax(logits, 0)
            self.predictions.append(columns[int(p.argmax())])
            self.probabilities.append(float(p.max()))

    def _step(self, incoming: Batch, memory: Batch) -> None:
        columns = sorted(self.seen)
        y = np.concatenate([incoming.y, memory.y])
        labelled = torch.from_numpy(y >= 0)
        targets = torch.tensor([columns.index(label) for label in y.tolist() if label >= 0])
        self.module.train()
        x = torch.from_numpy(np.concatenate([incoming.x, memory.x])).clone()  # aligned
        logits = self.module(x)[:, columns]
        loss = cross_entropy(logits if labelled.all() else logits[labelled], targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def rehearsals(
    labels: list[list[int]], *, k: int = 3, steps: int = 1, seed: int = 0
) -> list[Rehearsal]:
    """Build a rehearsal for each list of labels; its memory is rows of the batches before it."""
    rng = np.random.default_rng(seed)
    out: list[Rehearsal] = []
    past = Batch.from_arrays(np.empty((0, FEATURES), np.float32))
    for y in labels:
        # a row says a little about its label: its features are shifted by it
        x = rng.standard_normal((len(y), FEATURES)) + np.array(y).reshape(-1, 1) / 2
        batch = Batch.from_arrays(x, y, start=len(past))
        labelled = np.flatnonzero(past.y >= 0)
        rows = np.empty((steps, 0), np.int64)
        if len(labelled):
            rows = rng.choice(labelled, (steps, k))
        out.append(Rehearsal(batch, FixedMemory(past), rows, np.full(rows.shape, -1)))
        past = Batch.concat([past, batch])
    return out


def choosing(record: Rehearsal, k: int) -> Rehearsal:
    """Make what was drawn candidates, of which a learner chooses k for each pass."""
    rows, group = record.rows[:, :k], record.group[:, :k]
    return replace(record, rows=rows, group=group, candidates=record.rows)


def stream(batches: int = 12, size: int = 4, classes: int = 3, seed: int = 0) -> list[Rehearsal]:
    """Build a stream whose first batch names every class."""
    rng = np.random.default_rng(seed + 1)
    labels = [list(range(classes))]
    labels += [rng.integers(0, classes, size).tolist() for _ in range(batches - 1)]
    return rehearsals(labels, seed=seed)


def sgd(lr: float = 0.1, **options: float) -> OptimizerFactory:
    return partial(SGD, lr=lr, **options)  # type: ignore[arg-type]


def learn(learner: TorchLearner, records: Iterable[Batch | Rehearsal]) -> NDArray[np.int64]:
    """Learn from a whole stream, and return its predictions in a row."""
    parts = [scored.prediction for scored in learner(records)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def weights(learner: TorchLearner) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}


def network(learner: TorchLearner) -> Network:
    """Return what the learner keeps its module and its optimizer in."""
    return learner._network
