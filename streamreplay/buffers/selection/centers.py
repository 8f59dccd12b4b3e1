"""Exemplars near the centre of their group, alone or together."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.buffers.selection.base import Candidates, ExemplarsSelectionStrategy
from streamreplay.buffers.selection.features import FeatureExtractor, FeatureModel


@final
class HerdingSelectionStrategy(ExemplarsSelectionStrategy):
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

    def make_sorted_indices(self, candidates: Candidates, k: int) -> NDArray[np.int64]:
        """Return the first k rows of a herding: int64[min(k, n)]."""
        if k < 1 or not len(candidates):
            return np.empty(0, np.int64)
        offset = _offsets(candidates, self._extract, normalize=self.normalize)
        # With o = phi(x) - mu and S the sum of those chosen so far, Algorithm 4's distance
        # |mu - (phi(x) + ...) / k| is |o + S| / k: smallest where |o|^2 + 2 o.S is.
        squared = np.einsum("nd,nd->n", offset, offset)
        chosen = np.empty(min(k, len(candidates)), np.int64)
        total = np.zeros(offset.shape[1])
        for place in range(len(chosen)):
            # einsum, as a BLAS product rounds equal rows differently, and by number of threads
            best = int((squared + 2 * np.einsum("nd,d->n", offset, total)).argmin())
            chosen[place] = best
            squared[best] = np.inf
            total += offset[best]
        return chosen


@final
class ClosestToCenterSelectionStrategy(ExemplarsSelectionStrategy):
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

    def make_sorted_indices(self, candidates: Candidates, k: int) -> NDArray[np.int64]:
        """Return the k rows nearest to the centre, nearest first: int64[min(k, n)]."""
        if k < 1 or not len(candidates):
            return np.empty(0, np.int64)
        offset = _offsets(candidates, self._extract, normalize=self.normalize)
        squared = np.einsum("nd,nd->n", offset, offset)
        nearest: NDArray[np.int64] = squared.argsort(kind="stable")[:k]
        return nearest


def _offsets(
    candidates: Candidates, extract: FeatureExtractor, *, normalize: bool
) -> NDArray[np.float64]:
    """Return how far each candidate's features are from the weighted centre: float64[n, d]."""
    features = extract(candidates.rows.x).astype(np.float64)
    if normalize:
        length = np.sqrt(np.einsum("nd,nd->n", features, features))
        features /= np.where(length > 0, length, 1.0)[:, None]
    weight = candidates.weight
    center = np.einsum("n,nd->d", weight, features) / weight.sum()
    features -= center
    return features
