"""Every kind of buffer against the ledger: expiry, fixed shares, forgetting, half-lives, merging.

A buffer is also asked for what it promises without a look at the rules: the rows of a group from
`uniform_since` on are stored if and only if their keys are below one and the same limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, pairwise
from math import inf, nan
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamreplay.batch import Batch, GroupBy
from streamreplay.buffers import ExemplarsBuffer, Policy
from streamreplay.buffers.sampling import keyed_reservoir as reservoir_module
from streamreplay.buffers.sampling import keys as keys_module
from streamreplay.buffers.sampling.keys import DecayingKeys, KeyLaw, WindowKeys
from streamreplay.randomness import spawn_seed
from tests.buffers.ledger import Law, Ledger, decayed, latest, uniform

Offer = tuple[int, float | None]
"""The group of a row, and how much later than the row before it comes; None without a time."""


@dataclass(frozen=True)
class Kind:
    """How to build a buffer and its ledger."""

    max_size: int = 10
    by: GroupBy | None = "class"
    announced: int | None = None
    ttl: int | None = None
    law: str = "uniform"
    half_life: float = 9.0
    by_time: bool = False

    def build(self, seed: int) -> tuple[ExemplarsBuffer, Ledger]:
        laws: dict[str, tuple[KeyLaw | None, Law]] = {
            "uniform": (None, uniform),
            "latest": (WindowKeys(), latest),
            "decayed": (
                DecayingKeys(self.half_life, by_time=self.by_time),
                decayed(self.half_life),
            ),
        }
        ours, theirs = laws[self.law]
        ttl = timedelta(seconds=self.ttl) if self.ttl and self.by_time else self.ttl
        buffer = ExemplarsBuffer(
            Policy(self.by, ours, self.announced), self.max_size, seed, ttl=ttl
        )
        root = spawn_seed(spawn_seed(seed, "reservoir"), "keys")
        random = np.random.Generator(np.random.PCG64(root))
        ledger = Ledger(
            self.max_size,
            (float(random.random()) for _ in count()),
            buffer._reservoir.groups._draw_priority,
            law=theirs,
            announced=self.announced,
            ttl=self.ttl,
        )
        return buffer, ledger


class Pair:
    """A buffer and its ledger, given the same rows; they must agree at every turn."""

    def __init__(self, kind: Kind, seed: int = 0, start: int = 0) -> None:
        self.kind = kind
        self.buffer, self.ledger = kind.build(seed)
        self.t = start
        self.time = 1000.0

    def offer(self, rows: list[Offer], cuts: list[int] | None = None) -> None:
        times = []
        for _, later in rows:
            self.time += max(later or 0.0, 0.0)  # one that comes late does not turn the clock back
            times.append(nan if later is None else self.time + min(later, 0.0))
        start = self.t
        for (group, _), time in zip(rows, times, strict=True):
            self.ledger.offer(self.t, group if self.kind.by else 0, self.stamp(time))
            self.t += 1
        edges = sorted({0, len(rows), *(cut for cut in cuts or [] if cut < len(rows))})
        for a, b in pairwise(edges) if rows else [(0, 0)]:
            self.buffer.update(
                Batch.from_arrays(
                    np.arange(start + a, start + b, dtype=np.float32)[:, None],
                    [group for group, _ in rows[a:b]],
                    start=start + a,
                    id=np.arange(start + a, start + b),
                    time=times[a:b] if self.kind.by_time else None,
                )
            )
        self.compare()

    def stamp(self, time: float) -> float | None:
        return time if self.kind.by_time else None

    def forget(self, every: int) -> None:
        gone = self.ledger.forget(lambda row: row.t % every == 0)
        assert self.buffer.forget(where=lambda rows: rows.t % every == 0) == gone
        self.compare()

    def resize(self, size: int, *, refill: bool) -> None:
        self.buffer.resize(size, refill=refill)
        self.ledger.resize(size, refill=refill)
        self.compare()

    def resume(self) -> None:
        """Go on from a state, in a buffer that was built with another seed."""
        fresh, _ = self.kind.build(99)
        if fresh.max_size != self.buffer.max_size:
            fresh.resize(self.buffer.max_size)
        fresh.load_state_dict(self.buffer.state_dict())
        self.buffer = fresh
        self.compare()

    def merge(self, other: Pair) -> None:
        before = other.ledger.stored()
        self.buffer.merge(other.buffer)
        self.ledger.merge(other.ledger)
        self.ledger.expire()
        assert sorted(other.buffer.buffer.t) == before if before else not len(other.buffer)
        self.compare()

    def compare(self) -> None:
        buffer, ledger, groups = self.buffer, self.ledger, self.buffer._reservoir.groups
        stored = sorted(buffer.buffer.t.tolist()) if len(buffer) else []
        assert stored == ledger.stored()
        assert buffer.seen == ledger.seen
        assert len(buffer) <= buffer.max_size
        assert groups.ids == list(ledger.groups)
        np.testing.assert_allclose(
            groups.threshold, [group.threshold for group in ledger.groups.values()], rtol=1e-9
        )
        if len(buffer):
            np.testing.assert_array_equal(buffer.buffer.x[:, 0], buffer.buffer.t)
            np.testing.assert_array_equal(buffer.buffer.id, buffer.buffer.t.astype(str))
        self.check_the_promise()

    def check_the_promise(self) -> None:
        """From where a group says that it is a fair sample on, the smallest keys are stored."""
        groups = self.buffer._reservoir.groups
        stored = set(self.ledger.stored())
        for number, name in enumerate(groups.ids):
            if not groups.count[number]:
                continue
            assert groups.begun(number) <= self.buffer.uniform_since <= self.buffer.seen
            rows = [
                row
                for row in self.ledger.offered
                if row.group == name and row.number > groups.begun(number)
            ]
            inside = max((row.key for row in rows if row.t in stored), default=-inf)
            outside = min((row.key for row in rows if row.t not in stored), default=inf)
            assert inside <= outside


@contextmanager
def limits(few: int, block: int) -> Iterator[None]:
    """Move the points from which whole batches are taken at once, so that small tests pass them."""
    with (
        mock.patch.object(reservoir_module, "_FEW", few),
        mock.patch.object(keys_module, "_BLOCK", block),
    ):
        yield


def offers(groups: int, *, late: int = 0) -> st.SearchStrategy[list[Offer]]:
    later: st.SearchStrategy[Any] = st.just(1.0)
    if late:
        later = st.one_of(
            st.sampled_from([0.0, 0.25, 1.0, 1.0, 7.5]), st.integers(-late, 0), st.none()
        )
    return st.lists(st.tuples(st.integers(0, groups - 1), later), max_size=60)


def scripts(groups: int, *, late: int = 0, most: int = 8) -> st.SearchStrategy[list[Any]]:
    """What happens to a buffer; rows mostly."""
    rows = st.tuples(
        st.just("offer"), offers(groups, late=late), st.lists(st.integers(1, 60), max_size=6)
    )
    other = st.one_of(
        st.tuples(st.just("forget"), st.integers(1, 4)),
        st.tuples(st.just("resize"), st.integers(0, 25), st.booleans()),
        st.tuples(st.just("resume")),
    )
    return st.lists(st.one_of(rows, rows, other), max_size=most)


def play(pair: Pair, script: list[Any]) -> None:
    for action, *arguments in script:
        if action == "offer":
            pair.offer(*arguments)
        elif action == "forget":
            pair.forget(*arguments)
        elif action == "resize":
            pair.resize(arguments[0], refill=arguments[1])
        else:
            pair.resume()


few = st.sampled_from([0, 32])
bys = st.sampled_from([None, "class"])
SETTINGS = settings(max_examples=120, deadline=None)


@SETTINGS
@given(scripts(4), st.integers(0, 12), few, bys)
def test_forgetting_and_changes_of_size(
    script: list[Any], max_size: int, few: int, by: GroupBy | None
) -> None:
    with limits(few, 16):
        play(Pair(Kind(max_size, by)), script)


@SETTINGS
@given(scripts(6), st.integers(1, 12), st.integers(1, 5), few)
def test_fixed_shares_and_more_groups_than_announced(
    script: list[Any], max_size: int, announced: int, few: int
) -> None:
    with limits(few, 16):
        play(Pair(Kind(max_size, announced=announced)), script)


@SETTINGS
@given(scripts(4), st.integers(1, 12), st.integers(1, 40), few, bys)
def test_rows_expire_at_the_very_row(
    script: list[Any], max_size: int, ttl: int, few: int, by: GroupBy | None
) -> None:
    with limits(few, 16):
        play(Pair(Kind(max_size, by, ttl=ttl)), script)


@SETTINGS
@given(scripts(4, late=12), st.integers(1, 12), st.integers(1, 30), few, bys)
def test_rows_expire_in_event_time(
    script: list[Any], max_size: int, ttl: int, few: int, by: GroupBy | None
) -> None:
    """With rows that come late, too late, and without a time."""
    with limits(few, 16):
        play(Pair(Kind(max_size, by, ttl=ttl, by_time=True)), script)


@SETTINGS
@given(scripts(3), st.integers(0, 12), few, bys, st.sampled_from([None, 25]))
def test_window(
    script: list[Any], max_size: int, few: int, by: GroupBy | None, ttl: int | None
) -> None:
    with limits(few, 16):
        play(Pair(Kind(max_size, by, law="latest", ttl=ttl)), script)


@SETTINGS
@given(
    scripts(3, late=12), st.integers(0, 12), few, bys, st.sampled_from([None, 25]), st.booleans()
)
@example([("offer", [(0, None)] * 3, [1])], 5, 0, None, None, True)
@example([("offer", [(0, None)] * 3 + [(0, 1.0)] * 9, [])], 5, 0, "class", None, True)
def test_half_life(
    script: list[Any],
    max_size: int,
    few: int,
    by: GroupBy | None,
    ttl: int | None,
    by_time: bool,
) -> None:
    with limits(few, 16):
        play(Pair(Kind(max_size, by, law="decayed", ttl=ttl, by_time=by_time)), script)


@SETTINGS
@given(
    one=scripts(4, most=4),
    other=scripts(6, most=4),
    rest=scripts(6, most=3),
    sizes=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    by=bys,
    announced=st.sampled_from([None, None, 3]),
    law=st.sampled_from(["uniform", "decayed"]),
)
@example(
    one=[("offer", [(0, 1.0)] * 3, [])],
    other=[("offer", [(0, 1.0)] * 60, [])],
    rest=[("offer", [(0, 1.0)] * 60, [])],
    sizes=(10, 10),
    by=None,
    announced=None,
    law="uniform",
)
def test_merging(
    one: list[Any],
    other: list[Any],
    rest: list[Any],
    sizes: tuple[int, int],
    by: GroupBy | None,
    announced: int | None,
    law: str,
) -> None:
    with limits(2, 16):
        parts = []
        for place, (size, script) in enumerate(zip(sizes, (one, other), strict=True)):
            pair = Pair(
                Kind(size, by, announced if by else None, law=law), place, start=10_000 * place
            )
            play(pair, script)
            parts.append(pair)
        parts[0].merge(parts[1])
        parts[0].t = 20_000
        play(parts[0], rest)


def test_merged_windows_end_at_the_same_row() -> None:
    one, other = Pair(Kind(6, None, law="latest")), Pair(Kind(6, None, law="latest"), 1, 10_000)
    one.offer([(0, 1.0)] * 50)
    other.offer([(0, 1.0)] * 20)
    one.buffer.merge(other.buffer)
    assert sorted(one.buffer.buffer.t.tolist()) == [47, 48, 49, 10_017, 10_018, 10_019]


@pytest.mark.parametrize("sizes", [(3, 60), (60, 3)])
def test_a_short_part_does_not_make_the_join_of_two_unfair(sizes: tuple[int, int]) -> None:
    """Rows of the short one are no fair sample any more; what is stored still is one of all."""
    one, other = (Pair(Kind(5, None), seed, 1000 * seed) for seed in (0, 1))
    for pair, size in zip((one, other), sizes, strict=True):
        pair.offer([(0, 1.0)] * size)
    one.merge(other)
    assert one.buffer.uniform_since == 0
    one.t = 2000
    one.offer([(0, 1.0)] * 100)
    assert one.buffer.uniform_since == 0
    assert one.buffer.seen == 163
