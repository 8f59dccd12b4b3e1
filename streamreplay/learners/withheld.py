"""Handle rows of the stream that are predicted like all others, but never learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.learners.predictions import Predictions
from streamreplay.records import Rehearsal, Scored


def step_around(
    rehearsal: Rehearsal,
    step: Callable[[Rehearsal], Scored],
    predict: Callable[[Batch], Predictions],
) -> Scored:
    """Predict a whole batch, and learn from the rows of it that are not withheld.

    Parameters
    ----------
    rehearsal : Rehearsal
        The mask of its incoming batch marks the rows that are withheld.
    step : callable
        Predicts a batch and then learns from it.
    predict : callable
        Predicts rows and leaves no trace. It is called first.
    """
    incoming = rehearsal.incoming
    withheld = incoming.withheld
    if withheld is None:
        return step(rehearsal)
    inside = predict(incoming.take(withheld).withholding(None))
    if withheld.all():
        return inside.scored(incoming)
    rest = step(replace(rehearsal, incoming=incoming.learnable()))
    squares = inside.square_sum
    if squares is not None and rest.square_sum is not None:
        squares = _merge(withheld, squares, rest.square_sum)
    return replace(
        rest,
        incoming=incoming,
        prediction=_merge(withheld, inside.prediction, rest.prediction),
        probability=_merge(withheld, inside.probability, rest.probability),
        loss=_merge(withheld, inside.loss, rest.loss),
        square_sum=squares,
    )


def in_order(mask: NDArray[np.bool_], inside: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    """Merge the rows where a mask is true with the others, in the order of the mask.

    Examples
    --------
    >>> in_order(np.array([False, True]), torch.tensor([1]), torch.tensor([0]))
    tensor([0, 1])
    """
    order = np.argsort(~mask, kind="stable")  # where each row of `both` belongs
    both = torch.cat((inside, outside))
    return torch.empty_like(both).index_copy_(0, torch.from_numpy(order).to(both.device), both)


def _merge(mask: NDArray[np.bool_], inside: NDArray[Any], outside: NDArray[Any]) -> NDArray[Any]:
    """Merge the rows where a mask is true with the others, in the order of the mask."""
    merged = np.empty((len(mask), *outside.shape[1:]), outside.dtype)
    merged[mask], merged[~mask] = inside, outside
    return merged
