"""A sample of the stream that is never learned: retention without a test set."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.evaluation.retention.holdout import BATCH, HeldOutRounds
from streamreplay.state import GROWN, SETTING, Fields, State

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / the golden ratio, odd

_ENOUGH = 50  # fewest rows in a round that is not at the end of an experience
# a round costs something whatever its size: er-slda inverts a matrix, the time of some 40 rows
_APART = 500  # least distance
_SOONER, _SOONEST = 16, 100  # after a boundary: that part of the distance, at least so many rows
Shared: TypeAlias = GroupBy | Literal["none"]


def hash_values(values: NDArray[np.int64], seed: int = 0) -> NDArray[np.uint64]:
    """Hash integers, int64[n], to uint64[n].

    The finaliser of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom
    number generators", 2014) on the value and the seed.

    Examples
    --------
    >>> hash_values(np.array([0, 1]))[0].item()
    16294208416658607535
    """
    start = np.uint64((seed + 1) * int(_GOLDEN) % 2**64)
    hashed = _mix(np.asarray(values).astype(np.uint64) * _GOLDEN + start)
    return hashed if not seed else _mix(hashed ^ start)  # else a seed would only shift the values


def hash_rows(
    id: NDArray[np.str_] | None, t: NDArray[np.int64], seed: int = 0
) -> NDArray[np.uint64]:
    """Hash rows by their ids, str[n]; by their positions where they have none, or ""."""
    if id is None:
        return hash_values(t, seed)
    return np.where(id == "", hash_values(t, seed), _hash_strings(id, seed))


def _hash_strings(values: NDArray[np.str_], seed: int) -> NDArray[np.uint64]:
    """Hash strings independently of the width of their column: padding counts 0."""
    width = values.dtype.itemsize // 4
    codes = np.ascontiguousarray(values).view(np.uint32).reshape(len(values), width)
    factors = hash_values(np.arange(width), seed) | np.uint64(1)
    total: NDArray[np.uint64] = (_mix(codes.astype(np.uint64)) * factors).sum(1, dtype=np.uint64)
    lengths = np.count_nonzero(codes, axis=1).astype(np.uint64)
    return _mix(total + lengths * _GOLDEN)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@final
class Probe(HeldOutRounds):
    """Withhold some rows of the stream from learning, and insert rounds over a sample of them.

    A stage `Batch` -> `Batch`, in front of `Holdout` and the buffer. A labelled row is withheld if
    the hash of its id (of its position, if it has none) falls into a share of all hashes. These are
    the same rows in every run, whatever the model, the seed of the job and the cut into batches. A
    withheld row stays in its batch and is predicted and scored as usual, but marked as
    ``withheld``, so that no learner learns it and no buffer stores it. A bounded sample of the
    withheld rows is kept. In each round it goes through the stream as batches whose ``held_out`` is
    ``"probe"``; `Prequential` makes a record of them.

    A round comes at the end of an experience, then at growing distances from there (scores on old
    experiences often drop for a while after a boundary), then every `distance` rows, and at the end
    of the stream. The distance is such that half of the budget pays for a round of the rows that
    the sample has by then. At most ``budget`` probe rows are predicted for each row of the stream:
    a round that would cost more is left out, except at the end of the stream. A round of fewer than
    50 rows is left out, except at ends of experiences.

    Parameters
    ----------
    share : float
        Share of labelled rows to withhold, above 0 and below 1.
    max_size : int
        Most rows in the sample. If there are more, each group keeps an equal number: the rows with
        the smallest hashes, which are a uniform sample of the group.
    by : {"class", "task", "experience", "none"}
        What rows are grouped by.
    every : int, optional
        A round after each ``every`` rows and at each end of an experience, whatever it costs.
    budget : float
        Most probe rows predicted for each row of the stream.
    chunk : int
        Most rows predicted at once.
    seed : int
        Another seed withholds other rows.

    Raises
    ------
    ValueError
        A parameter is out of its range.

    References
    ----------
    J. Vitter, "Random sampling with a reservoir", 1985, for the law of the sample; C. T. Fan, M. E.
    Muller, I. Rezucha, 1962, for drawing it by keeping the smallest of random keys.

    Examples
    --------
    >>> stream = [Batch.from_arrays([[float(i)]] * 8, [i % 2] * 8, start=8 * i) for i in range(9)]
    >>> probe = Probe(0.25, every=40)
    >>> [(b.held_out or "stream", len(b)) for b in probe(stream)][4:7]
    [('stream', 8), ('probe', 9), ('stream', 8)]
    """

    STATE = (
        Fields(
            share=SETTING,
            max_size=SETTING,
            by=SETTING,
            every=SETTING,
            budget=SETTING,
            seed=SETTING,
            _sample=BATCH,
            _keys=GROWN,
            _quota=int,
            _withheld=int,
            _boundary=int,
        )
        | HeldOutRounds.STATE
    )

    def __init__(
        self,
        share: float = 0.02,
        *,
        max_size: int = 2000,
        by: Shared = "class",
        every: int | None = None,
        budget: float = 0.5,
        chunk: int = 512,
        seed: int = 0,
    ) -> None:
        if not 0 < share < 1:
            raise ValueError(f"share must be above 0 and below 1, got {share}")
        if max_size < 1:
            raise ValueError(f"max_size must be at least 1, got {max_size}")
        super().__init__(chunk, every)
        if by != "none" and by not in GROUP_COLUMNS:
            raise ValueError(f"by must be one of {', '.join(GROUP_COLUMNS)}, none, got {by!r}")
        if budget <= 0:
            raise ValueError(f"budget must be above 0, got {budget}")
        self.share, self.max_size, self.by, self.seed = share, max_size, by, seed
        self.budget = budget
        self._below = np.uint64(min(int(share * 2**64), 2**64 - 1))
        self._sample: Batch | None = None  # in order of t
        self._keys = np.empty(0, np.uint64)  # of its rows
        self._quota = max_size  # most rows of a group; it never rises, as old rows would be missing
        self._drawn: list[Batch] = []  # rows withheld since the sample was last cut
        self._drawn_keys: list[NDArray[np.uint64]] = []
        self._drawn_rows = 0  # in `_drawn`
        self._withheld = 0  # rows withheld so far
        self._boundary = 0  # position of the last change of experience

    @property
    def distance(self) -> int:
        """Rows from one round to the next, if there is no boundary; it grows with the sample."""
        # half of the budget is left for the rounds after boundaries
        return self.every or max(_APART, math.ceil(2 * self._size / self.budget))

    @property
    def sample(self) -> Batch | None:
        """The rows of a round, in order of ``t``; None before the first."""
        self._cut()
        return self._sample

    def state_dict(self) -> State:
        """Return settings, the sample, and what decides when the next round is due."""
        self._cut()
        return super().state_dict()

    def load_state_dict(self, state: State) -> None:
        """Load a state.

        Raises
        ------
        CheckpointError
            It is of other settings.
        """
        super().load_state_dict(state)
        self._drawn, self._drawn_keys, self._drawn_rows = [], [], 0

    def _passed(self, batch: Batch) -> Batch:
        if batch.present_experience != self._experience:
            self._boundary = self._position
        return self._withhold(batch)

    def _withhold(self, batch: Batch) -> Batch:
        """Mark the rows that must not be learned, and keep them for the sample."""
        keys = hash_rows(batch.id, batch.t, self.seed)
        mask = (keys < self._below) & (batch.y >= 0)
        if batch.withheld is not None:  # they wait for their label
            mask &= ~batch.withheld
        if not mask.any():
            return batch
        rows = np.flatnonzero(mask)
        self._drawn.append(_bare(batch, rows))
        self._drawn_keys.append(keys[rows])
        self._drawn_rows += len(rows)
        self._withheld += len(rows)
        if self._drawn_rows >= self.max_size:
            self._cut()
        return batch.withholding(mask if batch.withheld is None else mask | batch.withheld)

    @property
    def _size(self) -> int:
        """The most rows that a round would have now; whether the sample was cut plays no part."""
        return min(self._withheld, self.max_size)

    def _due(self, experience: int) -> bool:
        ended = experience != self._experience
        if self.every is not None:
            return ended or self._due_by_rows()
        size = self._size
        left = self.budget * self._position - self._spent  # rows that may still be predicted
        if ended:
            return 0 < size <= left
        # the rest of the budget must suffice for the next boundary as well
        return size >= _ENOUGH and 2 * size <= left and self._has_waited()

    def _has_waited(self) -> bool:
        """Return whether the last round is far enough away, which is less after a boundary."""
        since, distance = self._position - self._boundary, self.distance
        soon = max(distance // _SOONER, _SOONEST, 2 * (self._tested - self._boundary))
        return since >= soon or self._position - self._tested >= distance

    def _round_rows(self) -> Batch | None:
        return self.sample

    def _cut(self) -> None:
        """Add the rows drawn since the last call to the sample, and cut it to its size."""
        if not self._drawn:
            return
        parts = self._drawn if self._sample is None else [self._sample, *self._drawn]
        rows, keys = Batch.concat(parts), np.concatenate([self._keys, *self._drawn_keys])
        self._drawn, self._drawn_keys, self._drawn_rows = [], [], 0
        _, last = np.unique(keys[::-1], return_index=True)
        if len(last) < len(keys):  # of rows with the same id only the newest stays
            newest = np.sort(len(keys) - 1 - last)
            rows, keys = rows.take(newest), keys[newest]
        if len(rows) > self.max_size or self._quota < self.max_size:
            kept = self._choose(rows, keys)
            rows, keys = rows.take(kept), keys[kept]
        self._sample, self._keys = rows, keys

    def _choose(self, rows: Batch, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the numbers of the rows that stay, ascending: each group's smallest keys."""
        column = None if self.by == "none" else getattr(rows, GROUP_COLUMNS[self.by])
        ids = np.zeros(len(rows), np.int64) if column is None else column
        groups, of_row, counts = np.unique(ids, return_inverse=True, return_counts=True)
        if len(groups) > self.max_size:  # those with the smallest hashes stay
            rank = np.argsort(np.argsort(hash_values(groups, self.seed)))
            counts = np.where(rank < self.max_size, counts, 0)
        self._quota = min(self._quota, _share_out(counts, self.max_size))
        order = np.lexsort((keys, of_row))
        starts = np.cumsum(np.bincount(of_row)) - np.bincount(of_row)
        place = np.arange(len(rows)) - np.repeat(starts, np.bincount(of_row))
        kept = (place < self._quota) & (counts[of_row[order]] > 0)
        return np.sort(order[kept])


def _share_out(counts: NDArray[np.int64], size: int) -> int:
    """Return the largest quota for which the rows of all groups fit into ``size``.

    Examples
    --------
    >>> _share_out(np.array([2, 50, 60]), 40)
    19
    """
    quotas = range(2, size + 1)
    return 1 + bisect_right(quotas, size, key=lambda quota: int(np.minimum(counts, quota).sum()))


def _bare(batch: Batch, rows: NDArray[np.int64]) -> Batch:
    """Return some rows with the columns that predicting and scoring them needs."""
    return Batch(
        batch.x[rows],
        batch.y[rows],
        batch.t[rows],
        batch.task[rows],
        batch.experience[rows],
        target=None if batch.target is None else batch.target[rows],
        held_out="probe",
        labels=batch.labels,
        schema=batch.schema,
    )
