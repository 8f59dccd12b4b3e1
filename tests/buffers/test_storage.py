"""Columns of stored rows: shapes, types, ids, times, and a dict as the oracle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamreplay.batch import Batch, GroupBy
from streamreplay.buffers import ClassBalancedBuffer, ReservoirSamplingBuffer
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.errors import CheckpointError


def rows(n: int, start: int = 0, **columns: Any) -> Batch:
    x = np.arange(start, start + n, dtype=np.float32)[:, None]
    return Batch.from_arrays(x, **{"y": np.zeros(n, int), "start": start, **columns})


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(1,), (2, 3), (1, 4, 4)])
@pytest.mark.parametrize("chunk", [1, 5, 90])
def test_keeps_the_shape_and_type_of_rows(dtype: type, shape: tuple[int, ...], chunk: int) -> None:
    x: NDArray[Any] = np.random.default_rng(0).integers(0, 256, (90, *shape)).astype(dtype)
    buffer = ClassBalancedBuffer(12)
    for a in range(0, 90, chunk):
        labels = np.arange(a, a + len(x[a : a + chunk])) % 2
        buffer.update(Batch.from_arrays(x[a : a + chunk], labels, start=a))
    memory = buffer.buffer
    assert memory.x.dtype == dtype
    assert memory.x.shape == (12, *shape)
    np.testing.assert_array_equal(memory.x, x[memory.t])
    np.testing.assert_array_equal(memory.y, memory.t % 2)


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 2, 4), np.float32), r"x: stored rows are float32\[0, 2, 3\], got float32"),
        (np.zeros((1, 6), np.float32), r"stored rows are float32\[0, 2, 3\], got float32\[0, 6\]"),
        (np.zeros((1, 2, 3), np.uint8), r"rows are float32\[0, 2, 3\], got uint8\[0, 2, 3\]"),
    ],
)
def test_rows_of_another_shape_or_type_are_refused(n: int, x: Any, message: str) -> None:
    buffer = ReservoirSamplingBuffer(5)
    buffer.update(Batch.from_arrays(np.zeros((9, 2, 3)), [0] * 9))
    before = buffer.buffer
    wrong = Batch.from_arrays(np.repeat(x, n, axis=0), [0] * n, id=np.arange(n))
    with pytest.raises(ValueError, match=message):
        buffer.update(wrong)
    assert buffer.seen == 9
    assert list(buffer.buffer.columns()) == list(before.columns())  # nothing was begun
    np.testing.assert_array_equal(buffer.buffer.t, before.t)


@pytest.mark.parametrize("chunk", [1, 30])
def test_ids_of_all_widths(chunk: int) -> None:
    ids = np.array([f"{'x' * (i // 4)}{i}" for i in range(60)])
    buffer = ReservoirSamplingBuffer(40)
    for a in range(0, 60, chunk):
        batch = rows(len(ids[a : a + chunk]), a, id=np.array(ids[a : a + chunk].tolist()))
        buffer.update(batch)
        assert buffer.buffer.id is not None
        assert buffer.buffer.id.tolist() == ids[buffer.buffer.t].tolist()


@pytest.mark.parametrize("first", ["integers", "strings"])
@pytest.mark.parametrize("chunk", [1, 30])
def test_ids_that_are_integers_and_strings_are_text(first: str, chunk: int) -> None:
    kinds = [np.arange(30) - 2**60, np.array([f"n{i}" for i in range(30)])]
    parts = kinds if first == "integers" else kinds[::-1]
    expected = [str(i) for part in parts for i in part.tolist()]
    buffer = ReservoirSamplingBuffer(50)
    for place, part in enumerate(parts):
        for a in range(0, 30, chunk):
            buffer.update(rows(len(part[a : a + chunk]), 30 * place + a, id=part[a : a + chunk]))
    assert buffer.buffer.id is not None
    assert buffer.buffer.id.tolist() == [expected[t] for t in buffer.buffer.t]


def test_a_column_of_ids_is_as_wide_as_the_longest() -> None:
    buffer = ReservoirSamplingBuffer(5)
    buffer.update(rows(3, id=np.array([8, 9, 10], np.uint8)))
    buffer.update(rows(30, 3, id=np.arange(30) + 100))
    assert buffer.buffer.id is not None
    assert buffer.buffer.id.dtype == np.dtype("U3")
    expected = [str(t + (8 if t < 3 else 97)) for t in buffer.buffer.t]
    assert buffer.buffer.id.tolist() == expected


@pytest.mark.parametrize("n", [1, 12])
def test_columns_that_come_and_go(n: int) -> None:
    buffer = ReservoirSamplingBuffer(100)
    buffer.update(rows(n))
    buffer.update(rows(n, n, time=np.arange(n) + 0.5))
    buffer.update(rows(n, 2 * n, id=["a"] * n))
    buffer.update(rows(n, 3 * n))
    memory = buffer.buffer
    assert memory.t.tolist() == list(range(4 * n))
    assert memory.id is not None
    assert memory.id.tolist() == [""] * 2 * n + ["a"] * n + [""] * n
    assert memory.time is not None
    assert memory.time.dtype == np.float64
    np.testing.assert_array_equal(memory.time[n : 2 * n], np.arange(n) + 0.5)
    assert np.isnan(memory.time).tolist() == [True] * n + [False] * n + [True] * 2 * n


def test_a_missing_id_is_empty() -> None:
    buffer = ReservoirSamplingBuffer(100)
    buffer.update(rows(2, id=[5, 6]))
    buffer.update(rows(2, 2))
    assert buffer.buffer.id is not None
    assert buffer.buffer.id.tolist() == ["5", "6", "", ""]


@pytest.mark.parametrize("chunk", [1, 50])
def test_time_travels_with_its_row(chunk: int) -> None:
    time = np.arange(200) / 3
    buffer = ReservoirSamplingBuffer(20)
    for a in range(0, 200, chunk):
        buffer.update(rows(chunk, a, time=time[a : a + chunk], task=a % 3, experience=a % 5))
    assert buffer.buffer.time is not None
    np.testing.assert_array_equal(buffer.buffer.time, time[buffer.buffer.t])
    start = buffer.buffer.t // chunk * chunk
    np.testing.assert_array_equal(buffer.buffer.task, start % 3)
    np.testing.assert_array_equal(buffer.buffer.experience, start % 5)


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("chunk", [1, 50])
@pytest.mark.parametrize("mapped", [False, True])
def test_targets_travel_with_their_rows(
    labels: bool, chunk: int, mapped: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    target = rng.random((200, 3))
    goal = target > 0.5 if labels else target
    buffer = ReservoirSamplingBuffer(20, storage=tmp_path if mapped else None)
    for a in range(0, 200, chunk):
        weight = {"weight": np.arange(a, a + chunk)} if a >= 100 else {}
        buffer.update(rows(chunk, a, y=None, target=goal[a : a + chunk], **weight))
    memory = buffer.buffer
    assert memory.target is not None
    assert memory.target.dtype == goal.dtype
    np.testing.assert_array_equal(memory.target, goal[memory.t])
    assert memory.weight is not None
    np.testing.assert_array_equal(memory.weight, np.where(memory.t < 100, 1, memory.t))
    fresh = ReservoirSamplingBuffer(20, storage=tmp_path if mapped else None)
    fresh.load_state_dict(buffer.state_dict())
    assert fresh.buffer.target is not None
    np.testing.assert_array_equal(fresh.buffer.target, memory.target)
    assert buffer.nbytes >= 20 * (goal.itemsize * 3 + 4)


def test_targets_of_another_kind_are_refused() -> None:
    buffer = ReservoirSamplingBuffer(9)
    buffer.update(rows(3, y=None, target=np.ones((3, 2))))
    with pytest.raises(ValueError, match="target: stored rows have targets, got rows with classes"):
        buffer.update(rows(3, 3))
    with pytest.raises(ValueError, match=r"stored rows are float64\[0, 2\], got float64\[0, 1\]"):
        buffer.update(rows(3, 3, y=None, target=np.ones(3)))
    with pytest.raises(ValueError, match=r"stored rows are float64\[0, 2\], got bool\[0, 2\]"):
        buffer.update(rows(3, 3, y=None, target=np.ones((3, 2), bool)))
    classes = ReservoirSamplingBuffer(9)
    classes.update(rows(3))
    with pytest.raises(ValueError, match="stored rows have classes, got rows with targets"):
        classes.update(rows(3, 3, y=None, target=np.ones(3)))
    buffer.update(Batch.from_arrays(np.ones((2, *buffer.buffer.x.shape[1:]))))  # unlabelled
    assert len(buffer) == 3


actions = st.lists(
    st.tuples(
        st.sampled_from(["write", "each", "append", "keep"]),
        st.integers(0, 14),
        st.integers(0, 2**32 - 1),
    ),
    max_size=12,
)
GROUPS: tuple[GroupBy, ...] = ("class", "task", "experience")


@settings(max_examples=80, deadline=None)
@given(actions)
def test_a_store_does_as_a_dict_of_rows(actions: list[tuple[str, int, int]]) -> None:
    store, oracle, t = ColumnStore(60), dict[int, int](), 0
    for action, n, seed in actions:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, n)
        batch = Batch.from_arrays(
            np.arange(t, t + n)[:, None], labels, start=t, task=labels // 2, experience=t
        )
        t += n
        store.fit(batch)
        if action == "keep":
            kept = rng.permutation(len(oracle))[: len(oracle) // 2 + n]
            store.keep(kept)
            oracle = {slot: oracle[old] for slot, old in enumerate(kept.tolist())}
        elif action == "append" and len(oracle) + n <= 60:
            store.append(batch)
            oracle |= {len(oracle) + i: t - n + i for i in range(n)}
        elif action in ("write", "each"):
            # old slots in any order, some of them twice, and new ones behind without a gap
            fresh = min(n // 2, 60 - len(oracle))
            top = len(oracle)
            slots = np.concatenate(
                [rng.integers(0, top, n - fresh) if top else [], np.arange(top, top + fresh)]
            ).astype(np.int64)
            picked = rng.permutation(n)[: len(slots)]
            if action == "write":
                store.write(slots, batch, picked)
            else:
                store.write_each(slots.tolist(), batch, picked.tolist())
            for slot, row in zip(slots.tolist(), picked.tolist(), strict=True):
                oracle[slot] = t - n + row
        assert store.batch.t.tolist() == [oracle[slot] for slot in range(len(oracle))]
        assert store.batch.x[:, 0].tolist() == store.batch.t.tolist()
        for by, column in zip(GROUPS, ("y", "task", "experience"), strict=True):
            index = store.groups(by)
            values = getattr(store.batch, column)
            found = {int(i): index.rows(place).tolist() for place, i in enumerate(index.ids)}
            assert found == {int(i): np.flatnonzero(values == i).tolist() for i in set(values)}


def test_loading_leaves_no_column_behind() -> None:
    plain, named = ReservoirSamplingBuffer(5), ReservoirSamplingBuffer(5)
    plain.update(rows(3))
    named.update(rows(3, id=["a", "b", "c"], time=[1, 2, 3]))
    named.load_state_dict(plain.state_dict())
    assert list(named.buffer.columns()) == list(plain.buffer.columns())


def test_rows_that_do_not_fit_are_not_loaded() -> None:
    full = ColumnStore(9)
    full.fit(rows(9))
    full.append(rows(9))
    with pytest.raises(CheckpointError, match=r"^rows: saved 9, this pipeline holds 8$"):
        ColumnStore(8).load_state_dict(full.state_dict())


def test_a_group_index_is_not_built_again_while_groups_stay() -> None:
    buffer = ReservoirSamplingBuffer(20)
    buffer.update(rows(50))
    index = buffer._store.groups("class")
    buffer.update(rows(500, 50))
    assert buffer.buffer.t.max() >= 50
    assert buffer._store.groups("class") is index
