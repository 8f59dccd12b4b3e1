from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.errors import SourceError
from streamreplay.ingest import ArraySource, CsvSource, JsonlSource, hold_out, in_memory
from streamreplay.ingest import split_by_class as split

Write = Callable[..., Path]


def source_of(names: list[Any]) -> ArraySource:
    return ArraySource(np.arange(len(names), dtype=np.float32)[:, None], names, batch_size=3)


def table(source: ArraySource) -> list[tuple[int, Any, int, int]]:
    return [
        (int(x), source.labels.name(y), task, experience)
        for b in source
        for x, y, task, experience in zip(
            b.x[:, 0], b.y.tolist(), b.task.tolist(), b.experience.tolist(), strict=True
        )
    ]


@given(
    st.lists(st.sampled_from([0, 1, 2, 10, "a", "b"]), min_size=1, max_size=30),
    st.integers(1, 6),
    st.one_of(st.none(), st.integers(0, 99)),
    st.booleans(),
)
def test_every_row_comes_once_in_the_experience_of_its_class(
    names: list[Any], n: int, seed: int | None, tasks: bool
) -> None:
    n = min(n, len(set(names)))
    stream = split(source_of(names), n, seed, return_task_id=tasks)
    rows = table(stream)
    assert sorted(x for x, *_ in rows) == list(range(len(names)))
    assert all(name == names[x] and type(name) is type(names[x]) for x, name, *_ in rows)
    experiences = [experience for *_, experience in rows]
    assert experiences == sorted(experiences)
    classes = [{name for _, name, _, e in rows if e == i} for i in range(n)]
    assert sum(map(len, classes)) == len(set(names))
    assert set.union(*classes) == set(names)
    sizes = [len(c) for c in classes]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert [task for _, _, task, _ in rows] == (experiences if tasks else [0] * len(rows))
    assert table(split(source_of(names), n, seed, return_task_id=tasks)) == rows


def test_without_a_seed_order_is_natural() -> None:
    rows = table(split(source_of([10, "a", 2, 10, 9, 2]), 2))
    assert [(x, name) for x, name, *_ in rows] == [
        (2, 2), (4, 9), (5, 2), (0, 10), (1, "a"), (3, 10),
    ]  # fmt: skip


def test_a_seed_shuffles_classes_and_rows() -> None:
    names = [i % 10 for i in range(200)]
    rows = [table(split(source_of(names), 5, seed)) for seed in (0, 1)]
    assert [{name for _, name, _, e in r if e == 0} for r in rows] != [{0, 1}, {0, 1}]
    assert rows[0] != rows[1]
    first = [x for x, _, _, e in rows[0] if e == 0]
    assert first != sorted(first)


def test_a_class_order() -> None:
    names = [0, 1, 2, "a", 1]
    order: list[int | str] = [2, "a", 0, 1]
    for seed in (None, 3):
        rows = table(split(source_of(names), 2, seed, class_order=order))
        assert [{name for _, name, _, e in rows if e == i} for i in range(2)] == [{2, "a"}, {0, 1}]
    wrongs: list[list[int | str]] = [[2, "a", 0], [2, "a", 0, 0], [2, "a", 0, "1"], [*order, 1]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="class_order must hold each of the classes"):
            split(source_of(names), 2, class_order=wrong)


def test_what_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"n_experiences must be 1 to 2, .* got 3"):
        split(source_of([1, 2, 1]), 3)
    with pytest.raises(ValueError, match=r"n_experiences must be 1 to 2, .* got 0"):
        split(source_of([1, 2, 1]), 0)
    with pytest.raises(ValueError, match="row 1 has no label"):
        split(source_of([1, None, 1]), 1)


def test_no_global_generator_is_read_or_moved() -> None:
    names = [i % 4 for i in range(40)]
    np.random.seed(1)  # noqa: NPY002 - the global generator is what is looked at
    random.seed(1)
    before = str(np.random.get_state()), random.getstate()  # noqa: NPY002
    first = table(split(source_of(names), 2, 7)), table(hold_out(source_of(names), 0.3)[1])
    assert (str(np.random.get_state()), random.getstate()) == before  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert (
        table(split(source_of(names), 2, 7)),
        table(hold_out(source_of(names), 0.3)[1]),
    ) == first


def test_splitting_does_not_copy_features_or_move_the_source() -> None:
    x = np.zeros((10, 2), np.uint8)
    source = ArraySource(x, [i % 2 for i in range(10)])
    stream = split(source, 2, 0)
    assert stream._x is source._x is x
    assert source.position == 0
    again = split(split(source, 2, 0), 1)
    assert sorted(b.t.tolist() for b in again) == [list(range(10))]


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.one_of(st.none(), st.integers(2, 50)))
def test_held_out_rows_are_no_longer_in_training(n: int, share: float, first: int | None) -> None:
    names = list(range(n))
    train, test = (table(part) for part in hold_out(source_of(names), share, seed=4, first=first))
    ours, theirs = [x for x, *_ in train], [x for x, *_ in test]
    assert ours == sorted(ours)
    assert theirs == sorted(theirs)
    assert sorted(ours + theirs) == names
    among = n if first is None else min(n, first)
    assert len(theirs) == min(max(round(among * share), 1), among - 1)
    assert theirs[-1] < among
    assert all(name == x for x, name, *_ in train + test)


def test_what_cannot_be_held_out() -> None:
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="share must be above 0 and below 1"):
            hold_out(source_of([1, 2]), share)
    with pytest.raises(ValueError, match="at least 2 rows"):
        hold_out(source_of([1, 2]), 0.5, first=1)


def test_minus_one_in_a_text_file_is_a_class_also_in_memory(write: Write) -> None:
    path = write(['{"x": [1], "y": 1}', '{"x": [2], "y": -1}', '{"x": [3]}', '{"x": [4], "y": -1}'])
    source = in_memory(JsonlSource(path))
    assert source.coded.names == [1, -1]
    assert source.coded.codes.tolist() == [0, 1, -1, 1]


def test_a_file_in_memory_keeps_all_columns(write: Write) -> None:
    path = write(
        [
            '{"x": [1, 2], "y": "b", "task": 1, "experience": 0}',
            '{"x": [3, 4], "experience": 0, "time": 3}',
            '{"x": [5, 6], "y": 7, "experience": 2, "id": 4}',
        ]
    )
    for size in (1, 2):
        source = in_memory(JsonlSource(path, batch_size=size))
        batch = source.whole(source.labels)
        assert batch.x.tolist() == [[1, 2], [3, 4], [5, 6]]
        assert source.coded.names == ["b", 7]
        assert source.coded.codes.tolist() == [0, -1, 1]
        assert (batch.task.tolist(), batch.experience.tolist()) == ([1, 0, 0], [0, 0, 2])
        assert batch.id is not None
        assert batch.id.tolist() == ["", "", "4"]
        assert batch.time is not None
        np.testing.assert_array_equal(batch.time, [np.nan, 3.0, np.nan])


def test_a_file_without_rows_cannot_be_held_in_memory(write: Write) -> None:
    with pytest.raises(SourceError, match="rows: there are no rows in it"):
        in_memory(CsvSource(write(["a,y"])))
