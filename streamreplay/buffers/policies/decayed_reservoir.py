"""A sample in which older rows are rarer."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy
from streamreplay.buffers.sampling.expiry import parse_span
from streamreplay.buffers.sampling.key_rules import DecayingKeys
from streamreplay.randomness import Seed


@final
class DecayedReservoirBuffer(ExemplarsBuffer):
    """A sample in which older rows are rarer, with a given half-life.

    A row weighs half as much as one that came ``half_life`` later. While ``max_size`` is small
    against the half-life, that is the ratio of their chances to be stored; where the newest rows
    alone would fill the buffer, nearly all of them are stored, in addition to some older ones.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    half_life : float or datetime.timedelta
        In rows offered, or in event time. A row that carries no time counts as coming at the
        latest time seen; one before any time was seen is not stored.
    seed : int or numpy.random.SeedSequence
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    Raises
    ------
    ValueError
        ``half_life`` is not above 0.

    References
    ----------
    G. Cormode, V. Shkapenyuk, D. Srivastava, B. Xu, "Forward decay", ICDE 2009.
    P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", IPL 97(5), 2006.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = DecayedReservoirBuffer(max_size=100, half_life=1000)
    >>> buffer.update(Batch.from_arrays([[0.0]] * 10_000, [0] * 10_000))
    >>> len(buffer), int(buffer.buffer.t.min()) > 100
    (100, True)
    """

    def __init__(
        self,
        max_size: int | None = None,
        half_life: float | timedelta = 10_000,
        seed: Seed = 0,
        *,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        length, by_time = parse_span("half_life", half_life)
        policy = Policy(selection=DecayingKeys(length, by_time=by_time))
        super().__init__(policy, max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
