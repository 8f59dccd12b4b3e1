"""The buffers that users pick by name.

Each says with a `Policy` how it keeps rows; the rest is `ExemplarsBuffer`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TypedDict, Unpack, final

from streamreplay.batch import GroupBy
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policy import Policy, Selection, announced_groups
from streamreplay.buffers.sampling.expiry import parse_span
from streamreplay.buffers.sampling.keys import DecayingKeys, WindowKeys
from streamreplay.randomness import Seed


class BufferOptions(TypedDict, total=False):
    """The parameters that all buffers pass on to `ExemplarsBuffer`, which describes them."""

    max_bytes: int | None
    storage: str | os.PathLike[str] | None
    ttl: int | timedelta | None


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
        **options: Unpack[BufferOptions],
    ) -> None:
        announced = announced_groups("total_num_classes", total_num_classes, adaptive=adaptive_size)
        policy = Policy("class", announced=announced)
        super().__init__(policy, max_size, seed, **options)


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
        **options: Unpack[BufferOptions],
    ) -> None:
        announced = announced_groups("total_num_tasks", total_num_tasks, adaptive=adaptive_size)
        policy = Policy("task", announced=announced)
        super().__init__(policy, max_size, seed, **options)


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
        **options: Unpack[BufferOptions],
    ) -> None:
        announced = announced_groups("num_experiences", num_experiences, adaptive=adaptive_size)
        policy = Policy("experience", announced=announced)
        super().__init__(policy, max_size, seed, **options)


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
        self, max_size: int | None = None, seed: Seed = 0, **options: Unpack[BufferOptions]
    ) -> None:
        super().__init__(Policy(), max_size, seed, **options)


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
        **options: Unpack[BufferOptions],
    ) -> None:
        policy = Policy(groupby, selection_strategy)
        super().__init__(policy, max_size, seed, **options)


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
        self, max_size: int | None = None, seed: Seed = 0, **options: Unpack[BufferOptions]
    ) -> None:
        policy = Policy(selection=WindowKeys())
        super().__init__(policy, max_size, seed, **options)


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
        **options: Unpack[BufferOptions],
    ) -> None:
        length, by_time = parse_span("half_life", half_life)
        policy = Policy(selection=DecayingKeys(length, by_time=by_time))
        super().__init__(policy, max_size, seed, **options)
