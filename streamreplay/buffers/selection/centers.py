"""Exemplars near the centre of their group, alone or together."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import numpy as np

from streamreplay.buffers.selection.base import Candidates, ExemplarsSelectionStrategy
from streamreplay.buffers.selection.features import FeatureExtractor, FeatureModel
from streamreplay.columns import Floats, Ints


class CenterStrategy(ExemplarsSelectionStrategy):
    """Ranks rows by their features' offsets from the centre of the group.

    Parameters
    ----------
    model, layer_name, batch_size
        Where features come from: see `FeatureExtractor`.
    normalize : bool
        Bring each feature vector to length 1 first.
    """

    def __init__(
        self,
        model: FeatureModel,
        layer_name: str | None = None,
        batch_size: int = 256,
        *,
        normalize: bool = False,
    ) -> None:
        self._extract = FeatureExtractor(model, layer_name, batch_size)
        self.normalize = normalize

    def make_sorted_indices(self, candidates: Candidates, k: int) -> Ints:
        """Return the rows to keep, best first: int64[min(k, n)]."""
        if k < 1 or not len(candidates):
            return np.empty(0, np.int64)
        return self._rank(self._offsets(candidates), min(k, len(candidates)))

    @abstractmethod
    def _rank(self, offset: Floats, k: int) -> Ints:
        """Return k rows, best first: int64[k], given float64[n, d]."""

    def _offsets(self, candidates: Candidates) -> Floats:
        """Return how far each candidate's features are from the weighted centre: float64[n, d]."""
        features = self._extract(candidates.rows.x).astype(np.float64)
        if self.normalize:
            length = np.sqrt(np.einsum("nd,nd->n", features, features))
            features /= np.where(length > 0, length, 1.0)[:, None]
        weight = candidates.weight
        center = np.einsum("n,nd->d", weight, features) / weight.sum()
        features -= center
        return features


@final
class HerdingSelectionStrategy(CenterStrategy):
    """Keep rows whose mean feature is nearest to the mean feature of the group (herding).

    One row after the other is added, each time the one that brings the mean of those chosen nearest
    to the centre; of equals, the first. So any first part of the ranking is itself a herding, and a
    group that shrinks drops the last.

    The centre is the mean of the candidates' features with weights ``candidates.weight``: that of
    all rows the group was offered, as well as the stored ones can tell, where a plain mean over
    stored and new rows would drift to the newest. Features of stored rows are computed again at
    each update, as the model has changed.

    Costs one pass of the model over stored and new rows of a group, and O(k n d).

    Parameters
    ----------
    model, layer_name, batch_size
        Where features come from: see `FeatureExtractor`.
    normalize : bool
        Bring each feature vector to length 1 first, as iCaRL does; the centre is their mean.

    References
    ----------
    S.-A. Rebuffi, A. Kolesnikov, G. Sperl, C. H. Lampert, "iCaRL: incremental classifier and
    representation learning", CVPR 2017, Algorithm 4.

    M. Welling, "Herding dynamical weights to learn", ICML 2009.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> rows = Batch.from_arrays([[0.0], [4.0], [5.0]])
    >>> candidates = Candidates(rows, 0, np.ones(3), np.zeros((3, 0), np.float32))
    >>> HerdingSelectionStrategy(lambda x: x).make_sorted_indices(candidates, 3)
    array([1, 0, 2])
    """

    def _rank(self, offset: Floats, k: int) -> Ints:
        """Return the first k rows of a herding."""
        # With o = phi(x) - mu and S the sum of those chosen so far, Algorithm 4's distance
        # |mu - (phi(x) + ...) / k| is |o + S| / k: smallest where |o|^2 + 2 o.S is.
        squared = np.einsum("nd,nd->n", offset, offset)
        chosen = np.empty(k, np.int64)
        total = np.zeros(offset.shape[1])
        for place in range(k):
            # einsum, as a BLAS product rounds equal rows differently, and by number of threads
            best = int((squared + 2 * np.einsum("nd,d->n", offset, total)).argmin())
            chosen[place] = best
            squared[best] = np.inf
            total += offset[best]
        return chosen


@final
class ClosestToCenterSelectionStrategy(CenterStrategy):
    """Keep the rows whose features are nearest to the mean feature of the group.

    Typical rows, and similar to one another; see `HerdingSelectionStrategy` for rows that are
    typical together, and for what the centre is. Costs one pass of the model over stored and new
    rows of a group, and O(n d).

    Parameters
    ----------
    model, layer_name, batch_size
        Where features come from: see `FeatureExtractor`.
    normalize : bool
        Bring each feature vector to length 1 first; the centre is their mean.

    References
    ----------
    S.-A. Rebuffi, A. Kolesnikov, G. Sperl, C. H. Lampert, "iCaRL: incremental classifier and
    representation learning", CVPR 2017, whose Algorithm 4 this is without the look at the rows
    chosen before.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> rows = Batch.from_arrays([[0.0], [4.0], [5.0]])
    >>> candidates = Candidates(rows, 0, np.ones(3), np.zeros((3, 0), np.float32))
    >>> ClosestToCenterSelectionStrategy(lambda x: x).make_sorted_indices(candidates, 3)
    array([1, 2, 0])
    """

    def _rank(self, offset: Floats, k: int) -> Ints:
        """Return the k rows nearest to the centre, nearest first."""
        squared = np.einsum("nd,nd->n", offset, offset)
        nearest: Ints = squared.argsort(kind="stable")[:k]
        return nearest
