"""What retrieval functions and selection strategies may ask of a learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch


class AskableLearner(Protocol):
    """A learner that answers questions about rows, and is not changed by them."""

    batches: int
    """Batches learned from."""

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label."""

    def losses_after(self, lesson: Batch, batch: Batch) -> NDArray[np.float32]:
        """Return each row's loss after a step of gradient descent on other rows: float32[n]."""

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d]."""

    def gradients(self, batch: Batch) -> NDArray[np.float32]:
        """Return each row's gradient of the loss at the head's weights and bias: float32[n, d]."""


Retrieval: TypeAlias = Callable[[AskableLearner, Batch, Batch, int], NDArray[np.int64]]
"""``retrieve(learner, incoming, candidates, k)`` returns which candidates to rehearse: int64[<= k].

It may call the `TorchLearner`'s `losses`, `losses_after`, `features` and `gradients`."""
