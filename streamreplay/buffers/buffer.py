"""`ExemplarsBuffer`: the stage, the methods and the state that all buffers share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.buffers.description import describe_state
from streamreplay.buffers.forgetting import rows_to_forget
from streamreplay.buffers.offered_memory import OfferedMemory
from streamreplay.buffers.policy import (
    Policy,
    check_capacity,
    check_mergeable,
    describe_policy,
    extra_columns,
    make_slots,
)
from streamreplay.buffers.sampling.expiry import Expiry, parse_span
from streamreplay.buffers.sampling.keyed_reservoir import KeyedReservoir
from streamreplay.buffers.sampling.merging import merge_reservoirs
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.buffers.storage.columns import open_folder
from streamreplay.errors import CheckpointError
from streamreplay.groups import draw_balanced
from streamreplay.randomness import Seed, load_rng_state, make_rng, rng_state, spawn_seed
from streamreplay.records import Rehearsal
from streamreplay.state import State, expect, load_state, save_state


class ExemplarsBuffer:
    """Stored rows, chosen by a policy; as a stage it turns `Batch` into `Rehearsal`.

    As a stage it yields each incoming batch together with what is stored, and stores the batch only
    when it is pulled again or its state is asked for: a row is never rehearsed in the step it
    arrives in. Held-out batches, withheld rows and rows without a label are never stored.

    Parameters
    ----------
    policy : Policy
    max_size : int, optional
        Capacity in rows, at least 0.
    seed : int or numpy.random.SeedSequence
        The same seed and the same rows give the same exemplars, however the rows were cut into
        batches, unless a strategy ranks the stored rows again in every update.
    max_bytes : int, optional
        Capacity in bytes, instead of ``max_size``: as many rows as fit, together with all that is
        stored with them. It is worked out at the first row.
    storage : path, optional
        A folder: rows are memory-mapped from files in it, which no other process can see and which
        are deleted with the buffer. By default rows are in RAM.
    ttl : int or datetime.timedelta, optional
        Age at which a row is deleted: in rows offered, or in event time.

    Raises
    ------
    ValueError
        A parameter is out of its range, or not exactly one of ``max_size`` and ``max_bytes`` is
        given.
    OSError
        The folder cannot be used.
    """

    def __init__(
        self,
        policy: Policy,
        max_size: int | None = None,
        seed: Seed = 0,
        *,
        max_bytes: int | None = None,
        storage: str | os.PathLike[str] | None = None,
        ttl: int | timedelta | None = None,
    ) -> None:
        check_capacity(max_size, max_bytes)
        self._policy = policy
        self._built = {"max_size": max_size, "max_bytes": max_bytes}
        self._expiry: Expiry | None = None
        if ttl is not None:
            limit, by_time = parse_span("ttl", ttl)
            self._expiry = Expiry(limit, by_time=by_time)
        self._store = ColumnStore(
            max_size or 0,
            max_bytes=max_bytes,
            folder=open_folder(storage),
            extra=extra_columns(policy, self._expiry),
        )
        self._reservoir = make_slots(policy, self._store, spawn_seed(seed, "reservoir"))
        self._rng = make_rng(spawn_seed(seed, "sample"))
        self._turn = 0  # odd rows of balanced samples dealt so far
        self._offered: OfferedMemory | None = None

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Rehearsal]:
        """Yield each batch with everything stored before it."""
        for batch in stream:
            self._commit()
            pending = None if batch.held_out else batch.learnable()
            if pending is not None and self._expiry is not None:
                self._expiry.before(self._reservoir, pending.labelled())
            self._offered = OfferedMemory(self._store, batch, pending)
            yield Rehearsal(batch, self._offered)
        self._commit()

    def __len__(self) -> int:
        return self._store.size

    @property
    def by(self) -> GroupBy | None:
        """What the capacity is shared out by: classes, tasks, experiences, or nothing."""
        return self._policy.by

    @property
    def max_size(self) -> int:
        """Capacity in rows; 0 before the first row if it was given in bytes."""
        return self._store.max_size

    @property
    def max_bytes(self) -> int | None:
        """Capacity in bytes; None if it is in rows."""
        return self._store.max_bytes

    @property
    def seen(self) -> int:
        """Labelled rows offered so far."""
        return self._reservoir.seen

    @property
    def nbytes(self) -> int:
        """Bytes allocated for rows and what is stored with them."""
        return self._store.nbytes

    @property
    def uniform_since(self) -> int:
        """The row, counted by `seen`, from which on stored rows are a fair sample; 0: the first.

        Within each group all rows from there on were equally likely to be stored (with a strategy
        or a half-life: were chosen by the same rule). It rises when room is filled with whatever
        comes next, as ``resize(..., refill=True)`` does, and when a group that has turned rows away
        loses its last row and starts again. After a refill it goes back to 0 once the newer rows
        are as sparse as the older ones.
        """
        return self._reservoir.uniform_since

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
        """Stored rows by group id, copied; all in group 0 if capacity is not shared out."""
        groups = self._reservoir.groups
        return {
            group_id: self._store.batch.take(self._reservoir.slots_of(number))
            for number, group_id in enumerate(groups.ids)
            if groups.count[number]
        }

    def update(self, batch: Batch) -> None:
        """Offer the labelled rows of a batch that are neither held out nor withheld.

        Raises
        ------
        TypeError
            It is not a `Batch`.
        ValueError
            The rows have another shape or type than those stored.
        ConfigError
            ``max_bytes`` is less than a row needs; ages count in event time and rows have none; or
            a strategy returns something else than it was asked for.

        Notes
        -----
        If a strategy raises, no row has been stored; with a ``ttl``, some of the first rows may
        have been.
        """
        if not isinstance(batch, Batch):
            raise TypeError(
                f"update takes a Batch, got {type(batch).__name__}: "
                "build one with Batch.from_arrays(x, y)"
            )
        self._commit()  # the rows of the batch before come first
        if batch.held_out:
            return
        batch = batch.learnable().labelled()
        if not len(batch):
            return
        if self._expiry is not None:
            self._expiry.update(self._reservoir, batch)
        else:
            self._reservoir.update(batch)
        self._keep_to_budget()

    def sample(self, n: int, by: GroupBy | None = None) -> Batch:
        """Draw n stored rows with replacement.

        Parameters
        ----------
        n : int
        by : {"class", "task", "experience"} or None
            Draw the same number from each group, to within one; which groups give one more goes
            round from call to call. None draws uniformly.

        Raises
        ------
        ValueError
            n is negative, the buffer is empty and n is not 0, or ``by`` is not one of the choices.
        """
        if n < 0 or (n and not len(self)):
            raise ValueError(f"cannot draw {n} rows from a buffer of {len(self)}")
        if by is not None and by not in GROUP_COLUMNS:
            raise ValueError(f"by must be one of {', '.join(GROUP_COLUMNS)} or None, got {by!r}")
        if by is None or not n:
            slots: NDArray[np.int64] = self._rng.integers(0, max(len(self), 1), n)
        else:
            index = self._store.groups(by)
            slots, _, odd = draw_balanced(self._rng, index, n, self._turn, replacement=True)
            self._turn += odd
        if n:
            self._store.count_replays(slots)
        return self.buffer.take(slots)

    def resize(self, new_size: int, *, refill: bool = False) -> None:
        """Change the capacity.

        Shrinking evicts rows within each group: uniformly, or those that the strategy ranks last.
        After growing, every group stays a fair sample of all its rows, so a group that was full
        fills the new room only at the rate at which it accepted rows when it grew. A group that has
        no row left starts again.

        Parameters
        ----------
        new_size : int
        refill : bool
            Fill the new room with whatever comes next. `uniform_since` then says from which row on
            the sample is fair.

        Raises
        ------
        ValueError
            ``new_size`` is negative.
        """
        if new_size < 0:
            raise ValueError(f"new_size must be at least 0, got {new_size}")
        self._commit()
        self._store.max_bytes = None
        self._reservoir.resize(new_size, refill=refill)

    def merge(self, other: ExemplarsBuffer) -> None:
        """Add the rows of a buffer that was filled from another part of the stream.

        The result is distributed like one buffer of this capacity over both parts: each group is a
        fair sample of its rows in both, in proportion to how many each has seen. ``other`` is not
        changed. With a half-life in rows, rows of equal age in their own parts are of equal age.

        Raises
        ------
        ValueError
            The policies differ; both buffers were built with one seed, so that what they keep is
            not independent; or there is no fair way to merge them: a strategy ranks the rows, or
            rows expire by their number.
        """
        mine, theirs = self._reservoir, other._reservoir
        check_mergeable((mine, theirs), (self._described(), other._described()), self._expiry)
        self._commit()
        other._commit()
        if isinstance(mine, KeyedReservoir) and isinstance(theirs, KeyedReservoir):
            merge_reservoirs(mine, theirs)
        if self._expiry is not None:
            self._expiry.catch_up(mine)
        self._keep_to_budget()

    def forget(
        self,
        ids: ArrayLike | None = None,
        where: Callable[[Batch], ArrayLike] | None = None,
    ) -> int:
        """Delete stored rows now, and return how many. What is left is a fair sample of the rest.

        Their bytes are overwritten. The room is filled again at the rate at which rows are
        accepted, not with whatever comes next.

        Parameters
        ----------
        ids : array_like of int or str [k], optional
            The stream's own names of the rows, where 5 and "5" are one name; names that are not
            stored are ignored. "" stands for rows without a name, which it does not find.
        where : callable, optional
            Given all stored rows as a `Batch`, returns bool[n].

        Raises
        ------
        ValueError
            Not exactly one of the two is given; rows have no ids; ``where`` returns another shape.
        TypeError
            ``ids`` are not integers or strings, or ``where`` does not return booleans.
        """
        if (ids is None) == (where is None):
            got = "neither" if ids is None else "both"
            raise ValueError(f"exactly one of ids and where must be given, got {got}")
        self._commit()
        if not len(self):
            return 0
        slots = np.flatnonzero(rows_to_forget(self.buffer, ids, where))
        self._reservoir.delete(slots)
        return len(slots)

    def describe(self, position: int | None = None) -> dict[str, Any]:
        """Return statistics of the stored rows; see `streamreplay.buffers.description`.

        Parameters
        ----------
        position : int, optional
            Rows of the stream so far, from which ages count; by default the newest stored row is
            the last.
        """
        return {**describe_state(self.state_dict(), position), "nbytes": self.nbytes}

    def state_dict(self) -> State:
        """Store the pending batch, and return rows, keys and generators."""
        self._commit()
        return {
            "max_size": self.max_size,
            "max_bytes": self._store.max_bytes,
            "built": dict(self._built),
            "by": self.by,
            "sample": rng_state(self._rng),
            "turn": self._turn,
            "acceptance": self._reservoir.acceptance,
            "uniform_since": self.uniform_since,
            "expiry": None if self._expiry is None else save_state(self._expiry),
            "rows": self._store.state_dict(),
            "reservoir": self._reservoir.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state saved from a buffer of the same capacity and policy.

        If both were built with the same capacity, this one is resized as the saved one was.

        Raises
        ------
        CheckpointError
            The state does not fit; the message names the first part that does not. What the buffer
            holds is undefined then.
        """
        try:
            self._load(state)
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]}: is not in the state") from None

    def _load(self, state: State) -> None:
        if state["built"] == self._built:
            self._store.max_bytes = state["max_bytes"]
            if state["max_bytes"] is None and state["max_size"] != self.max_size:
                self._reservoir.resize(int(state["max_size"]))
        expect("max_bytes", state["max_bytes"], self._store.max_bytes)
        if self._store.max_bytes is None:
            expect("max_size", state["max_size"], self.max_size)
        expect("by", state["by"], self.by)
        expect("ttl", state["expiry"] is not None, self._expiry is not None)
        load_rng_state("sample", self._rng, state["sample"])
        self._store.load_state_dict(state["rows"])
        self._reservoir.load_state_dict(state["reservoir"])
        if self._expiry is not None:
            load_state(self._expiry, state["expiry"])
        self._turn = int(state["turn"])
        self._built = dict(state["built"])
        if self._offered is not None:
            self._offered.take_pending()
            self._offered = None

    def _commit(self) -> None:
        offered, self._offered = self._offered, None
        pending = None if offered is None else offered.take_pending()
        if pending is not None:
            self.update(pending)

    def _described(self) -> str:
        name = type(self).__name__
        return describe_policy(name, self._policy, self._reservoir, self._expiry)

    def _keep_to_budget(self) -> None:
        # ids and notes may have become wider than they were at the first row
        if self._store.over_budget:
            self._reservoir.resize(self._store.affordable)
