"""A uniform sample of each task."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy, announced_groups
from streamreplay.randomness import Seed


@final
class TaskBalancedBuffer(ExemplarsBuffer):
    """Equal shares for each task, each a uniform sample.

    Shares are those of `ClassBalancedBuffer`.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    seed : int or numpy.random.SeedSequence
    adaptive_size : bool
    total_num_tasks : int, optional
        With ``adaptive_size=False``: how many tasks will come.
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = TaskBalancedBuffer(max_size=10)
    >>> buffer.update(Batch.from_arrays([[0.0]] * 90, [0] * 90, task=[0] * 80 + [1] * 10))
    >>> {task: len(rows) for task, rows in buffer.buffer_groups.items()}
    {0: 5, 1: 5}
    """

    def __init__(
        self,
        max_size: int | None = None,
        seed: Seed = 0,
        *,
        adaptive_size: bool = True,
        total_num_tasks: int | None = None,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        announced = announced_groups("total_num_tasks", total_num_tasks, adaptive=adaptive_size)
        policy = Policy("task", announced=announced)
        super().__init__(policy, max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
