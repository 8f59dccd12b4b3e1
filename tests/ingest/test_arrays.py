from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.errors import CheckpointError
from streamreplay.ingest import ArraySource
from streamreplay.ingest.connect import arrays
from streamreplay.labels import Labels
from tests.ingest.tables import rows_of

Exact = Callable[[Any], Any]
NAMES = st.lists(st.sampled_from([3, -1, 10, "a", "3", None]), max_size=20)


def column(n: int) -> Any:
    return np.arange(n, dtype=np.float32)[:, None]


def names_of(source: ArraySource) -> list[Any]:
    return [None if y < 0 else source.labels.name(y) for b in source for y in b.y.tolist()]


@given(NAMES, st.integers(1, 7))
def test_labels_are_numbered_as_they_appear(names: list[Any], size: int) -> None:
    source = ArraySource(column(len(names)), names, batch_size=size)
    known = Labels()
    for batch in source:
        t = batch.t.tolist()
        expected = [-1 if names[i] in (None, -1) else known.index(names[i]) for i in t]
        assert batch.y.tolist() == expected
        assert source.labels.names == known.names  # none that was not met yet
    assert source.position == len(source) == source.rows_total == len(names)


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (np.array([5, -2, 5], np.int8), [5, -2, 5]),
        (np.array([-1, 5, -1], np.int8), [None, 5, None]),
        (np.array([-1.0, 1.0, 0.0]), [None, 1, 0]),
        ([-1, 1, -1], [None, 1, None]),
        ([-1, "a", "-1"], [None, "a", "-1"]),
        (np.array(["-1", "1", "1"]), ["-1", "1", "1"]),
        (np.full(3, -1), [None] * 3),
        (np.array([7, 1, 7], np.uint8), [7, 1, 7]),
        (np.array(["b", "a", "b"]), ["b", "a", "b"]),
        (np.array([2.0, 1.0, 2.0]), [2, 1, 2]),
        ([True, False, True], ["true", "false", "true"]),
        (["1", 1, True], ["1", 1, "true"]),
        (np.array([np.int64(4), "x", None], object), [4, "x", None]),
        (None, [None, None, None]),
    ],
)
def test_kinds_of_labels(y: Any, names: list[Any]) -> None:
    found = names_of(ArraySource(column(3), y, batch_size=2))
    assert [(type(name), name) for name in found] == [(type(name), name) for name in names]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, math.nan, 2.0], "y must be integers or strings, got nan in row 1"),
        ([1.0, 0.5, 2.0], "y must be integers or strings, got 0.5 in row 1"),
        ([b"a", b"b", b"c"], "y must be integers or strings, got |S1"),
        (["a", 1.5, "b"], "y: label 1.5 is neither a string nor an integer in row 1"),
    ],
)
def test_what_is_no_label(y: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        ArraySource(column(3), y)
    assert str(caught.value) == message


def test_given_labels_are_known_from_the_start() -> None:
    labels = Labels(["dog", "cat"])
    source = ArraySource(column(3), ["cat", "eel", "dog"], labels=labels, batch_size=1)
    assert [b.y.tolist() for b in source] == [[1], [2], [0]]
    assert labels.names == ["dog", "cat", "eel"]


def test_batches_are_views_and_nothing_is_written(exact: Exact) -> None:
    x = np.arange(20, dtype=np.uint8).reshape(10, 2)
    y = np.arange(10)
    before = exact([x, y])
    batches = list(ArraySource(x, y, batch_size=4))
    assert all(np.shares_memory(batch.x, x) for batch in batches)
    assert [batch.x.dtype.name for batch in batches] == ["uint8"] * 3
    assert exact([x, y]) == before


def test_all_columns_and_the_cut_at_an_experience() -> None:
    source = ArraySource(
        column(5).astype(np.float64), task=[0, 0, 1, 1, 1], experience=[0, 0, 0, 4, 4],
        id=list("abcde"), time=[1, 2, math.nan, 4, 5], batch_size=2,
    )  # fmt: skip
    batches = list(source)
    assert [b.t.tolist() for b in batches] == [[0, 1], [2], [3, 4]]
    assert [b.experience.tolist() for b in batches] == [[0, 0], [0], [4, 4]]
    assert [b.task.tolist() for b in batches] == [[0, 0], [1], [1, 1]]
    assert [None if b.id is None else b.id.tolist() for b in batches] == [
        ["a", "b"],
        ["c"],
        ["d", "e"],
    ]
    assert batches[0].x.dtype == np.float32
    plain = next(iter(ArraySource(column(1))))
    assert (plain.id, plain.time, plain.y.tolist()) == (None, None, [-1])


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ([[[1.0]], [[2.0]], [[math.nan]]], {}, "x must be finite in float32, row 2 is not"),
        ([[1.0], [2.0], [math.inf]], {}, "x must be finite in float32, row 2 is not"),
        ([[1.0], [1e300]], {}, "x must be finite in float32, row 1 is not"),
        ([1.0], {}, "x must be"),
        ([[1.0]], {"y": [1, 2]}, r"y must have shape \(1,\) as there are 1 rows, got \(2,\)"),
        ([[1.0]], {"task": [1, 2]}, r"task must have shape \(1,\)"),
        ([[1.0]], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ([[1.0]], {"limit": -1}, "limit must be at least 0, got -1"),
        ([[1.0]], {"order": [1]}, "order must be rows 0 to 0 of x, got 1 to 1"),
    ],
)
def test_arrays_that_do_not_fit(x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ArraySource(x, **options)


@pytest.mark.parametrize("size", [1, 2, 9])
def test_nan_is_a_missing_number(size: int) -> None:
    x = [[1.0, 2.0], [math.nan, 1.5], [math.nan, math.nan], [7.0, 8.0]]
    source = ArraySource(x, ["a", "b", "a", "b"], batch_size=size)
    batches = list(source)
    assert [row for batch in batches for row in rows_of(batch)] == [
        {"0": 1, "1": 2}, {"1": 1.5}, {}, {"0": 7, "1": 8}
    ]  # fmt: skip
    assert [y for batch in batches for y in batch.y.tolist()] == [0, 1, 0, 1]


def test_an_empty_source() -> None:
    source = ArraySource(np.empty((0, 3)), [])
    assert list(source) == []
    assert list(ArraySource(np.empty((0, 3)))) == []
    source.load_state_dict(source.state_dict())


@given(NAMES, st.integers(1, 6), st.integers(0, 20), st.booleans(), st.integers(1, 6))
def test_every_yield_is_a_safe_point(
    exact: Exact, names: list[Any], size: int, limit: int, ordered: bool, other_size: int
) -> None:
    n = len(names)
    order = np.random.default_rng(n).permutation(n) if ordered else None

    def make(batch_size: int) -> ArraySource:
        return ArraySource(
            column(n), names, batch_size=batch_size, limit=limit, order=order,
            experience=np.arange(n) // 7, labels=Labels(["a"]),
        )  # fmt: skip

    source = make(size)
    states, batches = [source.state_dict()], []
    for batch in source:
        batches.append(exact(batch))
        states.append(source.state_dict())
    assert source.position == min(n, limit)
    for cut, state in enumerate(states):
        for _ in range(2):
            fresh = make(size)
            fresh.load_state_dict(state)
            assert exact(fresh.state_dict()) == exact(state)
            assert [exact(b) for b in fresh] == batches[cut:]
        other = make(other_size)
        other.load_state_dict(state)
        list(other)
        assert exact(other.state_dict()) == exact(states[-1])


def test_a_state_of_other_rows_is_refused() -> None:
    source = ArraySource(column(5), [1, 2, 3, 1, 2])
    state = source.state_dict()
    others = [
        ArraySource(column(6), [1, 2, 3, 1, 2, 1]),
        ArraySource(column(5), [1, 2, 3, 1, 1]),
        ArraySource(column(5), [1, 2, 4, 1, 2]),
        ArraySource(column(5) + 1, [1, 2, 3, 1, 2]),
        ArraySource(column(5), [1, 2, 3, 1, 2], experience=[0, 0, 0, 0, 1]),
        ArraySource(column(5), [1, 2, 3, 1, 2], order=[0, 2, 1, 3, 4]),
    ]
    for other in others:
        with pytest.raises(CheckpointError, match=r"^fingerprint: "):
            other.load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^rows: saved 6, this source has 5"):
        source.load_state_dict({**state, "rows": 6})
    with pytest.raises(CheckpointError, match=r"^labels.names: "):
        source.load_state_dict({**state, "labels": {"names": None}})


def test_select_gives_rows_in_the_order_asked_for() -> None:
    source = ArraySource(column(6), list("abcabc"), id=np.arange(6), time=np.arange(6.0))
    once = source.select(np.array([5, 4, 1, 0]))
    twice = once.select(np.array([3, 0]), experience=[0, 1])
    (first, second) = twice
    assert (first.x.tolist(), second.x.tolist()) == ([[0.0]], [[5.0]])
    assert (twice.labels.names, first.t.tolist(), second.t.tolist()) == (["a", "c"], [0], [1])
    assert second.id is not None
    assert second.id.tolist() == ["5"]


def test_the_whole_does_not_move_the_position_or_add_labels() -> None:
    labels = Labels(["b"])
    source = ArraySource(column(3), ["a", "b", None], order=[2, 0, 1])
    batch = source.whole(labels)
    assert (batch.x.tolist(), batch.y.tolist()) == ([[2.0], [0.0], [1.0]], [-1, 0, -1])
    assert (source.position, source.labels.names, labels.names) == (0, [], ["b"])


def test_a_state_of_other_rows_with_a_target_is_refused() -> None:
    """Which rows are labelled is a part of what a source is, also beside targets."""
    target = [[True], [False], [True]]
    state = ArraySource(column(3), [0, 0, 0], target=target).state_dict()
    with pytest.raises(CheckpointError, match=r"^fingerprint: "):
        ArraySource(column(3), [0, -1, 0], target=target).load_state_dict(state)


@pytest.mark.parametrize("block", [1, 64, 1 << 22])
def test_any_changed_row_is_noticed(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(arrays, "_BLOCK", block)
    x = np.zeros((50, 3), np.float32)
    state = ArraySource(x).state_dict()
    ArraySource(x.copy()).load_state_dict(state)
    for row in range(50):
        other = x.copy()
        other[row, 1] = 1
        with pytest.raises(CheckpointError, match=r"^fingerprint: "):
            ArraySource(other).load_state_dict(state)


def test_of_very_large_arrays_some_rows_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(100, dtype=np.float32)[:, None]
    monkeypatch.setattr(arrays, "_MOST_CHECKED", x.nbytes // 4 + 1)
    monkeypatch.setattr(arrays, "_BLOCK", 40)
    assert np.concatenate([*arrays._blocks(x)])[:, 0].tolist() == [*range(0, 100, 4)]


def test_arrays_with_gaps_are_described_by_their_columns() -> None:
    x = np.ones((4, 3), np.float32)
    x[1, 2] = np.nan
    source = ArraySource(x, np.zeros(4, np.int64))
    assert "array of 3 numbers" in str(source.describe())
