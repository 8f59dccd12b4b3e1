"""A uniform sample of each experience."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy, announced_groups
from streamreplay.randomness import Seed


@final
class ExperienceBalancedBuffer(ExemplarsBuffer):
    """Equal shares for each experience, each a uniform sample.

    Shares are those of `ClassBalancedBuffer`. With more experiences than ``max_size``, each has
    the same chance of a slot, the first as well as the last.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    seed : int or numpy.random.SeedSequence
    adaptive_size : bool
    num_experiences : int, optional
        With ``adaptive_size=False``: how many experiences will come.
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = ExperienceBalancedBuffer(9, adaptive_size=False, num_experiences=3)
    >>> buffer.update(Batch.from_arrays([[0.0]] * 20, [0] * 20, experience=0))
    >>> len(buffer)
    3
    """

    def __init__(
        self,
        max_size: int | None = None,
        seed: Seed = 0,
        *,
        adaptive_size: bool = True,
        num_experiences: int | None = None,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        announced = announced_groups("num_experiences", num_experiences, adaptive=adaptive_size)
        policy = Policy("experience", announced=announced)
        super().__init__(policy, max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
