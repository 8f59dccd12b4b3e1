"""Predict by the nearest class mean of the stored rows' features."""

from __future__ import annotations

import copy
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from streamreplay.batch import Batch
from streamreplay.learners.methods.classifiers import (
    FeatureFunction,
    Opinion,
    Outputs,
    RecentClasses,
)
from streamreplay.state import GROWN, Fields, State

_REFRESH = 50  # batches after which means are too old to predict with
_BLOCK = 512  # rows run through the module at a time


@final
class NearestMean:
    """Classify a row by the class whose stored rows have the nearest mean feature.

    Features are scaled to length 1, and so are their means. Means are computed again every 50
    batches; held-out rows are predicted by means of the present memory.

    References
    ----------
    S.-A. Rebuffi et al., "iCaRL: incremental classifier and representation learning", 2017,
    algorithm 1.
    """

    STATE: ClassVar = Fields(_means=GROWN, _age=int)
    name = "ncm"
    reads_memory = True

    def __init__(self) -> None:
        self._means = np.empty((0, 0), np.float32)  # [classes, d], NaN for those without rows
        self._age = _REFRESH  # batches since they were computed

    @property
    def needs_features(self) -> bool:
        """Whether there is a mean to predict by."""
        return len(self._means) > 0

    def build(self, feature_shape: tuple[int, ...]) -> None:  # noqa: ARG002 - any module will do
        """Drop the means: they are of another module's features."""
        self._means, self._age = np.empty((0, 0), np.float32), _REFRESH

    def observe(self, memory: Batch, features: FeatureFunction) -> None:
        """Compute the means again if they are too old."""
        if self._age >= _REFRESH:
            self._compute(memory, features)

    def predict(self, outputs: Outputs) -> tuple[torch.Tensor, None]:
        """Return minus the squared distance to each mean, -inf without one: float32[n, classes].

        Their softmax is a score between classes, not a calibrated probability. While there is no
        mean, the module's own logits are returned.
        """
        logits = outputs.logits
        if outputs.features is None:
            return logits, None
        near = 2 * _to_unit(outputs.features) @ np.nan_to_num(self._means).T - 2  # of length 1 all
        near[:, np.isnan(self._means[:, 0])] = -np.inf
        missing = max(0, logits.shape[1] - near.shape[1])
        return pad(torch.from_numpy(near), (0, missing), value=-torch.inf).to(logits.device), None

    def learn(self, incoming: Batch, opinion: Opinion | None, recent: RecentClasses) -> None:  # noqa: ARG002 - only counted
        """Count a batch that was learned from."""
        self._age += 1

    def refreshed(self, memory: Batch, features: FeatureFunction) -> NearestMean:
        """Return a copy with the means of the rows in memory."""
        fresh: NearestMean = copy.copy(self)
        if fresh._age:
            fresh._compute(memory, features)
        return fresh

    def state_dict(self) -> State:
        """Return the means and their age."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load means and their age."""
        self.STATE.load(self, state)

    def _compute(self, memory: Batch, features: FeatureFunction) -> None:
        if (memory.y < 0).any():
            memory = memory.take(memory.y >= 0)
        if not len(memory):
            return
        blocks = range(0, len(memory), _BLOCK)
        parts = [features(memory.x[start : start + _BLOCK]) for start in blocks]
        self._means, self._age = class_means(np.concatenate(parts), memory.y), 0


def class_means(features: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the mean of each class's features [n, d], NaN without rows: float32[classes, d]."""
    unit = _to_unit(features)
    means = np.full((int(y.max()) + 1, unit.shape[1]), np.nan, np.float32)
    for label in np.unique(y):
        means[label] = _to_unit(unit[y == label].mean(0, keepdims=True))[0]
    return means


def _to_unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return unit
