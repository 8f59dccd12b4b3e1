"""The records that stages hand on."""

import dataclasses
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, objective_of
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.columns import describe_array
from streamreplay.labels import Labels
from streamreplay.memory import FixedMemory, empty_memory
from streamreplay.records import Rehearsal, Report, Scored


def full(n: int = 4, start: int = 0, **columns: Any) -> Batch:
    given: dict[str, Any] = {
        "y": np.arange(n) % 3 - 1,
        "start": start,
        "task": np.arange(n) + 5,
        "experience": 2,
        "id": [f"r{i}" for i in range(n)],
        "time": np.arange(n) / 2,
        **columns,
    }
    return Batch.from_arrays(np.arange(2 * n, dtype=np.float32).reshape(n, 2), **given)


def values(batch: Batch) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in batch.columns().items()}


def test_columns_and_their_types() -> None:
    batch = full(3, start=7)
    assert values(batch) == {
        "x": [[0, 1], [2, 3], [4, 5]],
        "y": [-1, 0, 1],
        "t": [7, 8, 9],
        "task": [5, 6, 7],
        "experience": [2, 2, 2],
        "id": ["r0", "r1", "r2"],
        "time": [0, 0.5, 1],
    }
    types = {name: column.dtype.kind for name, column in batch.columns().items()}
    assert types == dict(zip(types, "fiiiiUf", strict=True))
    assert batch.x.dtype == np.float32
    assert not batch.held_out


def test_what_the_stream_does_not_say() -> None:
    batch = Batch.from_arrays([[1.0], [2.0]])
    assert values(batch) == {
        "x": [[1], [2]],
        "y": [-1, -1],
        "t": [0, 1],
        "task": [0, 0],
        "experience": [0, 0],
    }
    assert batch.id is None
    assert batch.time is None


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (np.uint8, np.uint8),
        (np.float32, np.float32),
        (np.float64, np.float32),
        (np.float16, np.float32),
        (np.int64, np.float32),
        (np.uint16, np.float32),
        (np.int8, np.float32),
        (np.bool_, np.float32),
    ],
)
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 3), (3, 1, 4, 4), (3, 0), (0, 5)])
def test_types_and_shapes_of_features(dtype: type, kept: type, shape: tuple[int, ...]) -> None:
    x: NDArray[Any] = np.ones(shape, dtype)
    batch = Batch.from_arrays(x)
    assert batch.x.dtype == kept
    assert batch.x.shape == shape
    assert (batch.x == 1).all()
    assert np.shares_memory(batch.x, x) == (dtype == kept and x.size > 0)
    assert len(batch) == shape[0]


def test_columns_of_the_right_type_are_not_copied() -> None:
    x, y, ids = np.zeros((3, 1), np.float32), np.zeros(3, np.int64), np.array(["a", "b", "c"])
    time = np.zeros(3)
    batch = Batch.from_arrays(x, y, task=y, id=ids, time=time)
    for column, source in ((batch.x, x), (batch.y, y), (batch.task, y), (batch.time, time)):
        assert column is source
    assert batch.id is ids


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([5, -3, 10], ["5", "-3", "10"]),
        (np.array([5, 2**64 - 1], np.uint64), ["5", "18446744073709551615"]),
        (np.array([], np.int64), []),
        (["5", "05", " 5"], ["5", "05", " 5"]),
        ([5, "5", None], ["5", "5", ""]),
        (np.array(["a", None, 7], np.object_), ["a", "", "7"]),
        ([np.int32(1), 2], ["1", "2"]),
    ],
)
def test_ids_are_text(given: Any, expected: list[str]) -> None:
    ids = Batch.from_arrays(np.zeros((len(expected), 1)), id=given).id
    assert ids is not None
    assert ids.dtype.kind == "U"
    assert ids.dtype.itemsize == 4 * max(1, *map(len, [*expected, ""]))
    assert ids.tolist() == expected


def test_no_rows() -> None:
    batch = Batch.from_arrays(np.empty((0, 3)), [], task=[], experience=[], id=[], time=[])
    assert len(batch) == 0
    assert values(batch) == {name: [] for name in values(full())}
    assert batch.y.dtype == batch.t.dtype == batch.task.dtype == np.int64


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"x": [1.0, 2.0]}, ValueError, r"x must be \[n, \*feature\], got shape \(2,\)"),
        ({"x": 3.0}, ValueError, r"x must be \[n, \*feature\], got shape \(\)"),
        ({"x": [["a"], ["b"]]}, TypeError, "x must be numeric, got <U1"),
        ({"x": [[1j], [2j]]}, TypeError, "x must be numeric, got complex128"),
        ({"x": [[None], [1]]}, TypeError, "x must be numeric, got object"),
        ({"y": [0]}, ValueError, r"y must have shape \(2,\) as x has 2 rows, got \(1,\)"),
        ({"y": [[0, 1]]}, ValueError, r"y must have shape \(2,\) as x has 2 rows, got \(1, 2\)"),
        ({"y": [0, -2]}, ValueError, "y must be at least -1, got -2"),
        ({"y": [0.0, 1.0]}, TypeError, "y must be integers, got float64"),
        ({"y": ["a", "b"]}, TypeError, "y must be integers, got <U1"),
        ({"task": [0.5, 1]}, TypeError, "task must be integers, got float64"),
        ({"task": [0, 1, 2]}, ValueError, r"task must have shape \(2,\)"),
        ({"experience": [0]}, ValueError, r"experience must have shape \(2,\)"),
        ({"id": [0.5, 1.0]}, TypeError, "id must be integers or strings, got float64"),
        ({"id": ["a", 0.5]}, TypeError, "id must be integers or strings, got 0.5"),
        ({"id": [True, "a"]}, TypeError, "id must be integers or strings, got True"),
        ({"id": ["a"]}, ValueError, r"id must have shape \(2,\) as x has 2 rows, got \(1,\)"),
        ({"id": "both"}, ValueError, r"id must have shape \(2,\) as x has 2 rows, got \(\)"),
        ({"time": [1.0]}, ValueError, r"time must have shape \(2,\) as x has 2 rows, got \(1,\)"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        Batch.from_arrays(**{"x": [[1.0], [2.0]], **columns})


def test_is_frozen() -> None:
    batch = full()
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.y = batch.t  # type: ignore[misc]


rows = st.one_of(
    st.lists(st.integers(0, 9), max_size=15).map(lambda r: np.array(r, np.int64)),
    st.lists(st.booleans(), min_size=10, max_size=10).map(lambda r: np.array(r, np.bool_)),
    st.builds(slice, st.integers(0, 12), st.integers(0, 12), st.integers(1, 3)),
)


@given(rows)
def test_take(rows: Any) -> None:
    batch = full(10)
    taken = batch.take(rows)
    places = np.arange(10)[rows].tolist()
    assert values(taken) == {name: [c[p] for p in places] for name, c in values(batch).items()}
    if places:
        assert np.shares_memory(taken.x, batch.x) == isinstance(rows, slice)


def test_take_of_optional_columns() -> None:
    taken = Batch.from_arrays([[1.0], [2.0]]).take(np.array([1]))
    assert taken.id is None
    assert taken.time is None
    held_out = replace(full(), held_out="test")
    assert held_out.take(slice(1, 2)).held_out
    assert held_out.numbered(5).held_out


@given(st.lists(st.integers(0, 20), max_size=6))
def test_concat_of_parts_is_the_whole(cuts: list[int]) -> None:
    batch = full(20)
    edges = [0, *sorted(cuts), 20]
    parts = [batch.take(slice(a, b)) for a, b in pairwise(edges)]
    joined = Batch.concat(parts)
    assert values(joined) == values(batch)
    assert [c.dtype for c in joined.columns().values()] == [
        c.dtype for c in batch.columns().values()
    ]


def test_concat_widens_ids_and_keeps_held_out() -> None:
    a, b = full(1, id=["a"]), full(1, id=["long"])
    assert Batch.concat([a, b]).id.tolist() == ["a", "long"]  # type: ignore[union-attr]
    held_out = replace(a, held_out="test")
    assert Batch.concat([held_out, held_out]).held_out


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "concat needs at least one batch, got 0"),
        ([full(), full(id=None)], r"columns differ: \['x', .*, 'id', 'time'\] and \["),
        ([full(), full(time=None)], "columns differ"),
        (
            [full(), replace(full(), held_out="test")],
            "held_out differs: None and 'test': held-out rows cannot be joined",
        ),
        (
            [Batch.from_arrays(np.zeros((2, 3))), Batch.from_arrays(np.zeros((2, 4)))],
            r"x differs: float32\[2, 3\] and float32\[2, 4\]",
        ),
        (
            [Batch.from_arrays(np.zeros((2, 3))), Batch.from_arrays(np.zeros((2, 3), np.uint8))],
            r"x differs: float32\[2, 3\] and uint8\[2, 3\]",
        ),
    ],
)
def test_batches_that_cannot_be_joined_are_refused(others: list[Batch], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Batch.concat(others)


def test_nbytes_counts_every_column() -> None:
    assert Batch.from_arrays(np.zeros((10, 2, 3), np.uint8)).nbytes == 10 * (6 + 4 * 8)
    assert full(10, id=np.arange(10)).nbytes == 10 * (8 + 4 * 8 + 4 + 8)
    assert full(10, id=["abc"] * 10).nbytes == 10 * (8 + 4 * 8 + 12 + 8)


def test_numbered() -> None:
    batch = full(3, start=4)
    again = batch.numbered(100)
    assert again.t.tolist() == [100, 101, 102]
    assert batch.t.tolist() == [4, 5, 6]
    assert again.x is batch.x
    assert {**values(again), "t": 0} == {**values(batch), "t": 0}


def test_empty_memory_has_the_shape() -> None:
    like = full()
    empty = empty_memory(like).stored
    assert len(empty) == 0
    for name, column in empty.columns().items():
        assert column.dtype == getattr(like, name).dtype
        assert column.shape[1:] == getattr(like, name).shape[1:]


def test_rehearsal() -> None:
    memory = full(6)
    bare = Rehearsal(full(2), FixedMemory(memory))
    assert len(bare.drawn()) == 0
    index = bare.memory.groups("class")
    assert index.ids.tolist() == sorted(set(memory.y.tolist()))
    assert index.counts.sum() == 6
    mixed = dataclasses.replace(bare, rows=np.array([[5, 0, 0], [1, 2, 3]]))
    assert mixed.drawn().t.tolist() == [5, 0, 0]
    assert mixed.drawn(1).t.tolist() == [1, 2, 3]


def test_report() -> None:
    scored = Scored(full(3), np.zeros(3, np.int64), np.ones(3, np.float32), np.ones(3, np.float32))
    assert len(Report(scored)) == 3
    assert len(Report(None)) == 0
    assert Report(None).metrics == ()


def test_group_columns_are_columns() -> None:
    assert set(GROUP_COLUMNS) == {"class", "task", "experience"}
    assert set(GROUP_COLUMNS.values()) < set(full().columns())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            [[1, 2, 3]] * 4 + [[1, 2]],
            (
                r"x: rows differ in shape \(row 0 is \[3\], row 4 is \[2\]\): "
                "pad, crop or encode them to one shape"
            ),
        ),
        ([np.zeros((2, 2)), np.zeros((2, 3))], r"\(row 0 is \[2, 2\], row 1 is \[2, 3\]\)"),
        ([[1, 2], 3], r"\(row 0 is \[2\], row 1 is \[\]\)"),
        ([[[1, 2], [3]], [[1, 2], [3]]], "x: row 0 is ragged in itself: pad, crop or encode it"),
        (np.array([[1, 2], [3]], dtype=object), r"\(row 0 is \[2\], row 1 is \[1\]\)"),
    ],
)
def test_rows_of_several_shapes_are_refused_with_advice(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Batch.from_arrays(x)


def test_rows_with_named_fields_are_refused_with_advice() -> None:
    rows: Any = [{"a": 1.0, "b": 2.0}, {"b": 3.0, "a": 4.0}]
    advice = (
        r"^x: row 0 is a dict: give named fields one order and pass a list of lists, "
        r"e.g. \[\[row\[k\] for k in names\] for row in rows\]$"
    )
    with pytest.raises(TypeError, match=advice):
        Batch.from_arrays(rows)
    with pytest.raises(TypeError, match="x: row 1 is a dict"):
        Batch.from_arrays([[1.0, 2.0], rows[1]])
    names = ["a", "b"]
    assert Batch.from_arrays([[row[k] for k in names] for row in rows]).x.tolist() == [
        [1, 2],
        [4, 3],
    ]


def test_targets_of_numbers_and_of_labels() -> None:
    numbers = Batch.from_arrays([[1.0], [2.0], [3.0]], target=[1, np.nan, 3], weight=[1, 2, 0])
    assert numbers.target is not None
    assert describe_array(numbers.target) == "float64[3, 1]"
    assert numbers.y.tolist() == [0, -1, 0]
    assert numbers.weight is not None
    assert describe_array(numbers.weight) == "float32[3]"
    assert numbers.weight.tolist() == [1, 2, 0]
    labels = Batch.from_arrays([[1.0], [2.0]], [0, -1], target=[[True, False], [False, False]])
    assert labels.target is not None
    assert describe_array(labels.target) == "bool[2, 2]"
    assert labels.y.tolist() == [0, -1]
    assert objective_of(numbers.target) == "numbers"
    assert objective_of(labels.target) == "labels"


def test_targets_and_weights_travel_with_their_rows() -> None:
    target = np.arange(8.0).reshape(4, 2)
    batch = full(y=np.array([0, 0, -1, 0]), target=target, weight=np.arange(4))
    part = batch.take(np.array([3, 1])).numbered(7)
    assert part.target is not None
    assert part.weight is not None
    assert (part.target.tolist(), part.weight.tolist()) == ([[6, 7], [2, 3]], [3, 1])
    joined = Batch.concat([batch.take(slice(0, 2)), batch.take(slice(2, 4))])
    assert values(joined) == values(batch)
    assert batch.nbytes == sum(column.nbytes for column in batch.columns().values())
    assert {"target", "weight"} <= batch.columns().keys()


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"target": ["a", "b"]}, TypeError, "target must be booleans or numbers, got <U1"),
        ({"target": [1.0]}, ValueError, r"target must be \[n\] or \[n, d\] with n = 2 as x has 2"),
        ({"target": np.zeros((2, 0))}, ValueError, r"got \(2, 0\)"),
        ({"target": [1.0, 2.0], "y": [0, 1]}, ValueError, r"y must be 0 .* beside a target, got 1"),
        ({"target": [1.0, np.nan], "y": [0, 0]}, ValueError, r"where y is 0, row 1 has \[nan\]"),
        ({"target": [1e300, 1.0]}, ValueError, "finite in float32 where y is 0, row 0"),
        ({"weight": [1.0, -1.0]}, ValueError, "at least 0, row 1 has -1.0"),
        ({"weight": [np.inf, 1.0]}, ValueError, "finite in float32 and at least 0, row 0 has inf"),
        ({"weight": [1e300, 1.0]}, ValueError, "row 0 has inf"),
        ({"weight": ["a", "b"]}, TypeError, "weight must be numbers, got <U1"),
        ({"weight": [1.0]}, ValueError, "weight must have shape"),
    ],
)
def test_wrong_targets_and_weights(
    columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Batch.from_arrays([[1.0], [2.0]], **columns)


def test_targets_of_two_kinds_are_not_joined() -> None:
    numbers = Batch.from_arrays([[1.0]], target=[1.0])
    labels = Batch.from_arrays([[1.0]], target=[True])
    message = r"target differs: float64\[1, 1\] and bool\[1, 1\]"
    with pytest.raises(ValueError, match=message):
        Batch.concat([numbers, labels])
    with pytest.raises(ValueError, match="columns differ"):
        Batch.concat([numbers, Batch.from_arrays([[1.0]])])


def test_the_objective_is_told_by_the_prediction() -> None:
    batch, nothing = Batch.from_arrays([[1.0]]), np.zeros(1, np.float32)
    kinds = {"classes": np.array([1]), "numbers": np.ones((1, 2)), "labels": np.ones((1, 2), bool)}
    for objective, prediction in kinds.items():
        assert Scored(batch, prediction, nothing, nothing).objective == objective


class TestNames:
    """What classes and features are called travels with the rows."""

    def test_they_survive_whatever_is_done_to_a_batch(self) -> None:
        labels, features = Labels(["cat", "dog"]), ["a"]
        batch = Batch.from_arrays([[1.0], [2.0]], [1, 0], labels=labels, feature_names=features)
        changed = [
            batch.take(slice(1)),
            batch.take(np.array([1])),
            batch.numbered(7),
            batch.withholding(np.array([True, False])),
            batch.withholding(np.array([True, False])).learnable(),
            batch.with_note("logits", np.zeros((2, 1), np.float32)),
            Batch.concat([batch, batch]),
            empty_memory(batch).stored,
        ]
        for each in changed:
            assert each.labels is labels
            assert each.feature_names is features
        assert "labels" not in batch.columns()

    def test_batches_are_joined_if_their_names_agree(self) -> None:
        few, many = Labels(["cat"]), Labels(["cat", "dog"])
        one = Batch.from_arrays([[1.0]], [0], labels=few)
        two = Batch.from_arrays([[2.0]], [1], labels=many)
        assert Batch.concat([one, two]).labels is many
        assert Batch.concat([two, one]).labels is many
        assert Batch.concat([Batch.from_arrays([[1.0]], [0]), two]).labels is many

    def test_batches_of_different_vocabularies_are_not_joined(self) -> None:
        one = Batch.from_arrays([[1.0]], [0], labels=Labels(["cat"]))
        two = Batch.from_arrays([[2.0]], [0], labels=Labels(["dog"]))
        message = "^labels differ: index 0 is 'cat' and 'dog': give both sources one Labels$"
        with pytest.raises(ValueError, match=message):
            Batch.concat([one, two])
        buffer = ReservoirSamplingBuffer(5)
        buffer.update(one)
        with pytest.raises(ValueError, match=message):
            buffer.update(two)
        with pytest.raises(ValueError, match=message):
            list(buffer([two]))

    def test_a_buffer_hands_them_on(self) -> None:
        labels = Labels(["cat"])
        batches = [Batch.from_arrays([[1.0]], [0], labels=labels) for _ in range(2)]
        buffer, again = ReservoirSamplingBuffer(5), ReservoirSamplingBuffer(5)
        *_, last = buffer(batches)
        assert last.memory.stored.labels is labels
        assert last.mixed()[0].labels is labels
        again.load_state_dict(buffer.state_dict())
        (first,) = again(batches[:1])
        assert first.memory.stored.labels is labels


@pytest.mark.parametrize("y", [[None, None], [0, None]])
def test_none_is_no_label(y: list[int | None]) -> None:
    message = "^y must be integers, got None: -1 stands for a row without one$"
    with pytest.raises(TypeError, match=message):
        Batch.from_arrays([[1.0], [2.0]], y)  # type: ignore[arg-type]


def test_labels_must_be_a_vocabulary() -> None:
    names: Any = ["cat"]
    with pytest.raises(TypeError, match=r"^labels must be Labels, got list: Labels\(names\)$"):
        Batch.from_arrays([[0.0]], [0], labels=names)
