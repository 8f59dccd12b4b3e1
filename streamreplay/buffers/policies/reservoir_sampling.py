"""A uniform sample of the whole stream."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy
from streamreplay.randomness import Seed


@final
class ReservoirSamplingBuffer(ExemplarsBuffer):
    """A uniform sample of the whole stream.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    seed : int or numpy.random.SeedSequence
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    References
    ----------
    J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985. Rows are chosen by
    random keys, which has the law of its Algorithm R.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = ReservoirSamplingBuffer(max_size=3, seed=0)
    >>> buffer.update(Batch.from_arrays([[float(i)] for i in range(100)], [0] * 100))
    >>> len(buffer), buffer.seen, buffer.buffer.x.shape
    (3, 100, (3, 1))
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
        super().__init__(Policy(), max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
