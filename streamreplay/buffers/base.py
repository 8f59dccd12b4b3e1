"""What all buffers share: the stage, the public face and the state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.buffers.allocation import open_folder
from streamreplay.buffers.description import describe_state
from streamreplay.buffers.expiry import Expiry, parse_span
from streamreplay.buffers.grouping import BufferGroups
from streamreplay.buffers.key_rules import KeyLaw, StrategyKeys, UniformKeys
from streamreplay.buffers.offered_memory import OfferedMemory
from streamreplay.buffers.ranked import RankedSlots
from streamreplay.buffers.reservoir import KeyedReservoir
from streamreplay.buffers.selection import (
    ExemplarsSelectionStrategy,
    OnlineSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from streamreplay.buffers.slots import SLOT_COLUMNS, GroupedSlots
from streamreplay.buffers.storage import Beside, ColumnStore
from streamreplay.draws import draw_balanced
from streamreplay.errors import CheckpointError
from streamreplay.randomness import Seed, load_rng_state, make_rng, rng_state, spawn_seed
from streamreplay.records import Rehearsal
from streamreplay.state import State, expect

__all__ = ["ExemplarsBuffer", "Policy", "Selection"]

Selection: TypeAlias = ExemplarsSelectionStrategy | OnlineSelectionStrategy
"""What chooses among the rows of a group."""


@dataclass(frozen=True)
class Policy:
    """What a buffer keeps.

    Attributes
    ----------
    by : {"class", "task", "experience"} or None
        What the capacity is shared out by.
    selection : KeyLaw, ExemplarsSelectionStrategy, OnlineSelectionStrategy or None
        What chooses among the rows of a group; None for a uniform sample.
    announced : int, optional
        How many groups will come: each gets an equal share from the beginning.
    """

    by: GroupBy | None = None
    selection: KeyLaw | Selection | None = None
    announced: int | None = None


class ExemplarsBuffer:
    """Stored rows, chosen by a policy; as a stage it turns `Batch` into `Rehearsal`.

    As a stage it offers the incoming batch beside what is stored, and takes the batch in only when
    it is pulled again or asked for its state: a row is never rehearsed in the step it arrives in.
    Held-out batches, withheld rows and rows without a label are never stored.

    Parameters
    ----------
    policy : Policy
    max_size : int, optional
        Capacity in rows, at least 0.
    seed : int or numpy.random.SeedSequence
        The same seed and the same rows give the same exemplars, however the rows were cut into
        batches (but where a strategy ranks stored rows anew in every update).
    max_bytes : int, optional
        Capacity in bytes, instead of ``max_size``: as many rows as fit with all that is kept beside
        them, found at the first row.
    storage : path, optional
        A folder: rows are memory-mapped from files in it, which no one else can see and which are
        gone when the buffer is. By default they are in RAM.
    ttl : int or datetime.timedelta, optional
        Age at which a row is deleted: in rows offered, or in event time.

    Raises
    ------
    ValueError
        A parameter is out of its range, or ``max_size`` and ``max_bytes`` are not exactly one.
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
        if (max_size is None) == (max_bytes is None):
            raise ValueError("exactly one of max_size and max_bytes must be given")
        for name, least, value in (("max_size", 0, max_size), ("max_bytes", 1, max_bytes)):
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if policy.by is not None and policy.by not in GROUP_COLUMNS:
            choices = ", ".join(GROUP_COLUMNS)
            raise ValueError(f"groupby must be one of {choices} or None, got {policy.by!r}")
        if policy.announced is not None and policy.announced < 1:
            raise ValueError(f"the number of groups must be at least 1, got {policy.announced}")
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
            beside=_columns_beside(policy, self._expiry),
        )
        self._reservoir = _make_slots(policy, self._store, spawn_seed(seed, "reservoir"))
        self._rng = make_rng(spawn_seed(seed, "sample"))
        self._turn = 0  # odd rows of balanced samples dealt so far
        self._offered: OfferedMemory | None = None

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Rehearsal]:
        """Put each batch beside everything stored before it."""
        store = self._store
        for batch in stream:
            self._commit()
            pending = None if batch.held_out else batch.learnable()
            if pending is not None and self._expiry is not None:
                self._expiry.before(self._reservoir, _labelled(pending))
            self._offered = OfferedMemory(store, batch, pending)
            yield Rehearsal(batch, self._offered)
        self._commit()

    def __len__(self) -> int:
        return self._store.size

    @property
    def by(self) -> GroupBy | None:
        """What the capacity is shared out by."""
        return self._policy.by

    @property
    def max_size(self) -> int:
        """Capacity in rows; 0 until the first row if it was given in bytes."""
        return self._store.max_size

    @property
    def max_bytes(self) -> int | None:
        """Capacity in bytes; None where it is in rows."""
        return self._store.max_bytes

    @property
    def seen(self) -> int:
        """Labelled rows offered so far."""
        return self._reservoir.seen

    @property
    def nbytes(self) -> int:
        """Bytes allocated for rows and what is kept beside them."""
        return self._store.nbytes

    @property
    def uniform_since(self) -> int:
        """From which row on (counted by `seen`) stored rows are a fair sample; 0: from the first.

        That is, within each group all rows from there on were equally likely to be stored (where
        a strategy or a half-life chooses: were chosen by the same rule). It moves when room is
        filled up with what comes next, as ``resize(..., refill=True)`` asks for, and when a group
        without rows that has had to turn some away begins anew; after a refill it goes back to 0
        once the newer rows are as sparse as the older ones.
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
        """Stored rows by group id, copied; one group 0 where capacity is not shared out."""
        groups = self._reservoir.groups
        return {
            group_id: self._store.batch.take(self._reservoir.slots_of(number))
            for number, group_id in enumerate(groups.ids)
            if groups.count[number]
        }

    def update(self, batch: Batch) -> None:
        """Offer the labelled rows of a batch; none of a held-out one, and none withheld.

        Raises
        ------
        TypeError
            It is not a `Batch`.
        ValueError
            Rows of another shape or type than those stored.
        ConfigError
            ``max_bytes`` is less than a row needs; ages count in event time, and rows have none; a
            strategy answers with something else than it was asked for.

        Notes
        -----
        If a strategy raises, no row has been taken in; with a ``ttl`` those before the first that
        expiry had to stop at may have been.
        """
        if not isinstance(batch, Batch):
            raise TypeError(
                f"update takes a Batch, got {type(batch).__name__}: "
                "build one with Batch.from_arrays(x, y)"
            )
        self._commit()  # what came before comes first, whether or not the state was asked for
        if batch.held_out:
            return
        batch = _labelled(batch.learnable())
        if not len(batch):
            return
        groups = None if self.by is None else getattr(batch, GROUP_COLUMNS[self.by])
        if self._expiry is not None:
            self._expiry.update(self._reservoir, batch, groups)
        else:
            self._reservoir.update(batch, groups)
        self._keep_to_budget()

    def sample(self, n: int, by: GroupBy | None = None) -> Batch:
        """Draw n stored rows with replacement.

        Parameters
        ----------
        n : int
        by : {"class", "task", "experience"} or None
            Draw the same number of each, to within one; the odd ones go round from call to call.
            None draws uniformly.

        Raises
        ------
        ValueError
            n is negative, or the buffer is empty and n is not 0, or ``by`` is not one of the
            choices.
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

        Shrinking evicts within each group: uniformly, or what the strategy ranks last. After
        growing, every group stays a fair sample of all its rows, so a group that had been full
        fills the new room only as slowly as its acceptance rate at the time of growing allows. A
        group that has no row left begins anew.

        Parameters
        ----------
        new_size : int
        refill : bool
            Fill the new room with whatever comes next. `uniform_since` then says from where on
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
        """Take in the rows of a buffer that was filled from another part of the stream.

        The result is distributed as one buffer of this capacity over both parts: each group a
        fair sample of its rows in both, in proportion to how many each has seen. ``other`` is left
        as it is. Half-lives in rows take rows of equal age in their own parts to be of equal age.

        Raises
        ------
        ValueError
            The policies differ; both were built with one seed, so that what they keep is not
            independent; or there is no fair join: a strategy ranks the rows, or rows expire by
            their number.
        """
        self._check_mergeable(other)
        self._commit()
        other._commit()
        mine, theirs = self._reservoir, other._reservoir
        if isinstance(mine, KeyedReservoir) and isinstance(theirs, KeyedReservoir):
            mine.merge(theirs)
        if self._expiry is not None:
            self._expiry.catch_up(mine)
        self._keep_to_budget()

    def forget(
        self,
        ids: ArrayLike | None = None,
        where: Callable[[Batch], ArrayLike] | None = None,
    ) -> int:
        """Delete stored rows now; return how many. What is left is a fair sample of the rest.

        The room is filled again at the rate at which rows are accepted, not with whatever comes
        next. Their bytes are overwritten.

        Parameters
        ----------
        ids : array_like of int or str [k], optional
            The stream's own names of the rows; those not stored are ignored. "" and -1 stand for
            rows without a name, which are not found by it.
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
            raise ValueError("exactly one of ids and where must be given")
        self._commit()
        if not len(self):
            return 0
        if where is not None:
            mask = np.asarray(where(self.buffer))
            if mask.dtype != np.bool_:
                raise TypeError(f"where must return booleans, got {mask.dtype}")
            if mask.shape != (len(self),):
                raise ValueError(f"where must return bool[{len(self)}], got shape {mask.shape}")
        else:
            mask = self._named(np.atleast_1d(np.asarray(ids)))
        slots = np.flatnonzero(mask)
        self._reservoir.delete(slots)
        return len(slots)

    def describe(self, position: int | None = None) -> dict[str, Any]:
        """Return what is stored, in numbers; see `streamreplay.buffers.description`.

        Parameters
        ----------
        position : int, optional
            Rows of the stream so far, from which ages count; by default the newest stored row is
            the last.
        """
        described = describe_state(self.state_dict(), position)
        return {**described, "nbytes": self.nbytes}

    def state_dict(self) -> State:
        """Take in the pending batch, and return rows, keys and generators."""
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
            "expiry": None if self._expiry is None else self._expiry.state_dict(),
            "rows": self._store.state_dict(),
            "reservoir": self._reservoir.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state saved from a buffer of the same capacity and policy.

        If both were built with one capacity, this one is resized as the saved one had been.

        Raises
        ------
        CheckpointError
            It does not fit; the message names the first part that does not. What the buffer holds
            is undefined then.
        """
        try:
            self._load(state)
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]}: is not in the state") from None

    def _load(self, state: State) -> None:
        if state.get("built") == self._built:
            self._resize_as(state)
        expect("max_bytes", state["max_bytes"], self._store.max_bytes)
        if self._store.max_bytes is None:
            expect("max_size", state["max_size"], self.max_size)
        expect("by", state["by"], self.by)
        expect("ttl", state["expiry"] is not None, self._expiry is not None)
        load_rng_state("sample", self._rng, state["sample"])
        self._store.load_state_dict(state["rows"])
        self._reservoir.load_state_dict(state["reservoir"])
        if self._expiry is not None:
            self._expiry.load_state_dict(state["expiry"])
        self._turn = int(state["turn"])
        self._built = dict(state.get("built") or self._built)
        self._drop_offered()

    def _resize_as(self, state: State) -> None:
        self._store.max_bytes = state["max_bytes"]
        if state["max_bytes"] is None and state["max_size"] != self.max_size:
            self._reservoir.resize(int(state["max_size"]))

    def _commit(self) -> None:
        pending = self._drop_offered()
        if pending is not None:
            self.update(pending)

    def _drop_offered(self) -> Batch | None:
        offered, self._offered = self._offered, None
        return None if offered is None else offered.take_pending()

    def _keep_to_budget(self) -> None:
        # ids and notes have become wider than they were at the first row
        if self._store.over_budget:
            self._reservoir.resize(self._store.affordable)

    def _named(self, ids: NDArray[Any]) -> NDArray[np.bool_]:
        stored = self.buffer.id
        if stored is None:
            raise ValueError("rows have no ids: name their field (source.id), or use where")
        if ids.dtype.kind not in "iuU" and ids.size:  # a set, floats: nothing would be found
            raise TypeError(f"ids must be integers or strings, got {ids.dtype}")
        if ids.dtype.kind != "U":
            ids = ids.astype(np.int64)  # as `Batch` has them; uint64 would be compared as floats
        if (stored.dtype.kind == "U") != (ids.dtype.kind == "U"):
            stored, ids = stored.astype(str), ids.astype(str)
        nameless = "" if stored.dtype.kind == "U" else -1
        found: NDArray[np.bool_] = np.isin(stored, ids) & (stored != nameless)
        return found

    def _describe_policy(self) -> str:
        reservoir = self._reservoir
        law = type(reservoir.law).__name__ if isinstance(reservoir, KeyedReservoir) else "ranked"
        settings = dict(reservoir.law.state_dict()) if isinstance(reservoir, KeyedReservoir) else {}
        settings.pop("state", None)  # what a strategy has come to is no part of the policy
        groups = "" if self._policy.announced is None else f", {self._policy.announced} groups"
        expiry = self._expiry
        unit = "seconds" if expiry is not None and expiry.by_time else "rows"
        ttl = "" if expiry is None else f", ttl {expiry.limit} {unit}"
        return f"{type(self).__name__} by {self.by}{groups}, {law} {settings or ''}{ttl}".strip()

    def _check_mergeable(self, other: ExemplarsBuffer) -> None:
        mine, theirs = self._reservoir, other._reservoir
        ranked = isinstance(mine, RankedSlots)
        ours, others = self._describe_policy(), other._describe_policy()
        if ours != others:
            raise ValueError(f"policies must be the same, got {ours} and {others}")
        if ranked:
            raise ValueError("buffers whose rows a strategy ranks cannot be merged")
        if self._expiry is not None and not self._expiry.by_time:
            raise ValueError("buffers whose rows expire by their number cannot be merged")
        if mine.groups.lottery == theirs.groups.lottery:
            raise ValueError(
                "both buffers were built with one seed, so that what they keep is not independent: "
                "give each part of the stream a seed of its own"
            )


def _labelled(batch: Batch) -> Batch:
    y = batch.y
    if len(y) and (y.item(0) if len(y) == 1 else np.minimum.reduce(y)) < 0:
        return batch.take(y >= 0)
    return batch


def _columns_beside(policy: Policy, expiry: Expiry | None) -> Beside:
    columns = dict(SLOT_COLUMNS)
    if expiry is not None:
        columns["stamp"] = (np.float64, ())
    if isinstance(policy.selection, ExemplarsSelectionStrategy) and policy.selection.width:
        columns["notes"] = (np.float32, (policy.selection.width,))
    return columns


def _make_slots(policy: Policy, store: ColumnStore, seed: Seed) -> GroupedSlots:
    groups = BufferGroups(seed, policy.announced)
    selection = policy.selection
    if isinstance(selection, ExemplarsSelectionStrategy):
        return RankedSlots(store, groups, selection)
    if selection is None or isinstance(selection, RandomExemplarsSelectionStrategy):
        return KeyedReservoir(store, groups, seed, UniformKeys())
    if isinstance(selection, OnlineSelectionStrategy):
        return KeyedReservoir(store, groups, seed, StrategyKeys(selection))
    if isinstance(selection, KeyLaw):
        return KeyedReservoir(store, groups, seed, selection)
    raise TypeError(
        "selection_strategy must be an ExemplarsSelectionStrategy or an OnlineSelectionStrategy, "
        f"got {type(selection).__name__}"
    )
