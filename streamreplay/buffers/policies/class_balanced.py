"""A uniform sample of each class."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import final

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy, announced_groups
from streamreplay.randomness import Seed


@final
class ClassBalancedBuffer(ExemplarsBuffer):
    """Equal shares for each class, each a uniform sample of the rows of its class.

    Quotas of classes with rows to give differ by one at most and sum to ``max_size``; which classes
    get the odd rows is drawn, not read off their ids. Evicted rows are chosen uniformly within
    their class. With more classes than ``max_size``, a lottery decides which have a slot: equal
    chances for all, drawn again for classes that still get rows when the stream has doubled.

    Parameters
    ----------
    max_size : int, optional
        Capacity in rows.
    seed : int or numpy.random.SeedSequence
    adaptive_size : bool
        True shares all slots among the classes seen so far. False keeps an equal share for each
        of ``total_num_classes`` from the beginning, so that no class ever gives rows back; should
        more classes come than were announced, all get equal shares of what there is.
    total_num_classes : int, optional
        With ``adaptive_size=False``: how many classes will come.
    max_bytes, storage, ttl
        See `ExemplarsBuffer`.

    References
    ----------
    A. Chrysakis, M.-F. Moens, "Online continual learning from imbalanced data", ICML 2020.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> buffer = ClassBalancedBuffer(max_size=100)
    >>> buffer.update(Batch.from_arrays([[0.0]] * 1003, [0] * 1000 + [1] * 3))
    >>> {label: len(rows) for label, rows in buffer.buffer_groups.items()}
    {0: 97, 1: 3}
    """

    def __init__(
        self,
        max_size: int | None = None,
        seed: Seed = 0,
        *,
        adaptive_size: bool = True,
        total_num_classes: int | None = None,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        announced = announced_groups("total_num_classes", total_num_classes, adaptive=adaptive_size)
        policy = Policy("class", announced=announced)
        super().__init__(policy, max_size, seed, max_bytes=max_bytes, storage=storage, ttl=ttl)
