"""The latest rows."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy
from streamreplay.buffers.sampling.key_rules import WindowKeys
from streamreplay.randomness import Seed


@final
class SlidingWindowBuffer(ExemplarsBuffer):
    """The latest rows.

    Older rows are deleted, on purpose.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    seed : int or numpy.random.SeedSequence
        Of `sample`: which rows are kept is no matter of chance.
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = SlidingWindowBuffer(max_size=3)
    >>> buffer.update(Batch.from_arrays([[float(i)] for i in range(100)], [0] * 100))
    >>> sorted(buffer.buffer.t.tolist())
    [97, 98, 99]
    """

    def __init__(
        self,
        max_size: int | None = None,
        seed: Seed = 0,
        *,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        policy = Policy(selection=WindowKeys())
        super().__init__(policy, max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
