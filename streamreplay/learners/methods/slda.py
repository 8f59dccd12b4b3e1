"""Streaming linear discriminant analysis: a classifier that cannot forget."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.errors import DivergenceError
from streamreplay.learners.methods.classifiers import (
    FeatureFunction,
    Opinion,
    Outputs,
    RecentClasses,
)
from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.learners.scaling import Scaler, stage, with_more_rows
from streamreplay.state import ARRAY, PART, SETTING, Fields, Kind, State

RECENT = 100
"""Rows learned last whose classes are current."""

_FADING = 0.999  # per row, of the running accuracies and losses
_SHARES = np.array([0.0, 0.1, 0.3, 1.0], np.float32)
_TEMPERATURES = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 8.0], np.float32)


@final
class AdaptiveWeight:
    """Choose the weight of a second classifier by how often both together are right.

    They are judged on incoming rows, before these are learned, and only among the classes that have
    come lately. Accuracy over all classes would favour a classifier that has forgotten the classes
    that do not come at the moment. Of the shares 0, 0.1, 0.3 and 1 of the weight the largest is
    taken whose faded accuracy is within a margin of the best. So the weight of a classifier that
    cannot forget fades out where the stream drifts.

    The sum of log-probabilities is divided by a temperature: the one of a few with the lowest loss
    lately. Two classifiers that have learned from the same rows are too confident together. The
    temperature changes probabilities, and no prediction.

    Parameters
    ----------
    weight : float
        Of the second classifier's log-probabilities at a share of 1.
    margin : float
        How much accuracy a larger share may cost.
    """

    STATE: ClassVar = Fields(_accuracy=ARRAY, _loss=ARRAY)

    def __init__(self, weight: float, margin: float) -> None:
        self._weight = weight
        self._margin = margin
        self._accuracy = np.zeros(len(_SHARES))  # faded
        self._loss = np.zeros(len(_TEMPERATURES))  # faded

    @property
    def share(self) -> float:
        """The share of the weight that counts at present."""
        good = self._accuracy >= self._accuracy.max() - self._margin
        return float(_SHARES[good].max())

    def combine(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of log-probabilities: float32[n, width]."""
        return (first + self._weight * self.share * second) / self.temperature

    @property
    def temperature(self) -> float:
        """The number that the sum of log-probabilities is divided by at present."""
        return float(_TEMPERATURES[self._loss.argmin()])

    def update(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        y: NDArray[np.int64],
        recent: NDArray[np.bool_],
    ) -> None:
        """Update accuracies and losses by predictions of rows that were not learned yet.

        Parameters
        ----------
        first, second : float32[n, width]
            Log-probabilities.
        y : int64[n]
            Rows without a label, or of a class beyond ``width``, are left out.
        recent : bool[classes]
            Which classes have come lately.
        """
        rows = np.flatnonzero((y >= 0) & (y < first.shape[1]))
        among = np.flatnonzero(recent[: first.shape[1]])
        if not len(rows) or not len(among):
            return
        fade, y = _FADING ** len(rows), y[rows]
        one, two = first.detach().cpu()[rows], second.detach().cpu()[rows]
        self._weigh_losses(one + self._weight * self.share * two, y, fade)
        here, there = one.numpy()[:, among], two.numpy()[:, among]
        together = here + self._weight * _SHARES[:, None, None] * there  # [shares, rows, among]
        right = among[together.argmax(2)] == y
        self._accuracy = fade * self._accuracy + (1 - fade) * right.mean(1)

    def _weigh_losses(self, summed: torch.Tensor, y: NDArray[np.int64], fade: float) -> None:
        cooled = torch.log_softmax(summed / torch.from_numpy(_TEMPERATURES)[:, None, None], 2)
        losses = -cooled.numpy()[:, np.arange(len(y)), y]  # [temperatures, rows]
        met = np.isfinite(losses).all(0)  # rows of classes that the module does not know have none
        if met.any():  # limited as scores are, so that no row outweighs all others
            losses = np.minimum(losses[:, met], LOSS_LIMIT)
            self._loss = fade * self._loss + (1 - fade) * losses.mean(1)


_WARM_UP = 1000  # rows that set the scale; a scale that moves on would spoil the sums before it
_BLOCK = 256  # rows summed in float32 before they go into the float64 sums
_ROUNDING = 1e-7  # of the float32 products that second moments are summed from


_TENSOR = Kind(
    lambda tensor: tensor, lambda _name, _live, saved: None if saved is None else saved.clone()
)


@final
@dataclass(frozen=True)
class StreamingLDASettings:
    """The settings of `StreamingLDA`; called, they make one.

    Attributes
    ----------
    features : int
        How many random features; they take 16 x features^2 bytes (4 MB for 500).
    weight : float
        How much its log-probabilities count, compared to those of the module's head.
    margin : float
        How much accuracy on current classes may be traded for accuracy on old ones; see
        `AdaptiveWeight`.
    shrinkage : float
        What is added to the covariance's diagonal, in units of the features' mean square.

    Raises
    ------
    ValueError
        A value is out of its range.
    """

    features: int = 500
    weight: float = 1.0
    margin: float = 0.005
    shrinkage: float = 1e-3

    def __post_init__(self) -> None:
        if self.features < 1:
            raise ValueError(f"features must be at least 1, got {self.features}")
        for name, value in (("weight", self.weight), ("margin", self.margin)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if not self.shrinkage > 0:
            raise ValueError(f"shrinkage must be above 0, got {self.shrinkage}")

    def __call__(self) -> StreamingLDA:
        """Make a classifier with these settings."""
        return StreamingLDA(self)


@final
class StreamingLDA:
    """Streaming linear discriminant analysis of ReLU features with random, fixed weights.

    Each class has a mean, all share one covariance, and classes are equally likely beforehand. Mean
    and covariance come from sums over all rows ever seen, so the order of the stream does not
    matter and nothing is forgotten; for the same reason the classifier does not follow drift. The
    covariance is factorised again when there are half as many rows more, and means are computed
    again when the rows of a class have doubled. A `refreshed` copy has both of the present sums.

    Its log-probabilities are added to those of the module, with a weight that adapts to the stream:
    see `AdaptiveWeight`.

    Parameters
    ----------
    settings : StreamingLDASettings, optional

    References
    ----------
    T. L. Hayes, C. Kanan, "Lifelong machine learning with deep streaming linear discriminant
    analysis", 2020; A. Prabhu et al., "RanDumb: random representations outperform online
    continually learned representations", 2024.
    """

    STATE: ClassVar = Fields(
        _features=SETTING,
        scaler=PART,
        _weights=_TENSOR,
        _offsets=_TENSOR,
        _moments=_TENSOR,
        _waiting=_TENSOR,
        _sums=_TENSOR,
        _counts=_TENSOR,
        _seen=_TENSOR,
        _directions=_TENSOR,
        _biases=_TENSOR,
        _waits=int,
        _factored=int,
        _factor=_TENSOR,
        adaptive_weight=PART,
    )
    name = "slda"
    reads_memory = False
    needs_features = False

    def __init__(self, settings: StreamingLDASettings | None = None) -> None:
        self.settings = settings or StreamingLDASettings()
        self._features = self.settings.features
        self.scaler = Scaler("standard")
        self.adaptive_weight = AdaptiveWeight(self.settings.weight, self.settings.margin)
        """How much its log-probabilities count at present."""
        self._weights = torch.empty(0)  # float32[inputs, features]
        self._offsets = torch.empty(0)  # float32[features]
        self._moments = torch.empty(0, dtype=torch.float64)  # [features, features], sum of h h^T
        self._waiting = torch.empty(0)  # float32[_BLOCK, features], not yet in the moments
        self._waits = 0
        self._sums = torch.empty(0, 0, dtype=torch.float64)  # [classes, features]
        self._counts = torch.empty(0, dtype=torch.float64)  # [classes]
        self._factor: torch.Tensor | None = None  # float64[features, features], lower
        self._factored = 0  # rows when it was made
        self._seen = torch.empty(0, dtype=torch.float64)  # [classes], rows when means were computed
        self._directions = torch.empty(0, 0)  # float32[features, classes]
        self._biases = torch.empty(0)  # float32[classes], -inf without rows

    def build(self, feature_shape: tuple[int, ...]) -> None:
        """Draw the weights from torch's global generator, if there are none yet."""
        if self._weights.numel():
            return
        inputs, size = math.prod(feature_shape), self._features
        self._weights = torch.randn(inputs, size) / math.sqrt(inputs)
        self._offsets = torch.randn(size) / 2
        self._moments = torch.zeros(size, size, dtype=torch.float64)
        self._waiting = torch.zeros(_BLOCK, size)

    def observe(self, memory: Batch, features: FeatureFunction) -> None:
        """Do nothing: it learns from incoming rows alone."""

    def predict(self, outputs: Outputs) -> tuple[torch.Tensor, Opinion | None]:
        """Return the weighted sum of both log-probabilities: float32[n, width].

        While nothing was learned, the module's own logits are returned.
        """
        logits = outputs.logits
        if not len(self._biases):
            return logits, None
        features = self.featurise(outputs.x)
        others = torch.log_softmax(logits, 1)
        own = self.log_posterior(features, logits.shape[1]).to(logits.device)
        return self.adaptive_weight.combine(others, own), Opinion(others, own, features)

    def learn(self, incoming: Batch, opinion: Opinion | None, recent: RecentClasses) -> None:
        """Adapt the weight to an opinion, and add labelled rows to the sums."""
        features = None
        if opinion is not None:
            self.adaptive_weight.update(opinion.others, opinion.own, incoming.y, recent(RECENT))
            features = opinion.features
        self.add(incoming.x, incoming.y, features)
        self.update_means()

    def refreshed(self, memory: Batch, features: FeatureFunction) -> StreamingLDA:  # noqa: ARG002 - its sums are enough
        """Return a copy whose covariance and means are of all rows learned so far."""
        fresh: StreamingLDA = copy.copy(self)
        fresh._catch_up()
        return fresh

    def add(
        self, x: NDArray[Any], y: NDArray[np.int64], features: torch.Tensor | None = None
    ) -> None:
        """Add rows to the sums, but those without a label.

        Parameters
        ----------
        x : float32 or uint8 [n, *feature]
        y : int64[n]
        features : float32[n, features], optional
            Those of the rows, if they were computed to predict them.
        """
        if len(y) and y.min() < 0:
            x, y, features = x[y >= 0], y[y >= 0], None
        if not len(y):
            return
        if self.scaler.count < _WARM_UP:
            self.scaler.update(x)
            features = None
        elif self.scaler.table is not None and self.scaler.table.learn(x, scale=False):
            features = None  # they lack a category that is new
        if features is None:
            features = self.featurise(x)
        finite = features.isfinite().all(1)
        if not finite.all():  # one such row would spoil the sums for good
            features, y = features[finite], y[finite.numpy()]
        if len(y):
            self._add_to_sums(features, y)

    def update_means(self) -> None:
        """Factorise the covariance, or compute the means again, if rows have come in for it."""
        if float(self._counts.sum()) >= max(1.5 * self._factored, 1):
            self._factorise()
        elif self._factor is not None and self._outgrown():
            self._find_directions(self._factor)

    def log_posterior(self, features: torch.Tensor, classes: int) -> torch.Tensor:
        """Return the log-probability of each class: float32[n, classes].

        Classes without rows get the mean of the others.
        """
        scores = features @ self._directions + self._biases
        there = torch.isfinite(self._biases)
        found = torch.full((len(features), classes), -math.log(int(there.sum())))
        found[:, : len(there)][:, there] = torch.log_softmax(scores[:, there], 1)
        return found

    def state_dict(self) -> State:
        """Return weights, sums and what was derived from them."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state with as many features."""
        self.STATE.load(self, state)

    def featurise(self, x: NDArray[Any]) -> torch.Tensor:
        """Return the features of rows: float32[n, features]."""
        scaled = stage(self.scaler, x).reshape(len(x), -1)
        if (inputs := scaled.shape[1]) > len(self._weights):  # a table has more columns
            self._weights = with_more_rows(self._weights, inputs, self._offsets)
        return torch.addmm(self._offsets, scaled, self._weights[:inputs]).relu_()

    def _catch_up(self) -> None:
        if float(self._counts.sum()) > self._factored:
            self._moments = self._moments.clone()  # which may be shared with another
            self._factorise()

    def _add_to_sums(self, features: torch.Tensor, y: NDArray[np.int64]) -> None:
        missing = int(y.max()) + 1 - len(self._counts)
        if missing > 0:
            more = self._sums.new_zeros(missing, self._features)
            self._sums = torch.cat([self._sums, more]) if len(self._sums) else more
            self._counts = torch.cat([self._counts, self._counts.new_zeros(missing)])
        labels = torch.tensor(y)
        self._sums.index_add_(0, labels, features.double())
        self._counts += torch.bincount(labels, minlength=len(self._counts))
        for start in range(0, len(features), _BLOCK):
            self._wait(features[start : start + _BLOCK])

    def _wait(self, features: torch.Tensor) -> None:
        if self._waits + len(features) > _BLOCK:
            self._add_waiting()
        self._waiting[self._waits : self._waits + len(features)] = features
        self._waits += len(features)

    def _add_waiting(self) -> None:
        block = self._waiting[: self._waits]
        self._moments += block.T @ block
        self._waits = 0

    def _outgrown(self) -> bool:
        """Return whether a class is new or its rows have doubled since means were computed."""
        if len(self._seen) < len(self._counts):
            return True
        return bool((self._counts >= 2 * self._seen.clamp(min=0.5)).any())

    def _factorise(self) -> None:
        self._add_waiting()
        present = self._counts > 0
        sums, rows = self._sums[present], self._counts.sum()
        means = sums / self._counts[present, None]
        covariance = (self._moments - sums.T @ means) / rows
        if not covariance.isfinite().all():  # no ridge would ever do
            raise DivergenceError("the second moments of random features are not finite")
        # as long as a class has one row, there is no covariance but for what rounding left
        least = _ROUNDING * self._moments.diagonal().mean() / rows
        ridge = self.settings.shrinkage * covariance.diagonal().mean().clamp(min=1e-12)
        ridge = torch.maximum(ridge, least)
        while True:
            covariance.diagonal().add_(ridge)
            self._factor, failed = torch.linalg.cholesky_ex(covariance)
            if not failed:
                break
            ridge = 9 * ridge + covariance.new_tensor(1e-12)
        self._factor = self._factor.contiguous()  # as it is loaded, too
        self._factored = int(rows)
        self._find_directions(self._factor)

    def _find_directions(self, factor: torch.Tensor) -> None:
        means = self._sums / self._counts.clamp(min=1)[:, None]
        directions = torch.cholesky_solve(means.T, factor)
        biases = -0.5 * (means.T * directions).sum(0)
        # in the order of memory that it is loaded in: products round as that order has it
        self._directions = directions.float().contiguous()
        self._biases = torch.where(self._counts > 0, biases, -torch.inf).float()
        self._seen = self._counts.clone()
