from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.features.categories import HASHED, Categories
from streamreplay.features.kinds import infer
from streamreplay.features.packed import joined_rows, widened
from streamreplay.features.schema import Schema
from streamreplay.features.table_rows import join_tables
from streamreplay.features.text import hash_texts
from streamreplay.features.values import NO_TIME, as_numbers, as_texts, as_times

FIRST = {
    "size": ["1.5", "NA", "2", "3"],
    "colour": ["red", "blue", "red", ""],
    "when": ["2013-01-01T05:15", "2013-01-01 06:00", "?", "2013-01-02"],
    "ok": ["true", "false", "true", "null"],
}


def _schema(**settings: Any) -> Schema:
    schema = Schema(**settings)
    schema.begin(FIRST)
    return schema


def _packed(schema: Schema, columns: dict[str, Any]) -> NDArray[Any]:
    return schema.pack(schema.read(columns, len(next(iter(columns.values())))))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2.5e3", "NA", "+4", "007"], "number"),
        ([1, None, 2.5], "number"),
        ([True, False, None], "boolean"),
        (["True", "false", "?"], "boolean"),
        (["a", "b", "a"], "category"),
        (["1", "b", "2", "c"], "category"),
        (["2013-01-01", "2013-01-02T01:00:00Z"], "time"),
        (["the cat sat on the mat", "a dog ran over the hill"], "text"),
        ([{"a": 1}], "ignored"),
        (["", "NA", None], "ignored"),
        (["1", "1e300", "2", "-1e300"], "category"),  # float32 cannot hold them
        ([f"id{i}" for i in range(50)], "ignored"),
        ([1_356_998_400 + i for i in range(30)], "time"),
    ],
)
def test_kind_of_a_column(values: list[Any], kind: str) -> None:
    assert infer("x", values).kind == kind


def test_same_values_as_text_and_as_json_are_equal() -> None:
    cells, values = ["1", "2.5", "", "true"], [1, 2.5, None, True]
    np.testing.assert_array_equal(as_numbers(cells), as_numbers(values))
    assert as_texts(cells) == as_texts(values)
    assert as_times(["10", "1.5"]).tolist() == as_times([10, 1.5]).tolist()


@pytest.mark.parametrize("cell", ["1_000", "0x10", "\uff11", "inf", "1e999", "one", "--1"])
def test_what_is_no_finite_number_is_a_misfit_and_counted(cell: str) -> None:
    schema = _schema()
    x = _packed(schema, {"size": ["1", cell]})
    assert np.isnan(x["number"][1, 0])
    assert schema.misfits == {"size": 1}


def test_missing_values_are_no_misfits() -> None:
    schema = _schema()
    x = _packed(schema, {"size": ["NA", "", "?", "None", "null", "NaN", " "]})
    assert np.isnan(x["number"][:, 0]).all()
    assert schema.misfits == {}


@pytest.mark.parametrize("start", [1.7e9, -4e12, 2.0**40])
def test_close_numbers_far_from_zero_stay_different(start: float) -> None:
    values = [start + i % 2 for i in range(40)]
    schema = Schema(kinds={"n": "number"})
    schema.begin({"n": values})
    x = _packed(schema, {"n": values})
    assert len(np.unique(x["number"])) == 2
    assert schema.values(x, "n").tolist() == values


def test_rows_are_dicts_without_what_is_missing() -> None:
    schema = _schema()
    rows = schema.rows(_packed(schema, FIRST))
    assert rows[0]["size"] == 1.5
    assert rows[0]["colour"] == "red"
    assert rows[0]["when"].isoformat() == "2013-01-01T05:15:00+00:00"
    assert rows[1].keys() == {"colour", "when", "ok"}
    assert rows[3].keys() == {"size", "when"}


def test_columns_that_come_later_are_added_and_older_rows_miss_them() -> None:
    schema = _schema()
    old = _packed(schema, FIRST)
    x = _packed(schema, {"size": ["1"], "weight": ["7"], "shape": ["round"]})
    assert schema.names[-2:] == ["shape", "weight"]
    assert schema.rows(x) == [{"size": 1.0, "weight": 7.0, "shape": "round"}]
    both = joined_rows([old, x])
    assert schema.rows(both)[:4] == schema.rows(old)
    assert schema.rows(both)[4:] == schema.rows(x)
    assert widened(old, x.dtype).tobytes() == both[:4].tobytes()


def test_rows_read_ahead_of_a_new_column_get_it_when_packed() -> None:
    schema = _schema()
    first = schema.read({"weight": ["7"]}, 1)
    second = schema.read({"size": ["1"], "weight": ["8"]}, 1)
    assert schema.rows(schema.pack(first)) == [{"weight": 7.0}]
    assert schema.rows(schema.pack(second)) == [{"size": 1.0, "weight": 8.0}]


def test_a_column_without_a_value_at_first_is_taken_in_when_it_has_one() -> None:
    schema = Schema()
    schema.begin({"a": ["1", "2"], "gust": ["NA", ""]})
    assert schema.left_out == {"gust": "no value yet"}
    assert schema.rows(_packed(schema, {"a": ["3"], "gust": ["9.5"]})) == [{"a": 3.0, "gust": 9.5}]


def test_a_frozen_schema_refuses_a_new_column() -> None:
    schema = _schema(on_change="freeze")
    with pytest.raises(ConfigError, match="'weight'"):
        _packed(schema, {"weight": ["7"]})
    _packed(schema, {"size": ["7"]})  # a column that has vanished is missing


def test_excluded_and_declared_columns() -> None:
    assert _schema(exclude=["co*", "ok"]).names == ["size", "when"]
    assert _schema(kinds={"size": "category"}).kind("size") == "category"
    with pytest.raises(ValueError, match="must be one of"):
        Schema(kinds={"size": "numeric"})  # type: ignore[dict-item]


def test_joined_parts_equal_the_whole() -> None:
    schema = _schema()
    parts = [schema.read({k: v[i : i + 1] for k, v in FIRST.items()}, 1) for i in range(4)]
    whole = schema.pack(schema.read(FIRST, 4))
    assert schema.pack(join_tables(parts)).tobytes() == whole.tobytes()
    taken = schema.pack(schema.read(FIRST, 4).take(slice(1, 3)))
    assert taken.tobytes() == whole[1:3].tobytes()


def test_state_is_exact() -> None:
    schema = _schema()
    x = _packed(schema, {"size": ["x"], "colour": ["green"], "new": ["5"]})
    copy = Schema()
    copy.load_state_dict(schema.state_dict())
    np.testing.assert_equal(copy.state_dict(), schema.state_dict())
    more = {"colour": ["violet", "green"], "new": ["1", "2"], "other": ["a", "b"]}
    assert _packed(copy, more).tobytes() == _packed(schema, more).tobytes()
    assert copy.rows(x) == schema.rows(x)
    with pytest.raises(CheckpointError, match="exclude"):
        Schema(exclude=["size"]).load_state_dict(schema.state_dict())


def test_categories_beyond_the_table_are_hashed_and_counted() -> None:
    categories = Categories(3)
    codes = categories.codes([f"c{i}" for i in range(100)])
    assert codes[:3].tolist() == [0, 1, 2]
    assert ((codes[3:] >= 3) & (codes[3:] < 3 + HASHED)).all()
    assert (len(categories), categories.hashed) == (3, 97)
    assert categories.codes(["c50"]) == codes[50]


def test_texts_of_one_meaning_are_close_and_others_are_not() -> None:
    a, b, c = (
        v.astype(float)
        for v in hash_texts(["Fuel pump failed", "fuel pump FAILED!", "Bird hit the wing"], 256)
    )
    assert (a == b).all()
    assert a @ c < 0.5 * (a @ a)
    assert not hash_texts(["", None, "!!"], 256).any()
    assert hash_texts(["x" * 10**6], 64).shape == (1, 64)


def test_hashes_of_a_text_do_not_depend_on_its_neighbours() -> None:
    texts = ["red wine", None, "ünïcode, naïve", "a", "", "two words"]
    alone = np.concatenate([hash_texts([text], 128) for text in texts])
    np.testing.assert_array_equal(hash_texts(texts, 128), alone)


def test_times_that_cannot_be_read_are_missing() -> None:
    times = as_times(["yesterday", "2013-13-01", None, "1970-01-01", 1e300, [1]])
    assert times.tolist() == [NO_TIME, NO_TIME, NO_TIME, 0, NO_TIME, NO_TIME]


def test_rows_of_numbers_are_arrays_until_one_has_a_gap() -> None:
    schema = Schema()
    schema.begin({"a": ["1", "2"], "b": ["3", "4"]})
    first = _packed(schema, {"a": ["5", "6"], "b": ["7", "8"]})
    assert first.tolist() == [[5.0, 7.0], [6.0, 8.0]]
    second = _packed(schema, {"a": ["5", ""], "b": ["7", "8"]})
    assert schema.rows(joined_rows([first, second]))[-1] == {"b": 8.0}
    assert schema.rows(_packed(schema, {"a": ["5"], "b": ["7"]})) == [{"a": 5.0, "b": 7.0}]


@pytest.mark.parametrize("size", [1, 2, 6])
def test_a_kind_inferred_from_few_rows_widens_to_categories(size: int) -> None:
    values = ["5", "A3", "7", "B1", "A3", "5", "A3", "C", "5", "9", "A3", "C"]
    schema = Schema()
    schema.begin({"gate": ["5", "7"], "n": ["1", "2"]})
    assert [column.kind for column in schema.columns] == ["number", "number"]
    ahead = [
        schema.read({"gate": values[i : i + size], "n": ["1"] * size}, size)
        for i in range(0, 12, size)
    ]
    rows = [row for part in ahead for row in schema.rows(schema.pack(part))]
    assert [str(row.get("gate")) for row in rows[-5:]] == ["C", "5", "9", "A3", "C"]
    assert schema.rows(_packed(schema, {"gate": ["7"], "n": ["4"]})) == [{"gate": "7", "n": 4.0}]
    again = Schema()
    again.load_state_dict(schema.state_dict())
    assert again.dtype == schema.dtype


def test_a_kind_inferred_from_many_rows_stays() -> None:
    schema = Schema(infer_rows=2)
    schema.begin({"gate": ["5", "7"], "n": ["1", "2"]})
    for value in ("A1", "B2", "C3"):
        assert schema.rows(_packed(schema, {"gate": [value], "n": ["1"]})) == [{"n": 1.0}]
    assert schema.misfits == {"gate": 3}


def test_rows_left_over_keep_no_value_of_a_new_column_from_rows_read_later() -> None:
    schema = Schema(infer_rows=1)
    schema.begin({"a": [1.0]})
    columns: dict[str, Any] = {"a": [1, 2, 3], "size": [5, None, 6], "note": ["p", "q", None]}
    first = schema.read(columns, 3)
    assert schema.rows(schema.pack(first.take(slice(0, 1)))) == [{"a": 1, "size": 5, "note": "p"}]
    second = schema.read({"a": [4], "size": [7], "note": ["r"]}, 1)
    joined = join_tables([first.take(slice(1, 3)), second])
    assert schema.rows(schema.pack(joined)) == [
        {"a": 2, "note": "q"},
        {"a": 3, "size": 6},
        {"a": 4, "size": 7, "note": "r"},
    ]


def test_a_column_is_taken_in_by_rows_that_have_a_value() -> None:
    schema = Schema(infer_rows=1)
    schema.begin({"a": [1.0]})
    rows = schema.read({"a": [1, 2], "size": [None, 6]}, 2)
    assert schema.rows(schema.pack(rows.take(slice(0, 1)))) == [{"a": 1}]
    assert (schema.names, schema.changes.take()) == (["a"], [])
    assert schema.rows(schema.pack(rows.take(slice(1, 2)))) == [{"a": 2, "size": 6}]
    assert [(each["column"], each["since"]) for each in schema.changes.take()] == [("size", 2)]
