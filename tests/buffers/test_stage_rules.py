"""A buffer as a stage: what it offers, when it takes rows in, and how it is resumed."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.batch import Batch, GroupBy
from streamreplay.buffers import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
)
from streamreplay.errors import CheckpointError
from streamreplay.state import Stateful

KINDS = [ReservoirSamplingBuffer, ClassBalancedBuffer]
each_kind = pytest.mark.parametrize("kind", KINDS)


def stream(cuts: list[int], labels: int = 3, held_out: frozenset[int] = frozenset()) -> list[Batch]:
    batches, start = [], 0
    for place, n in enumerate(cuts):
        t = np.arange(start, start + n)
        x = t[:, None].astype(np.float32)
        batch = Batch.from_arrays(x, t * 7 % (labels + 1) - 1, start=start, id=t.astype(str))
        batches.append(replace(batch, held_out="test" if place in held_out else None))
        start += n
    return batches


def same(a: object, b: object) -> bool:
    """Compare two states, arrays and all."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


def offered(buffer: ExemplarsBuffer, batches: list[Batch]) -> Iterator[list[int]]:
    for rehearsal in buffer(batches):
        yield rehearsal.memory.stored.t.tolist()


@each_kind
def test_is_stateful(kind: Any) -> None:
    assert isinstance(kind(3), Stateful)


@each_kind
def test_a_row_is_not_rehearsed_in_the_step_it_arrives(kind: Any) -> None:
    seen = 0
    buffer = kind(1000)
    for rehearsal in buffer(stream([1, 5, 64, 3, 40, 1, 1])):
        assert rehearsal.memory.stored.t.max(initial=-1) < rehearsal.incoming.t.min()
        assert len(rehearsal.memory.stored) == seen
        seen += int((rehearsal.incoming.y >= 0).sum())
        assert rehearsal.rows.shape == rehearsal.group.shape == (1, 0)
    assert len(buffer) == seen  # the last batch too


@each_kind
def test_held_out_batches_pass_through(kind: Any) -> None:
    batches = stream([5, 5, 5, 5], held_out=frozenset({1, 2}))
    buffer = kind(1000)
    rehearsals = list(buffer(batches))
    assert [r.incoming for r in rehearsals] == batches
    learned = np.concatenate([batches[0].t, batches[3].t])
    labelled = np.concatenate([batches[0].y, batches[3].y]) >= 0
    assert sorted(buffer.buffer.t) == learned[labelled].tolist()
    # rows that came before are there to be looked at, also beside held-out ones
    assert len(rehearsals[1].memory.stored) > 0


@each_kind
def test_memory_is_a_view_and_empty_memory_has_the_shape(kind: Any) -> None:
    buffer = kind(9)
    steps = buffer(stream([4, 30, 4]))
    first = next(steps)
    assert first.memory.stored.x.shape == (0, 1)
    for by in ("class", "task", "experience"):
        assert len(first.memory.groups(by)) == 0
    second = next(steps)
    assert np.shares_memory(second.memory.stored.x, buffer.buffer.x)
    index = second.memory.groups("class")
    for place, label in enumerate(index.ids):
        assert (second.memory.stored.y[index.rows(place)] == label).all()
    assert index.counts.sum() == len(second.memory.stored)


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.sampled_from([0, 1, 3, 10, 40, 100]), max_size=12),
    max_size=st.sampled_from([0, 1, 2, 10, 60]),
    by=st.sampled_from([None, "class", "task"]),
    at=st.integers(0, 12),
    resize=st.sampled_from([None, 5, 80]),
)
def test_a_state_at_any_cut_gives_the_same_rest(
    cuts: list[int], max_size: int, by: GroupBy | None, at: int, resize: int | None
) -> None:
    batches = stream(cuts)
    whole = ParametricBuffer(max_size, by, seed=3)
    first = list(offered(whole, batches[:at]))
    assert len(first) == len(batches[:at])
    state = copy.deepcopy(whole.state_dict())
    # resumed once, asked again at once, and resumed from that
    resumed = ParametricBuffer(max_size, by, seed=99)
    resumed.load_state_dict(state)
    assert same(resumed.state_dict(), state)
    again = ParametricBuffer(max_size, by, seed=98)
    again.load_state_dict(copy.deepcopy(resumed.state_dict()))
    rests = []
    for buffer in (whole, resumed, again):
        if resize is not None:
            buffer.resize(resize)
        rests.append(list(offered(buffer, batches[at:])))
    assert rests[0] == rests[1] == rests[2]
    assert same(whole.state_dict(), again.state_dict())
    if len(whole):
        assert whole.sample(5).t.tolist() == again.sample(5).t.tolist()


@each_kind
def test_asking_for_the_state_changes_nothing(kind: Any) -> None:
    asked, left_alone = kind(10), kind(10)
    batches = stream([3, 40, 1, 1, 33, 7, 7])
    pairs = zip(asked(batches), left_alone(batches), strict=True)
    for place, (one, other) in enumerate(pairs):
        assert one.memory.stored.t.tolist() == other.memory.stored.t.tolist()
        state = copy.deepcopy(asked.state_dict())
        assert same(asked.state_dict(), state)
        if place == 1:  # the pending batch comes before a change of size, asked or not
            asked.resize(30)
            left_alone.resize(30)
        if place == 4:
            asked.update(stream([20])[0])
            left_alone.update(stream([20])[0])
    assert same(asked.state_dict(), left_alone.state_dict())


@each_kind
def test_a_stage_dropped_after_a_yield_goes_on_in_a_new_one(kind: Any) -> None:
    batches = stream([3, 40, 1, 33, 7])
    whole = kind(10)
    expected = [r.memory.stored.t.tolist() for r in whole(batches)]
    dropped = kind(10)
    found = [next(iter(dropped([batch]))).memory.stored.t.tolist() for batch in batches]
    assert found == expected
    assert same(dropped.state_dict(), whole.state_dict())


@each_kind
def test_loading_drops_a_batch_that_was_pending(kind: Any) -> None:
    empty, used = kind(10).state_dict(), kind(10)
    next(used(stream([40])))
    used.load_state_dict(empty)
    assert same(used.state_dict(), empty)
    assert len(used) == used.seen == 0


@each_kind
def test_a_state_of_another_capacity_is_refused(kind: Any) -> None:
    buffer = kind(10)
    list(buffer(stream([40])))
    with pytest.raises(CheckpointError, match=r"^max_size: saved 10, this pipeline has 12$"):
        kind(12).load_state_dict(buffer.state_dict())


def test_a_state_of_another_policy_is_refused() -> None:
    state = ClassBalancedBuffer(10).state_dict()
    with pytest.raises(CheckpointError, match=r"^by: saved class, this pipeline has None$"):
        ReservoirSamplingBuffer(10).load_state_dict(state)


@each_kind
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("rows", "columns", "x"), np.zeros((3, 1)), "rows: columns differ in length"),
        (("rows", "beside", "key"), np.zeros(3), "rows: columns differ in length"),
        (("rows", "beside", "group"), np.zeros(10, np.int64), r"group: saved int64\[10\], this"),
        (("rows", "beside"), {"key": np.zeros(10)}, r"beside: saved \['key'\], this pipeline has"),
        (("reservoir", "groups", "level"), np.zeros(1), "groups: saved groups of 0 rows in all"),
        (("reservoir",), {}, "seen: is not in the state"),
        (("sample",), {"bit_generator": "MT19937"}, "sample: not the state of a PCG64"),
        (("reservoir", "keys", "before"), {}, "before: not the state of a PCG64"),
    ],
)
def test_a_state_that_does_not_fit_together_is_refused(
    kind: Any, path: tuple[str, ...], value: Any, message: str
) -> None:
    buffer = kind(10)
    list(buffer(stream([60])))
    state = copy.deepcopy(buffer.state_dict())
    part = state
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    with pytest.raises(CheckpointError, match=f"^{message}"):
        kind(10).load_state_dict(state)


@each_kind
def test_a_state_of_rows_of_another_shape_is_refused_once_rows_were_seen(kind: Any) -> None:
    buffer, other = kind(10), kind(10)
    list(buffer(stream([60])))
    other.update(Batch.from_arrays(np.zeros((3, 2)), [0, 0, 0]))
    message = r"^x: saved float32\[10, 1\], this pipeline has float32\[10, 2\]$"
    with pytest.raises(CheckpointError, match=message):
        other.load_state_dict(buffer.state_dict())
