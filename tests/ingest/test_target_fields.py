"""Numbers to predict, several labels a row, and weights: from records to columns."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.ingest import ArraySource, CsvSource, JsonlSource, hold_out, in_memory, open_npz
from streamreplay.ingest.decode.targets import TargetFields, row_weight, row_weights, targets_of
from streamreplay.ingest.decode.values import BadRecord

Write = Callable[..., Path]


def rows(source: Any) -> Batch:
    return Batch.concat(list(source))


def jsonl(write: Write, records: list[dict[str, Any]]) -> Path:
    return write([json.dumps(record) for record in records], "rows.jsonl")


def known(batch: Batch) -> list[Any]:
    """Return each row's target, None for one without."""
    assert batch.target is not None
    return [t if y == 0 else None for y, t in zip(batch.y, batch.target.tolist(), strict=True)]


# -- values -----------------------------------------------------------------------------------

NUMBERS = TargetFields(("a", "b"))
FLAGS = TargetFields(("a", "b"), labels=True)
LISTED = TargetFields(("u", "v", 3), labels=True, field="topics")


@pytest.mark.parametrize(
    ("goal", "values", "reason"),
    [
        (NUMBERS, [1, None], "target 'b' is missing, but others are present"),
        (NUMBERS, [1, "2"], "target 'b' is not a number: '2'"),
        (NUMBERS, [1, math.nan], "target 'b' is not finite: nan"),
        (NUMBERS, [1, 1e39], "target 'b' is outside the range of float32: 1e+39"),
        (NUMBERS, [10**400, 1], "target 'a' is not finite in float64: 1000"),
        (FLAGS, [1, 2], "label 'b' must be 0 or 1: 2"),
        (FLAGS, [None, 0], "target 'a' is missing"),
        (FLAGS, ["1", 0], "label 'a' must be 0 or 1: '1'"),
        (FLAGS, [math.nan, 0], "label 'a' must be 0 or 1: nan"),
        (LISTED, ["u"], "topics is not a list of labels: 'u'"),
        (LISTED, [["u", "w"]], "label 'w' is not in the declared labels"),
        (LISTED, [["u", "3"]], "label '3' is not in the declared labels"),
        (LISTED, [[1.5]], "label 1.5 is neither a string nor an integer"),
    ],
)
def test_what_is_wrong_with_a_target(goal: TargetFields, values: list[Any], reason: str) -> None:
    with pytest.raises(BadRecord) as caught:
        goal.row(values)
    assert str(caught.value).startswith(reason)
    with pytest.raises(BadRecord):
        goal.rows([values])


VALUES = st.sampled_from([0, 1, 2.5, True, None, "x", math.nan, math.inf, 1e39, 10**400, -7])


@given(
    st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=5),
    st.sampled_from([NUMBERS, FLAGS]),
)
def test_columns_are_read_as_single_rows_are(values: list[list[Any]], goal: TargetFields) -> None:
    try:
        want: list[list[float]] | None = [goal.row(row) for row in values]
    except BadRecord:
        want = None
    if want is None:
        with pytest.raises(BadRecord):
            goal.rows(values)
    else:
        np.testing.assert_array_equal(goal.rows(values), np.array(want).reshape(-1, 2))


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", True, 1e300, 10**400])
def test_wrong_weights(value: Any) -> None:
    with pytest.raises(BadRecord, match="weight"):
        row_weight(value)
    with pytest.raises(BadRecord, match="weight"):
        row_weights([1, value])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("a", ["b"], None), r"cannot both be given, got 'a' and \['b'\]"),
        (("a", None, "y"), "target goes without a label, got 'y'"),
        (([], None, None), "target must be different names"),
        ((None, ["a", "a"], None), "multilabel must be different names"),
    ],
)
def test_goals_that_make_no_sense(given: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        targets_of(*given)


# -- JSON lines -------------------------------------------------------------------------------


def test_numbers_in_json(write: Write) -> None:
    path = jsonl(
        write,
        [
            {"a": 1, "p": 0.1, "q": 5, "w": 2},
            {"a": 2},
            {"a": 3, "p": 1, "q": "x"},
            {"a": 4, "p": -1e10, "q": 0, "w": 0.5},
        ],
    )
    source = JsonlSource(path, target=["p", "q"], weight="w")
    batch = rows(source)
    assert known(batch) == [[0.1, 5.0], None, [-1e10, 0.0]]
    assert batch.weight is not None
    assert batch.weight.tolist() == [2, 1, 0.5]
    assert (source.dead, source.feature_names, source.target_names) == (1, ["a"], ["p", "q"])
    assert source.labels.names == ["p", "q"]


def test_y_may_be_a_target(write: Write) -> None:
    path = jsonl(write, [{"x": [1, 2], "y": 3.5}, {"x": [3, 4], "y": None}])
    assert known(rows(JsonlSource(path, target="y"))) == [[3.5], None]


def test_lists_of_labels_in_json(write: Write) -> None:
    path = jsonl(write, [{"a": 1, "y": ["v"]}, {"a": 2}, {"a": 3, "y": []}, {"a": 4, "y": ["z"]}])
    source = JsonlSource(path, label="y", multilabel=["u", "v"])
    batch = rows(source)
    assert batch.target is not None
    assert batch.target.dtype == np.bool_
    assert known(batch) == [[False, True], None, [False, False]]
    assert (source.dead, source.feature_names) == (1, ["a"])


def test_fields_of_labels_in_json(write: Write) -> None:
    path = jsonl(write, [{"a": 1, "u": True, "v": 0}, {"a": 2}, {"a": 2, "u": 1, "v": 3}])
    source = JsonlSource(path, multilabel=["u", "v"])
    assert known(rows(source)) == [[True, False], None]
    assert (source.dead, source.feature_names) == (1, ["a"])


def test_mistakes_in_json() -> None:
    with pytest.raises(ValueError, match="JSON fields have names, got 3"):
        JsonlSource("x", multilabel=["a", 3])
    with pytest.raises(ValueError, match="features must not hold a target, got 'p' as both"):
        JsonlSource("x", features=["p"], target="p")
    with pytest.raises(ValueError, match="target goes without a label"):
        JsonlSource("x", label="y", target="p")


# -- CSV --------------------------------------------------------------------------------------


def test_numbers_in_csv(write: Write) -> None:
    path = write(
        ["a,p,q,w", "1,0.1,5,2", "2,,,", "3,1,x,1", "4,-1e10,0,0.5", "5,1,nan,1", "6,1_0,1,1"]
    )
    source = CsvSource(path, target=["p", "q"], weight="w")
    batch = rows(source)
    assert known(batch) == [[0.1, 5.0], None, [-1e10, 0.0]]
    assert batch.weight is not None
    assert batch.weight.tolist() == [2, 1, 0.5]
    assert (source.dead, source.feature_names) == (3, ["a"])


def test_columns_of_labels_in_csv(write: Write) -> None:
    path = write(["a,u,v", "1,0,1", "2,TRUE,false", "3,,", "4,2,0", "5,1,"])
    source = CsvSource(path, multilabel=["u", "v"])
    assert known(rows(source)) == [[False, True], [True, False], None]
    assert (source.dead, source.target_names) == (2, ["u", "v"])


def test_positions_in_csv_without_a_header(write: Write) -> None:
    source = CsvSource(write(["1,2,3", "4,5,6"]), target=-1, weight=0)
    batch = rows(source)
    assert (known(batch), batch.x.tolist()) == ([[3.0], [6.0]], [[2.0], [5.0]])


def test_mistakes_in_csv(write: Write) -> None:
    path = write(["a,b", "1,2"])
    with pytest.raises(ValueError, match="target and multilabel go without a label"):
        CsvSource(path, label="a", multilabel=["b"])
    with pytest.raises(ConfigError, match=r"target 'prise' is not a column"):
        list(CsvSource(path, target="prise"))
    with pytest.raises(ConfigError, match="column 'b' is a target, and cannot be a feature too"):
        list(CsvSource(path, target="b", features=["a", "b"]))


# -- arrays -----------------------------------------------------------------------------------


def test_arrays_of_targets() -> None:
    target = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]])
    source = ArraySource(np.ones((3, 1)), target=target, weight=[1, 2, 3], batch_size=2)
    batch = rows(source)
    assert known(batch) == [[1, 2], [3, 4], None]
    assert source.target_names == ["0", "1"]
    train, test = hold_out(ArraySource(np.ones((9, 1)), target=np.arange(9)), 0.3)
    assert sorted(known(rows(train)) + known(rows(test))) == [[float(i)] for i in range(9)]
    with pytest.raises(ValueError, match="target_names must have 2 names"):
        ArraySource(np.ones((3, 1)), target=target, target_names=["a"])


def test_a_state_of_other_targets_is_refused() -> None:
    one, two = (ArraySource(np.ones((3, 1)), target=t) for t in ([1, 2, 3], [1, 2, 4]))
    with pytest.raises(CheckpointError, match="fingerprint"):
        two.load_state_dict(one.state_dict())
    one, two = (ArraySource(np.ones((2, 1)), target=[1, 2], weight=w) for w in ([1, 2], [2, 1]))
    with pytest.raises(CheckpointError, match="fingerprint"):
        two.load_state_dict(one.state_dict())


@pytest.mark.parametrize("labels", [False, True])
def test_a_file_read_into_memory_keeps_them(write: Write, labels: bool) -> None:
    path = write(["a,u,v,w", "1,0,1,2", "2,1,0,", "3,,,1"])
    options: dict[str, Any] = {"multilabel" if labels else "target": ["u", "v"], "weight": "w"}
    want = rows(CsvSource(path, **options))
    source = in_memory(CsvSource(path, **options))
    got = rows(source)
    assert source.target_names == ["u", "v"]
    assert known(got) == known(want)
    assert got.target is not None
    assert want.target is not None
    assert got.target.dtype == want.target.dtype
    np.testing.assert_array_equal(got.weight, want.weight)


def test_npz(tmp_path: Path) -> None:
    x, wide, flags = (
        np.ones((3, 2)),
        np.arange(6.0).reshape(3, 2),
        np.array([[0, 1], [1, 1], [0, 0]]),
    )
    np.savez(tmp_path / "a.npz", x=x, p=wide[:, 0], q=wide[:, 1], wide=wide, y=flags, w=[1, 2, 3])
    path = tmp_path / "a.npz"
    one = open_npz(path, target="p", weight="w")
    assert (known(rows(one)), one.target_names) == ([[0], [2], [4]], ["p"])
    two = open_npz(path, target=["p", "q"])
    assert (known(rows(two)), two.target_names) == (wide.tolist(), ["p", "q"])
    both = open_npz(path, target="wide")
    assert (known(rows(both)), both.target_names) == (wide.tolist(), ["wide[0]", "wide[1]"])
    labels = open_npz(path, multilabel=["u", "v"])
    assert (known(rows(labels)), labels.target_names) == (flags.astype(bool).tolist(), ["u", "v"])
    cases: list[tuple[dict[str, Any], str]] = [
        ({"target": "r"}, "target r is array 'r', but the file has"),
        ({"target": ["p", "wide"]}, "'wide' is"),
        ({"multilabel": ["u"]}, "target_names must have 2 names"),
        ({"multilabel": ["u", "v"], "y": "wide"}, "labels must be 0 or 1"),
        ({"multilabel": ["u", "v"], "y": None}, "multilabel: the array of labels is needed"),
    ]
    for options, message in cases:
        with pytest.raises(ConfigError, match=message):
            open_npz(path, **options)


# -- position and resume ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["target", "multilabel"])
@pytest.mark.parametrize("make", [JsonlSource, CsvSource])
def test_resume_at_every_batch(write: Write, make: Any, kind: str) -> None:
    records: list[dict[str, Any]] = [{"a": i, "u": i % 2, "v": int(i > 7)} for i in range(13)]
    records[3] = {"a": 3, "u": 9 if kind == "multilabel" else "x", "v": 1}
    if make is CsvSource:
        path = write(["a,u,v", *(",".join(map(str, r.values())) for r in records)])
    else:
        path = jsonl(write, records)
    options: dict[str, Any] = {kind: ["u", "v"], "batch_size": 4}
    want = list(make(path, **options))
    for cut in range(len(want)):
        source = make(path, **options)
        first = [next(iter(source)) for _ in range(cut)]
        fresh = make(path, **options)
        fresh.load_state_dict(copy.deepcopy(source.state_dict()))
        got = Batch.concat([*first, *fresh])
        assert known(got) == known(Batch.concat(want))
    other = make(path, **{kind: ["v", "u"]})
    with pytest.raises(CheckpointError, match="fields"):
        other.load_state_dict(make(path, **options).state_dict())
