"""What all buffers share: the stage, the public face and the state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy, Rehearsal
from streamreplay.buffers.reservoir import KeyedReservoir
from streamreplay.buffers.storage import ColumnStore
from streamreplay.randomness import Seed, load_rng_state, make_rng, rng_state, spawn_seed
from streamreplay.stage import State, expect

__all__ = ["ExemplarsBuffer"]


class ExemplarsBuffer:
    """Stored rows, chosen by a policy; as a stage it turns `Batch` into `Rehearsal`.

    As a stage it offers the incoming batch beside what is stored, and takes the batch in only when
    it is pulled again or asked for its state: a row is never rehearsed in the step it arrives in.
    Held-out batches and rows without a label are never stored.

    Parameters
    ----------
    max_size : int
        Capacity in rows, at least 0.
    seed : int or numpy.random.SeedSequence
        The same seed and the same rows give the same exemplars, however the rows were cut into
        batches.
    by : {"class", "task", "experience"} or None
        What the capacity is shared out by.

    Raises
    ------
    ValueError
        ``max_size`` is negative.
    """

    def __init__(self, max_size: int, seed: Seed, by: GroupBy | None) -> None:
        if max_size < 0:
            raise ValueError(f"max_size must be at least 0, got {max_size}")
        self.by = by
        self._store = ColumnStore(max_size)
        self._reservoir = KeyedReservoir(self._store, spawn_seed(seed, "reservoir"))
        self._rng = make_rng(spawn_seed(seed, "sample"))
        self._pending: Batch | None = None

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Rehearsal]:
        """Put each batch beside everything stored before it."""
        for batch in stream:
            self._commit()
            if not batch.held_out:
                self._pending = batch
            yield Rehearsal(batch, self._store.memory(batch), self._store.group_by)
        self._commit()

    def __len__(self) -> int:
        return self._store.size

    @property
    def max_size(self) -> int:
        """Capacity in rows."""
        return self._store.max_size

    @property
    def seen(self) -> int:
        """Labelled rows offered so far."""
        return self._reservoir.seen

    @property
    def nbytes(self) -> int:
        """Bytes allocated for rows."""
        return self._store.nbytes

    @property
    def buffer(self) -> Batch:
        """All stored rows as views: they change with the next update.

        Raises
        ------
        ValueError
            No row was ever seen, so there is nothing to take the shape from.
        """
        return self._store.batch

    @property
    def buffer_groups(self) -> dict[int, Batch]:
        """Stored rows by group id, copied; one group 0 where capacity is not shared out."""
        groups = self._reservoir.groups
        return {
            group_id: self._store.batch.take(self._reservoir.slots_of(number))
            for number, group_id in enumerate(groups.ids)
            if groups.count[number]
        }

    def update(self, batch: Batch) -> None:
        """Offer the labelled rows of a batch; none of a held-out one.

        Raises
        ------
        ValueError
            Rows of another shape or type than those stored.
        """
        self._commit()  # what came before comes first, whether or not the state was asked for
        if batch.held_out:
            return
        if len(batch) and np.minimum.reduce(batch.y) < 0:
            batch = batch.take(batch.y >= 0)
        if len(batch):
            groups = None if self.by is None else getattr(batch, GROUP_COLUMNS[self.by])
            self._reservoir.update(batch, groups)

    def sample(self, n: int) -> Batch:
        """Draw n stored rows uniformly, with replacement.

        Raises
        ------
        ValueError
            n is negative, or the buffer is empty and n is not 0.
        """
        if n < 0 or (n and not len(self)):
            raise ValueError(f"cannot draw {n} rows from a buffer of {len(self)}")
        slots: NDArray[np.int64] = self._rng.integers(0, max(len(self), 1), n)
        return self.buffer.take(slots)

    def resize(self, new_size: int) -> None:
        """Change the capacity.

        Shrinking evicts uniformly within each group. After growing, every group stays a uniform
        sample of all its rows, so a group that had been full fills the new room only as slowly as
        its acceptance rate at the time of growing allows. A group that has no row left begins anew.

        Raises
        ------
        ValueError
            ``new_size`` is negative.
        """
        if new_size < 0:
            raise ValueError(f"new_size must be at least 0, got {new_size}")
        self._commit()
        self._reservoir.resize(new_size)

    def describe(self) -> dict[str, Any]:
        """Return what is stored, in numbers: rows, capacity, bytes, acceptance, rows by class."""
        reservoir = self._reservoir
        index = self._store.group_by("class") if len(self) else None
        ages = self.buffer.t if len(self) else np.empty(0, np.int64)
        return {
            "rows": len(self),
            "max_size": self.max_size,
            "seen": reservoir.seen,
            "nbytes": self.nbytes,
            "acceptance": reservoir.acceptance,
            "oldest": int(ages.min()) if len(ages) else None,
            "newest": int(ages.max()) if len(ages) else None,
            "by_class": {}
            if index is None
            else dict(zip(index.ids.tolist(), index.counts.tolist(), strict=True)),
        }

    def state_dict(self) -> State:
        """Take in the pending batch, and return rows, keys and generators."""
        self._commit()
        return {
            "max_size": self.max_size,
            "by": self.by,
            "sample": rng_state(self._rng),
            "rows": self._store.state_dict(),
            "reservoir": self._reservoir.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state saved from a buffer of the same capacity and policy."""
        expect("max_size", state["max_size"], self.max_size)
        expect("by", state["by"], self.by)
        load_rng_state("sample", self._rng, state["sample"])
        self._store.load_state_dict(state["rows"])
        self._reservoir.load_state_dict(state["reservoir"])
        self._pending = None

    def _commit(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self.update(pending)
