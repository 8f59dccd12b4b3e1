"""The public face of buffers, used without a pipeline."""

import random
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from streamreplay.batch import Batch
from streamreplay.buffers import ClassBalancedBuffer, ExemplarsBuffer, ReservoirSamplingBuffer
from streamreplay.labels import Labels

ROW = 4 + 4 * 8 + 8 + 4 + 4  # bytes: x, four columns of integers, key, group, count of replays
KINDS = [ReservoirSamplingBuffer, ClassBalancedBuffer]
each_kind = pytest.mark.parametrize("kind", KINDS)


def rows(n: int, start: int = 0, classes: int = 3) -> Batch:
    t = np.arange(start, start + n)
    return Batch.from_arrays(t[:, None].astype(np.float32), t % classes, start=start)


def filled(kind: Any, max_size: int = 20, n: int = 200) -> ExemplarsBuffer:
    buffer: ExemplarsBuffer = kind(max_size, seed=0)
    buffer.update(rows(n))
    return buffer


@each_kind
def test_keeps_the_first_rows_and_then_its_size(kind: Any) -> None:
    buffer = kind(20)
    for start in range(0, 60, 6):
        buffer.update(rows(6, start))
        assert len(buffer) == len(buffer.buffer) == min(20, start + 6)
        assert buffer.seen == start + 6
        if start + 6 <= 20:
            assert sorted(buffer.buffer.t) == list(range(start + 6))


@each_kind
def test_no_slots(kind: Any) -> None:
    buffer = kind(0)
    for start in range(0, 200, 50):
        buffer.update(rows(50, start))
        buffer.update(rows(1, start))
    assert (len(buffer), buffer.seen, buffer.nbytes, buffer.buffer_groups) == (0, 204, 0, {})
    assert buffer.buffer.x.shape == (0, 1)
    assert [len(r.memory.stored) for r in buffer([rows(3), rows(40)])] == [0, 0]


@each_kind
def test_a_negative_size_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^max_size must be at least 0, got -1$"):
        kind(-1)
    buffer = filled(kind)
    before = buffer.buffer.t.tolist()
    with pytest.raises(ValueError, match=r"^new_size must be at least 0, got -2$"):
        buffer.resize(-2)
    assert (buffer.max_size, buffer.buffer.t.tolist()) == (20, before)


@each_kind
def test_resizing_keeps_what_fits(kind: Any) -> None:
    buffer = filled(kind)
    before = set(buffer.buffer.t.tolist())
    buffer.resize(8)
    assert (buffer.max_size, len(buffer)) == (8, 8)
    kept = set(buffer.buffer.t.tolist())
    assert kept < before
    buffer.resize(30)
    assert set(buffer.buffer.t.tolist()) == kept
    assert buffer.nbytes == 30 * ROW
    buffer.resize(0)
    assert len(buffer) == 0


@each_kind
def test_resizing_before_the_first_row(kind: Any) -> None:
    buffer = kind(3)
    buffer.resize(9)
    buffer.update(rows(50))
    assert len(buffer) == 9


@each_kind
def test_the_buffer_is_a_view(kind: Any) -> None:
    buffer = filled(kind)
    for name, column in buffer.buffer.columns().items():
        assert np.shares_memory(column, buffer._store._columns[name])
        assert len(column) == 20
    before = buffer.buffer
    for start in range(200, 400, 20):
        buffer.update(rows(20, start))
    np.testing.assert_array_equal(before.t, buffer.buffer.t)
    assert buffer.buffer.t.max() >= 200


@each_kind
def test_nothing_to_show_before_the_first_row(kind: Any) -> None:
    buffer = kind(5)
    with pytest.raises(ValueError, match="has not seen a row yet"):
        _ = buffer.buffer
    assert (len(buffer), buffer.seen, buffer.nbytes, buffer.buffer_groups) == (0, 0, 0, {})


def test_groups() -> None:
    groups = filled(ClassBalancedBuffer, max_size=9).buffer_groups
    assert {label: set(group.y.tolist()) for label, group in groups.items()} == {
        0: {0},
        1: {1},
        2: {2},
    }
    assert [len(group) for group in groups.values()] == [3, 3, 3]
    buffer = filled(ReservoirSamplingBuffer)
    assert list(buffer.buffer_groups) == [0]
    np.testing.assert_array_equal(buffer.buffer_groups[0].t, buffer.buffer.t)
    assert not np.shares_memory(buffer.buffer_groups[0].t, buffer.buffer.t)


@each_kind
def test_sample_draws_stored_rows_uniformly(kind: Any) -> None:
    """9,000 draws of 9 rows: with chi2(8) above 31.8 once in 10,000 seeds."""
    buffer = filled(kind, max_size=9)
    drawn = buffer.sample(9000)
    found = np.array([(drawn.t == t).sum() for t in buffer.buffer.t])
    assert found.sum() == 9000
    assert ((found - 1000) ** 2 / 1000).sum() < 31.8
    assert len(buffer.sample(0)) == 0
    assert not np.shares_memory(buffer.sample(3).x, buffer.buffer.x)


@each_kind
def test_sample_refuses_what_it_cannot_draw(kind: Any) -> None:
    with pytest.raises(ValueError, match="cannot draw 1 rows from a buffer of 0"):
        kind(5).sample(1)
    with pytest.raises(ValueError, match="cannot draw -1 rows from a buffer of 20"):
        filled(kind).sample(-1)


@each_kind
def test_sampling_does_not_change_what_is_kept(kind: Any) -> None:
    one, other = filled(kind), filled(kind)
    one.sample(100)
    one.update(rows(100, 200))
    other.update(rows(100, 200))
    assert one.buffer.t.tolist() == other.buffer.t.tolist()


def test_describe() -> None:
    buffer = filled(ClassBalancedBuffer, max_size=9)
    for _ in range(3):
        buffer.sample(4, by="class")
    said = buffer.describe()
    assert said["rows"] == said["max_size"] == 9
    assert said["seen"] == 200
    assert said["nbytes"] == buffer.nbytes == 9 * ROW
    assert {label: part["rows"] for label, part in said["by_class"].items()} == {0: 3, 1: 3, 2: 3}
    assert list(said["by_task"]) == list(said["by_experience"]) == [0]
    t = buffer.buffer.t
    assert said["age"]["oldest"] == t.max() - t.min()
    assert (said["age"]["newest"], sum(said["age"]["counts"])) == (0, 9)
    assert said["replayed"]["total"] == 12
    assert sum(part["replayed"] for part in said["by_class"].values()) == 12
    assert sum(said["replayed"]["counts"]) == 9
    assert said["uniform_since"] == 0
    assert 9 / 200 <= said["acceptance"] <= 1
    assert filled(ClassBalancedBuffer, n=20).describe()["acceptance"] == 1
    assert filled(ReservoirSamplingBuffer, n=20).describe()["acceptance"] == 1
    empty = ReservoirSamplingBuffer(5).describe()
    assert (empty["rows"], empty["max_size"], empty["seen"], empty["nbytes"]) == (0, 5, 0, 0)
    assert empty["acceptance"] is empty["age"] is empty["replayed"] is None
    assert empty["by_class"] == {}


@each_kind
def test_seeds(kind: Any) -> None:
    stored = []
    for seed in (0, 0, 1, np.random.SeedSequence(0), np.random.SeedSequence(5, spawn_key=(1,))):
        buffer = kind(20, seed=seed)
        buffer.update(rows(200))
        stored.append(sorted(buffer.buffer.t.tolist()))
    assert stored[0] == stored[1] == stored[3]
    assert stored[0] != stored[2] != stored[4] != stored[0]


@each_kind
def test_unlabelled_and_held_out_rows_are_never_stored(kind: Any) -> None:
    buffer = kind(20)
    x = np.arange(200, dtype=np.float32)[:, None]
    labels = np.where(np.arange(200) % 3, -1, 1)
    for a in range(0, 200, 40):
        buffer.update(Batch.from_arrays(x[a : a + 40], labels[a : a + 40], start=a))
    assert buffer.seen == (labels == 1).sum()
    assert (buffer.buffer.t % 3 == 0).all()
    whole = rows(50)
    held_out = replace(whole, held_out="test")
    buffer.update(held_out)
    buffer.update(Batch.from_arrays(x[:5]))
    assert buffer.seen == (labels == 1).sum()


@each_kind
def test_inputs_are_not_written_to_nor_kept(kind: Any) -> None:
    buffer = kind(20)
    for start in range(0, 200, 20):
        batch = rows(20, start)
        before = {name: column.copy() for name, column in batch.columns().items()}
        for column in batch.columns().values():
            column.flags.writeable = False
        buffer.update(batch)
        buffer.resize(20 + start % 7)
        for name, column in batch.columns().items():
            np.testing.assert_array_equal(column, before[name])
            assert not np.shares_memory(column, getattr(buffer.buffer, name))


@each_kind
def test_no_global_generator_is_moved(kind: Any) -> None:
    def states() -> list[bytes]:
        numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002 - this is what must not move
        return [
            repr(random.getstate()).encode(),
            repr(numpy_state).encode(),
            bytes(torch.get_rng_state().tolist()),
        ]

    before = states()
    buffer = filled(kind)
    buffer.sample(5)
    buffer.resize(5)
    buffer.load_state_dict(buffer.state_dict())
    assert states() == before


@each_kind
@pytest.mark.parametrize("chunk", [1, 100])
def test_an_endless_stream_runs_in_constant_memory(kind: Any, chunk: int) -> None:
    buffer = kind(50)
    x = np.zeros((chunk, 4), np.float32)

    def run(start: int, n: int) -> int:
        for a in range(start, start + n, chunk):
            buffer.update(Batch.from_arrays(x, (a + np.arange(chunk)) % 5, start=a))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = run(0, 5000)  # more than a block of random keys
        late = run(5000, 8000)
    finally:
        tracemalloc.stop()
    assert late - early < 20_000  # bytes; 8,000 kept rows would be 128,000 at least


def test_a_loaded_buffer_knows_what_its_labels_are_called() -> None:
    buffer = filled(ReservoirSamplingBuffer)
    buffer.update(replace(rows(2), labels=Labels(["cat", "dog", "emu"])))
    loaded = ReservoirSamplingBuffer(20, seed=0)
    loaded.load_state_dict(buffer.state_dict())
    names = loaded.sample(3).labels
    assert names is not None
    assert names.names == ["cat", "dog", "emu"]
    with pytest.raises(ValueError, match="labels differ: index 0 is 'cat'"):
        loaded.update(replace(rows(2), labels=Labels(["dog", "cat"])))
