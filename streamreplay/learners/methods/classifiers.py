"""What predicts in addition to a module's head: the protocol of such classifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.state import State

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
        return Opinion(
            self.others.index_select(0, kept.to(self.others.device)),
            self.own.index_select(0, kept.to(self.own.device)),
            self.features.index_select(0, kept.to(self.features.device)),
        )


class Classifier(Protocol):
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

    def state_dict(self) -> State:
        """Return everything that the next prediction depends on."""

    def load_state_dict(self, state: State) -> None:
        """Load a state; raise `CheckpointError` naming the first part that does not fit."""


ClassifierFactory: TypeAlias = Callable[[], Classifier]
"""Make a classifier; it must compare equal to a factory that makes the same."""
