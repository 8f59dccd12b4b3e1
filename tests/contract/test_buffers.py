"""What every buffer promises beyond what every stage does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.buffers import ExemplarsBuffer
from tests.contract.components import BUFFERS, BufferCase, rows
from tests.contract.digest import global_randomness, plain

Make = BufferCase
SIZES = (0, 1, 2, 10, 36, 100)
WHOLE = Batch.concat(rows())


def exemplars(buffer: ExemplarsBuffer) -> set[int]:
    """Return which rows are stored; each must be stored once and unchanged."""
    if not buffer.max_size:
        assert len(buffer) == 0
        return set()
    stored = buffer.buffer
    kept = stored.t.tolist()
    assert len(set(kept)) == len(kept) == len(buffer)
    assert plain(stored) == plain(WHOLE.take(stored.t))
    return set(kept)


def filled(make: Make, size: int, seed: int = 0, batch: int = 36) -> ExemplarsBuffer:
    buffer = make(size, seed)
    for start in range(0, 36, batch):
        buffer.update(WHOLE.take(slice(start, start + batch)))
    return buffer


def check_any_cut_gives_the_same_exemplars(make: Make) -> None:
    @settings(deadline=None, max_examples=25)
    @given(cuts=st.lists(st.integers(0, 36), max_size=12), size=st.sampled_from(SIZES))
    def any_cut(cuts: list[int], size: int) -> None:
        buffer = make(size, 5)
        edges = [0, *sorted(cuts), 36]  # with batches of no rows
        for start, stop in pairwise(edges):
            buffer.update(WHOLE.take(slice(start, stop)))
        assert exemplars(buffer) == exemplars(filled(make, size, 5))

    any_cut()


def check_the_stage_stores_what_update_does(make: Make) -> None:
    for size in SIZES:
        stage = make(size, 0)
        for _ in stage(rows()):
            pass
        assert exemplars(stage) == exemplars(filled(make, size))


def check_capacity_is_used_and_never_exceeded(make: Make) -> None:
    labelled = int((WHOLE.y >= 0).sum())
    for size in SIZES:
        for batch in (1, 5, 36):
            buffer = filled(make, size, batch=batch)
            assert buffer.seen == labelled
            assert len(buffer) == min(size, labelled) or not make.uses_all
            assert len(exemplars(buffer)) == len(buffer)
            assert sum(map(len, buffer.buffer_groups.values())) == len(buffer)


def check_nothing_incoming_is_in_memory(make: Make) -> None:
    offered = 0
    for rehearsal in make(10, 0)(rows()):
        assert (rehearsal.memory.stored.t < rehearsal.incoming.t[0]).all()
        assert len(rehearsal.memory.stored) == min(10, offered) or not make.uses_all
        offered += int((rehearsal.incoming.y >= 0).sum())


def check_rows_without_label_and_held_out_rows_are_not_stored(make: Make) -> None:
    buffer = make(100, 0)
    before = plain(buffer.state_dict())
    held_out = [replace(batch, held_out="test") for batch in rows()]
    assert len(list(buffer(held_out))) == len(held_out)
    buffer.update(replace(WHOLE, y=np.full(36, -1)))
    assert plain(buffer.state_dict()) == before
    buffer.update(WHOLE)
    assert (buffer.buffer.y >= 0).all()


def check_it_can_shrink_and_grow(make: Make) -> None:
    buffer = filled(make, 20)
    before = exemplars(buffer)
    buffer.resize(7)
    assert len(buffer) == 7
    assert exemplars(buffer) < before
    buffer.resize(30)
    assert len(buffer) == 7
    buffer.resize(0)
    assert (len(buffer), buffer.max_size) == (0, 0)


def check_shrinking_leaves_what_a_small_buffer_would_have(make: Make) -> None:
    for size in (4, 7):  # with fewer slots than classes, a lottery would say whose they are
        for place in (5, 12, 20, 28):
            buffer = make(10, 0)
            buffer.update(WHOLE.take(slice(0, place)))
            buffer.resize(size)
            for row in range(place, 36):
                buffer.update(WHOLE.take(slice(row, row + 1)))
            assert exemplars(buffer) == exemplars(filled(make, size)), (size, place)


def check_draws_are_stored_rows_and_its_own(make: Make) -> None:
    buffer, same, other = (filled(make, 10, seed) for seed in (0, 0, 1))
    before = global_randomness()
    drawn = buffer.sample(200)
    assert global_randomness() == before
    assert set(drawn.t.tolist()) == exemplars(buffer), "each is missed once in a billion times"
    assert plain(drawn) == plain(WHOLE.take(drawn.t))
    assert plain(same.sample(200)) == plain(drawn)
    assert plain(other.sample(200)) != plain(drawn)
    assert len(buffer.sample(0)) == 0
    resumed = make(10, 3)
    resumed.load_state_dict(buffer.state_dict())
    assert plain(resumed.sample(9)) == plain(buffer.sample(9))


def check_what_is_evicted_is_gone(make: Make) -> None:
    """Memory is bounded: nothing stored shares bytes with what came in."""
    buffer = make(5, 0)
    for batch in rows():
        buffer.update(batch)
        for name, column in buffer.buffer.columns().items():
            assert not np.shares_memory(column, getattr(batch, name)), name
    whole = filled(make, 5)
    beside = sum(column.nbytes for column in buffer._store.extra.values())
    assert beside >= 5 * (8 + 4 + 4)  # key, group, count of replays
    assert whole.nbytes == buffer.nbytes == 5 * WHOLE.take(slice(0, 1)).nbytes + beside


CHECKS = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


NEEDS = {
    "any_cut_gives_the_same_exemplars": ("any_cut",),
    "the_stage_stores_what_update_does": ("any_cut",),
    "shrinking_leaves_what_a_small_buffer_would_have": ("any_cut", "uses_all"),
}
PAIRS = [
    (check, buffer)
    for check in CHECKS
    for buffer, case in BUFFERS.items()
    if all(getattr(case, flag) for flag in NEEDS.get(check, ()))
]


@pytest.mark.parametrize(("check", "buffer"), PAIRS)
def test_buffers(check: str, buffer: str) -> None:
    CHECKS[check](BUFFERS[buffer])
