"""Predicting by the nearest mean of stored features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.state import State

__all__ = ["NearestMean"]

_REFRESH = 50  # batches after which means are too old to predict with


class NearestMean:
    """Classify a row by the class whose stored rows have the nearest mean feature.

    Features, and their means again, are brought to length 1. Means are taken anew every 50 batches;
    held-out rows are predicted by those of the moment.

    References
    ----------
    S.-A. Rebuffi et al., "iCaRL: incremental classifier and representation learning", 2017,
    algorithm 1.
    """

    def __init__(self) -> None:
        self._means = np.empty((0, 0), np.float32)  # [classes, d], NaN for those without rows
        self._age = _REFRESH  # batches since they were taken

    @property
    def ready(self) -> bool:
        """Tell whether there is a mean to predict by."""
        return len(self._means) > 0

    def stale(self, *, at_once: bool) -> bool:
        """Tell whether means ought to be taken anew."""
        return self._age >= (1 if at_once else _REFRESH)

    def grow_older(self) -> None:
        """Count a batch that was learned from."""
        self._age += 1

    def refresh(self, features: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        """Take the means of the features [n, d] of labelled rows, at least one."""
        unit = _to_unit(features)
        means = np.full((int(y.max()) + 1, unit.shape[1]), np.nan, np.float32)
        for label in np.unique(y):
            means[label] = _to_unit(unit[y == label].mean(0, keepdims=True))[0]
        self._means, self._age = means, 0

    def logits(self, features: NDArray[np.float32]) -> torch.Tensor:
        """Return minus the squared distance to each mean, -inf without one: float32[n, classes].

        Their softmax is a score between classes, not a calibrated probability.
        """
        nearness = 2 * _to_unit(features) @ np.nan_to_num(self._means).T - 2  # all have length 1
        nearness[:, np.isnan(self._means[:, 0])] = -np.inf
        return torch.from_numpy(nearness)

    def state_dict(self) -> State:
        """Return the means and their age."""
        return {"means": self._means, "age": self._age}

    def load_state_dict(self, state: State) -> None:
        """Take over means."""
        self._means, self._age = state["means"].copy(), int(state["age"])


def _to_unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return unit
