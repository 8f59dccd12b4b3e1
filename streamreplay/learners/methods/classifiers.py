"""What predicts in addition to a module's head: the protocol, and the nearest class mean."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from streamreplay.batch import Batch
from streamreplay.state import GROWN, Fields, State, Stateful

FeatureFunction: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Given rows [n, *feature], return what the module's head is given for them: float32[n, d]."""

RecentClasses: TypeAlias = Callable[[int], NDArray[np.bool_]]
"""Given a number of rows, return which classes are among so many learned last: bool[classes]."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What is known of rows that are to be predicted.

    Attributes
    ----------
    x : float32 or uint8 [n, *feature]
    logits : float32[n, width]
        Of the module, or of the classifier before; -inf for classes that no label has named.
    features : float32[n, d] or None
        What the module's head was given, if a classifier needs it.
    """

    x: NDArray[Any]
    logits: torch.Tensor
    features: NDArray[np.float32] | None = None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What a classifier found when it predicted rows, for when it learns from them.

    Attributes
    ----------
    others : float32[n, width]
        Log-probabilities of the module, or of the classifier before.
    own : float32[n, width]
        Log-probabilities of the classifier alone.
    features : float32[n, features]
        Its own features of the rows.
    """

    others: torch.Tensor
    own: torch.Tensor
    features: torch.Tensor

    def take(self, rows: NDArray[np.int64]) -> Opinion:
        """Return the opinion on some of the rows."""
        kept = torch.from_numpy(rows)
        parts = (self.others, self.own, self.features)
        return Opinion(*(part.index_select(0, kept.to(part.device)) for part in parts))


class Classifier(Stateful, Protocol):
    """Predicts classes together with the module's head, or in its place.

    For each batch a learner calls `observe` and `predict`, and `learn` after the module has learned
    from the batch. A `refreshed` copy predicts held-out rows, so that they leave no trace.
    """

    name: str
    """Its name in states and messages."""
    reads_memory: bool
    """Whether `observe` does anything: then a training pass cannot double as the prediction."""

    @property
    def needs_features(self) -> bool:
        """Whether `predict` needs `Outputs.features`; only if it reads memory."""

    def build(self, feature_shape: tuple[int, ...]) -> None:
        """Prepare for a module that was just built; may draw from torch's global generators."""

    def observe(self, memory: Batch, features: FeatureFunction) -> None:
        """Prepare to predict, from the rows in memory."""

    def predict(self, outputs: Outputs) -> tuple[torch.Tensor, Opinion | None]:
        """Return the logits of rows, float32[n, width or more], and what `learn` is to be given."""

    def learn(self, incoming: Batch, opinion: Opinion | None, recent: RecentClasses) -> None:
        """Learn from a batch, of which `predict` gave an opinion before the module learned it."""

    def refreshed(self, memory: Batch, features: FeatureFunction) -> Classifier:
        """Return a copy that accounts for all rows learned so far, and for all in memory."""


ClassifierFactory: TypeAlias = Callable[[], Classifier]
"""Make a classifier; it must compare equal to a factory that makes the same."""


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
    def means(self) -> NDArray[np.float32]:
        """The mean of each class, NaN for those without rows: float32[classes, d]."""
        return self._means

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
