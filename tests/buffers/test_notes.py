"""What was noted on a row comes back with that row, from every buffer, however it got there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from tempfile import gettempdir

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
)
from streamreplay.errors import ConfigError
from tests.contract.components import BUFFERS
from tests.contract.digest import plain

ROWS = 36
Noted = dict[int, list[float]]

MORE: dict[str, Callable[[int, int], ExemplarsBuffer]] = {
    "max_bytes": lambda size, seed: ReservoirSamplingBuffer(seed=seed, max_bytes=120 * size),
    "class-balanced(max_bytes)": lambda size, seed: ClassBalancedBuffer(
        seed=seed, max_bytes=120 * size
    ),
    "window(ttl)": lambda size, _: SlidingWindowBuffer(size, ttl=10),
    "window(mapped)": lambda size, _: SlidingWindowBuffer(size, storage=gettempdir()),
    "decayed(seconds)": lambda size, seed: DecayedReservoirBuffer(
        size, timedelta(seconds=9), seed, ttl=timedelta(seconds=14)
    ),
}
KINDS: dict[str, Callable[[int, int], ExemplarsBuffer]] = {**BUFFERS, **MORE}


def row_notes(t: int) -> list[float]:
    """Say of each row something that no other row has, wider as the stream goes on."""
    width = 1 + t // 9
    return [1000.0 * t + i for i in range(width)]


def stream(edges: list[int]) -> Iterator[Batch]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, ROWS)
    y[rng.random(ROWS) < 0.2] = -1
    whole = Batch.from_arrays(
        rng.standard_normal((ROWS, 3)), y, task=np.arange(ROWS) // 12 % 2,
        experience=np.arange(ROWS) // 12, id=np.arange(ROWS), time=np.arange(ROWS) * 1.0,
    )  # fmt: skip
    for start, stop in pairwise(edges):
        yield whole.take(slice(start, stop))


def silent(start: int) -> bool:
    """Some batches have no notes at all."""
    return start % 5 == 3


def note(batch: Batch, noted: Noted) -> NDArray[np.float32]:
    """Make the notes of a batch, as wide as its last row's, NaN where a row has fewer."""
    width = max(len(row_notes(int(t))) for t in batch.t)
    values = np.full((len(batch), width), np.nan, np.float32)
    for i, t in enumerate(batch.t.tolist()):
        values[i, : len(row_notes(t))] = row_notes(t)
        noted[t] = row_notes(t)
    return values


def check(stored: Batch, noted: Noted, *, some: bool = True) -> None:
    """Compare each row's notes with what was said of it."""
    if stored.notes is None:
        assert not some or not any(t in noted for t in stored.t.tolist())
        return
    (values,) = stored.notes.values()
    for t, found in zip(stored.t.tolist(), values, strict=True):
        want = np.full(len(found), np.nan, np.float32)
        said = noted.get(t, [])
        want[: len(said)] = said
        np.testing.assert_array_equal(found, want, err_msg=f"row {t}")


def run(buffer: ExemplarsBuffer, edges: list[int], noted: Noted) -> None:
    for rehearsal in buffer(stream(edges)):
        check(rehearsal.memory.stored, noted)
        incoming = rehearsal.incoming
        if len(incoming) and not silent(int(incoming.t[0])):
            rehearsal.memory.note("logits", note(incoming, noted))


@pytest.mark.parametrize("name", KINDS)
def test_notes_stay_with_their_rows_in_any_cut(name: str) -> None:
    @settings(deadline=None, max_examples=12)
    @given(cuts=st.lists(st.integers(0, ROWS), max_size=9), size=st.sampled_from([0, 1, 7, 50]))
    def any_cut(cuts: list[int], size: int) -> None:
        if "max_bytes" in name:
            size = max(size, 1)
        buffer, noted = KINDS[name](size, 3), Noted()
        run(buffer, [0, *sorted(cuts), ROWS], noted)
        check(buffer.buffer, noted)
        for group in buffer.buffer_groups.values():
            check(group, noted)
        if len(buffer):
            check(buffer.sample(5), noted)

    any_cut()


EDGES = [0, 2, 3, 9, 14, 20, 27, 28, 36]
BETWEEN: dict[str, Callable[[ExemplarsBuffer], object]] = {
    "grow": lambda buffer: buffer.resize(buffer.max_size + 4),
    "grow(refill)": lambda buffer: buffer.resize(buffer.max_size + 4, refill=True),
    "shrink": lambda buffer: buffer.resize(max(1, buffer.max_size - 3)),
    "forget": lambda buffer: buffer.forget(where=lambda rows: rows.t % 3 == 1),
    "all": lambda buffer: buffer.forget(where=lambda rows: rows.t >= 0),
}


@pytest.mark.parametrize("change", BETWEEN)
@pytest.mark.parametrize("name", KINDS)
def test_notes_stay_with_their_rows_when_others_go(name: str, change: str) -> None:
    for at in (14, 27):
        buffer, noted = KINDS[name](8, 3), Noted()
        run(buffer, [edge for edge in EDGES if edge <= at], noted)
        BETWEEN[change](buffer)
        check(buffer.buffer, noted)
        for rehearsal in buffer(b for b in stream(EDGES) if b.t[0] >= at):
            check(rehearsal.memory.stored, noted)
            if not silent(int(rehearsal.incoming.t[0])):
                rehearsal.memory.note("logits", note(rehearsal.incoming, noted))
        check(buffer.buffer, noted)


@pytest.mark.parametrize("name", KINDS)
def test_a_buffer_brought_back_has_them_and_goes_on(name: str) -> None:
    whole, noted = KINDS[name](7, 3), Noted()
    run(whole, EDGES, noted)
    for cut in range(1, len(EDGES) - 1):
        first, fresh = KINDS[name](7, 3), KINDS[name](7, 4)
        run(first, EDGES[: cut + 1], Noted())
        fresh.load_state_dict(first.state_dict())
        assert plain(fresh.buffer) == plain(first.buffer)
        for rehearsal in fresh(b for b in stream(EDGES) if b.t[0] >= EDGES[cut]):
            if not silent(int(rehearsal.incoming.t[0])):
                rehearsal.memory.note("logits", note(rehearsal.incoming, {}))
        assert plain(fresh.state_dict()["rows"]) == plain(whole.state_dict()["rows"])


@pytest.mark.parametrize("notes_of", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("make", [ReservoirSamplingBuffer, ClassBalancedBuffer])
def test_merging_takes_them_along(
    make: Callable[[int, int], ExemplarsBuffer], notes_of: tuple[bool, bool]
) -> None:
    """Also where only one of the two has any, or the other's are wider."""
    for narrow_first in (True, False):
        noted, parts = Noted(), []
        halves = ([0, 5, 11, 18], [18, 22, 30, 36])
        for seed, edges in enumerate(halves if narrow_first else halves[::-1]):
            buffer = make(12, seed)
            for rehearsal in buffer(stream(edges)):
                if notes_of[seed]:
                    rehearsal.memory.note("logits", note(rehearsal.incoming, noted))
            parts.append(buffer)
        mine, other = parts
        before = plain(other.buffer)
        mine.merge(other)
        check(mine.buffer, noted)
        assert plain(other.buffer) == before
        assert {int(t) // 18 for t in mine.buffer.t} == {0, 1}


def test_a_window_that_lost_rows_fills_up_with_the_right_notes() -> None:
    """Rows then lie in no order, and the batch is stored in two parts."""
    noted, buffer = Noted(), SlidingWindowBuffer(9)
    run(buffer, [0, 7, 14], noted)
    buffer.forget(where=lambda rows: rows.t % 4 == 2)
    room = 9 - len(buffer)
    rehearsal = next(buffer(b for b in stream([0, 14, 24]) if b.t[0] == 14))
    rehearsal.memory.note("logits", note(rehearsal.incoming, noted))
    buffer.state_dict()
    assert (rehearsal.incoming.y >= 0).sum() > room > 0
    check(buffer.buffer, noted)


def test_a_budget_of_bytes_counts_them() -> None:
    """They grow from 10 to 40 numbers a row, of which fewer and fewer fit."""
    buffer, sizes = ReservoirSamplingBuffer(max_bytes=2_000), list[int]()
    for width, rehearsal in enumerate(buffer(stream([0, 9, 18, 27, 36]))):
        sizes.append(buffer.max_size)
        assert buffer.nbytes <= 2_000
        rehearsal.memory.note(
            "logits", np.zeros((len(rehearsal.incoming), 10 * width + 10), np.float32)
        )
    sizes.append(buffer.max_size)
    assert sizes[0] == 0
    assert sizes[1] > sizes[2] > sizes[3] > sizes[4] > 5
    assert len(buffer) == sizes[4]
    assert 1_700 < buffer.nbytes <= 2_000


def test_several_notes_have_columns_of_their_own() -> None:
    buffer = ReservoirSamplingBuffer(50)
    for i, rehearsal in enumerate(buffer(stream([0, 4, 8, 12]))):
        n = len(rehearsal.incoming)
        if i != 1:
            rehearsal.memory.note("a", np.full((n, 2, 2), i, np.float32))
        if i:
            rehearsal.memory.note("b", np.full(n, i + 0.5, np.float32))
    stored = buffer.buffer
    assert stored.notes is not None
    a, b = stored.notes["a"], stored.notes["b"]
    assert (a.shape[1:], b.ndim) == ((2, 2), 1)
    part = stored.t // 4
    np.testing.assert_array_equal(a[:, 1, 0], np.where(part == 1, np.nan, part))
    np.testing.assert_array_equal(b, np.where(part == 0, np.nan, part + 0.5))


def test_mistakes() -> None:
    buffer = ReservoirSamplingBuffer(50)
    running = buffer(stream([0, 4, 8, 12]))
    first = next(running)
    first.memory.note("a", np.zeros((4, 2), np.float32))
    with pytest.raises(ConfigError, match="note 'a' is on these rows already: two learners"):
        first.memory.note("a", np.zeros((4, 2), np.float32))
    with pytest.raises(ValueError, match="note 'b' must have 4 rows, got 3"):
        first.memory.note("b", np.zeros((3, 2), np.float32))
    buffer.state_dict()
    with pytest.raises(ValueError, match="note 'b': rows that were taken in already"):
        first.memory.note("b", np.zeros((4, 2), np.float32))
    second = next(running)
    with pytest.raises(ValueError, match="note 'b': rows that were taken in already"):
        first.memory.note("b", np.zeros((4, 2), np.float32))
    second.memory.note("a", np.zeros((4, 2, 2), np.float32))
    with pytest.raises(
        ConfigError, match=r"note 'a': stored ones are float32\[0, 2\], got float32"
    ):
        next(running)


def test_held_out_rows_are_not_noted_on() -> None:
    test = replace(next(stream([0, 4])), held_out="test")
    with pytest.raises(ValueError, match="taken in already"):
        next(ReservoirSamplingBuffer(9)([test])).memory.note("a", np.zeros((4, 1), np.float32))


def test_where_nothing_is_noted_nothing_is_kept() -> None:
    buffer = ReservoirSamplingBuffer(9)
    list(buffer(stream([0, 8, 16])))
    assert buffer.buffer.notes is None
    assert not [name for name in buffer.state_dict()["rows"]["beside"] if "note" in name]
