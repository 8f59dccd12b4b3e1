"""Groups of equal sizes, with a selection strategy inside each."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.batch import GroupBy
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy, Selection
from streamreplay.randomness import Seed


@final
class ParametricBuffer(ExemplarsBuffer):
    """Equal shares for each group, filled by a selection strategy.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    groupby : {"class", "task", "experience"} or None
        What the capacity is shared out by, as in `ClassBalancedBuffer`; None for one group.
    selection_strategy : ExemplarsSelectionStrategy or OnlineSelectionStrategy, optional
        What chooses among the rows of a group; by default chance, so that each group is a uniform
        sample of all its rows. A strategy with a state belongs to one buffer.
    seed : int or numpy.random.SeedSequence
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = ParametricBuffer(max_size=30, groupby="class")
    >>> buffer.update(Batch.from_arrays([[0.0]] * 90, [0, 1, 2] * 30))
    >>> {label: len(rows) for label, rows in buffer.buffer_groups.items()}
    {0: 10, 1: 10, 2: 10}
    """

    def __init__(
        self,
        max_size: int | None = None,
        groupby: GroupBy | None = None,
        selection_strategy: Selection | None = None,
        seed: Seed = 0,
        *,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        policy = Policy(groupby, selection_strategy)
        super().__init__(policy, max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
