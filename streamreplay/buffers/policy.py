"""The policy of a buffer, and the slots of rows that carry it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from streamreplay.batch import GROUP_COLUMNS, GroupBy
from streamreplay.buffers.sampling.expiry import Expiry
from streamreplay.buffers.sampling.grouped_slots import SLOT_COLUMNS, GroupedSlots
from streamreplay.buffers.sampling.groups import BufferGroups
from streamreplay.buffers.sampling.keyed_reservoir import KeyedReservoir
from streamreplay.buffers.sampling.keys import KeyLaw, StrategyKeys, UniformKeys
from streamreplay.buffers.sampling.ranked_slots import RankedSlots
from streamreplay.buffers.selection.base import (
    ExemplarsSelectionStrategy,
    OnlineSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.buffers.storage.columns import Extra
from streamreplay.randomness import Seed
from streamreplay.state import save_state

Selection: TypeAlias = ExemplarsSelectionStrategy | OnlineSelectionStrategy
"""A strategy that chooses among the rows of a group."""


@dataclass(frozen=True)
class Policy:
    """The rule by which a buffer keeps rows.

    Attributes
    ----------
    by : {"class", "task", "experience"} or None
        What the capacity is shared out by.
    selection : KeyLaw, ExemplarsSelectionStrategy, OnlineSelectionStrategy or None
        What chooses among the rows of a group; None for a uniform sample.
    announced : int, optional
        How many groups will come: each gets an equal share from the beginning.

    Raises
    ------
    ValueError
        ``by`` is not one of the choices, or ``announced`` is below 1.
    """

    by: GroupBy | None = None
    selection: KeyLaw | Selection | None = None
    announced: int | None = None

    def __post_init__(self) -> None:
        if self.by is not None and self.by not in GROUP_COLUMNS:
            choices = ", ".join(GROUP_COLUMNS)
            raise ValueError(f"groupby must be one of {choices} or None, got {self.by!r}")
        if self.announced is not None and self.announced < 1:
            raise ValueError(f"the number of groups must be at least 1, got {self.announced}")


def check_capacity(max_size: int | None, max_bytes: int | None) -> None:
    """Raise ValueError unless a capacity is given in rows or in bytes, and is not too small."""
    if (max_size is None) == (max_bytes is None):
        raise ValueError(
            f"exactly one of max_size and max_bytes must be given, got {max_size} and {max_bytes}"
        )
    for name, least, value in (("max_size", 0, max_size), ("max_bytes", 1, max_bytes)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def announced_groups(name: str, number: int | None, *, adaptive: bool) -> int | None:
    """Check the number of groups that a buffer is told to expect, and return it.

    Raises
    ------
    ValueError
        A number is given with ``adaptive``, or none without it, or it is below 1.
    """
    if adaptive and number is not None:
        raise ValueError(f"{name} goes with adaptive_size=False")
    if not adaptive and number is None:
        raise ValueError(f"adaptive_size=False needs {name}")
    if number is not None and number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number


def make_slots(policy: Policy, store: ColumnStore, seed: Seed) -> GroupedSlots:
    """Return the slots in which a policy keeps rows.

    Raises
    ------
    TypeError
        The policy's ``selection`` is none of the types it may have.
    """
    column = None if policy.by is None else GROUP_COLUMNS[policy.by]
    groups = BufferGroups(store, seed, column, policy.announced)
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


def extra_columns(policy: Policy, expiry: Expiry | None) -> Extra:
    """Return the columns that a policy keeps in addition to those of the stream."""
    columns = dict(SLOT_COLUMNS)
    if expiry is not None:
        columns["stamp"] = (np.float64, ())
    if isinstance(policy.selection, ExemplarsSelectionStrategy) and policy.selection.width:
        columns["notes"] = (np.float32, (policy.selection.width,))
    return columns


def describe_policy(name: str, policy: Policy, slots: GroupedSlots, expiry: Expiry | None) -> str:
    """Return in words all that two buffers must have in common to be merged."""
    law, settings = "ranked", dict[str, object]()
    if isinstance(slots, KeyedReservoir):
        law, settings = type(slots.law).__name__, dict(save_state(slots.law))
    settings.pop("state", None)  # what a strategy has come to is no part of the policy
    groups = "" if policy.announced is None else f", {policy.announced} groups"
    unit = "seconds" if expiry is not None and expiry.by_time else "rows"
    ttl = "" if expiry is None else f", ttl {expiry.limit} {unit}"
    return f"{name} by {policy.by}{groups}, {law} {settings or ''}{ttl}".strip()


def check_mergeable(
    pair: tuple[GroupedSlots, GroupedSlots], policies: tuple[str, str], expiry: Expiry | None
) -> None:
    """Raise ValueError if the rows of two buffers, of policies so described, cannot be merged."""
    mine, other = pair
    if policies[0] != policies[1]:
        raise ValueError(f"policies must be the same, got {policies[0]} and {policies[1]}")
    ranked = isinstance(mine, RankedSlots)
    if ranked:
        raise ValueError(f"buffers whose rows a strategy ranks cannot be merged, got {policies[0]}")
    if expiry is not None and not expiry.by_time:
        raise ValueError(
            f"buffers whose rows expire by their number cannot be merged, got {policies[0]}"
        )
    if mine.groups.lottery == other.groups.lottery:
        raise ValueError(
            "both buffers were built with one seed, so that what they keep is not independent: "
            "give each part of the stream a seed of its own"
        )
