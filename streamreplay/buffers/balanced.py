"""The buffers a user picks by name."""

from __future__ import annotations

from typing import final

from streamreplay.buffers.base import ExemplarsBuffer
from streamreplay.randomness import Seed

__all__ = ["ClassBalancedBuffer", "ReservoirSamplingBuffer"]


@final
class ReservoirSamplingBuffer(ExemplarsBuffer):
    """A uniform sample of the whole stream (reservoir sampling).

    Parameters
    ----------
    max_size : int
        Capacity in rows.
    seed : int or numpy.random.SeedSequence

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

    def __init__(self, max_size: int, seed: Seed = 0) -> None:
        super().__init__(max_size, seed, by=None)


@final
class ClassBalancedBuffer(ExemplarsBuffer):
    """A uniform sample of each class, of equal sizes as far as classes have rows to give.

    Quotas of classes with rows to give differ by one at most and sum to ``max_size``; which classes
    get the odd rows is drawn, not read off their ids. Evicted rows are chosen uniformly within
    their class. With more classes than ``max_size``, classes take turns by lot.

    Parameters
    ----------
    max_size : int
        Capacity in rows.
    seed : int or numpy.random.SeedSequence

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

    def __init__(self, max_size: int, seed: Seed = 0) -> None:
        super().__init__(max_size, seed, by="class")
