"""The rules for single values, and that the fast column functions keep to them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.ingest.decode import values as v

ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 64), 1 << 64),
    st.floats(),
    st.integers(-3, 3).map(float),
    st.text(max_size=3),
    st.just("a" * 257),
    st.just("2024-05-01T12:00:00Z"),
    st.lists(st.integers(), max_size=2),
)


@pytest.mark.parametrize(
    ("value", "name"),
    [("a", "a"), ("1", "1"), (1, 1), (-7, -7), (3.0, 3), (True, "true"), (False, "false")],
)
def test_label_names(value: Any, name: Any) -> None:
    found = v.label_name(value)
    assert found == name
    assert type(found) is type(name)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "label 1.5 is neither a string nor an integer"),
        ([1], "label [1] is neither a string nor an integer"),
        (math.nan, "label nan is neither a string nor an integer"),
        (1 << 63, "label 9223372036854775808 does not fit 64 bits"),
    ],
)
def test_what_is_no_label(value: Any, reason: str) -> None:
    with pytest.raises(v.BadRecord) as caught:
        v.label_name(value)
    assert str(caught.value) == reason


@pytest.mark.parametrize("value", [1.5, "1", True, [1], math.inf, 1 << 63])
def test_what_is_no_integer(value: Any) -> None:
    with pytest.raises(v.BadRecord, match=r"^task "):
        v.integer("task", value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"), (5.0, "5"), (-0.0, "0"), ("5", "5"), ("05", "05"), ("5.0", "5.0"), (" 5", " 5"),
        (-7, "-7"), (2**64 - 1, "18446744073709551615"), ("\uff15", "\uff15"), ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_an_id_is_text(value: Any, text: str | None) -> None:
    assert v.row_id(value) == text


@pytest.mark.parametrize("value", [1.5, 1e17, True, [1], "a" * 257, "a\0", 1 << 64])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(v.BadRecord, match=r"^id "):
        v.row_id(value)


@pytest.mark.parametrize("value", ["noon", True, [1], math.nan, math.inf, ""])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(v.BadRecord, match=r"^time "):
        v.seconds(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (-1.5, -1.5),
        ("2024-05-01T12:00:00Z", 1714564800.0),
        ("2024-05-01T12:00:00", 1714564800.0),
        ("2024-05-01 14:00:00.25+02:00", 1714564800.25),
    ],
)
def test_times(value: Any, seconds: float) -> None:
    assert v.seconds(value) == seconds


COLUMNS: list[tuple[Callable[[Any], Any], Callable[[list[Any]], Any]]] = [
    (v.json_label, v.json_labels),
    (lambda value: v.integer("task", value), lambda column: v.integers("task", column)),
    (v.row_id, v.row_ids),
    (v.seconds, v.times),
]


@pytest.mark.parametrize(("one", "many"), COLUMNS)
@given(column=st.lists(ANY, min_size=1, max_size=4))
def test_a_column_is_judged_as_its_values(
    one: Callable[[Any], Any], many: Callable[[list[Any]], Any], column: list[Any]
) -> None:
    try:
        expected = [one(value) for value in column]
    except v.BadRecord:
        with pytest.raises(v.BadRecord):
            many(column)
        return
    found = many(column)
    if found is None:
        assert all(value is None for value in column)
    else:
        assert list(map(repr, np.asarray(found, object))) == list(
            map(repr, np.asarray(expected, object))
        )


@given(st.lists(ANY, min_size=1, max_size=4))
def test_packed_numbers_are_judged_one_by_one(column: list[Any]) -> None:
    try:
        expected = [v.number("f", value) for value in column]
    except v.BadRecord:
        with pytest.raises(v.BadRecord):
            v.pack(column, (1,))
        return
    x = v.pack(column, (1,))
    assert x.shape == (len(column), 1)
    np.testing.assert_array_equal(x[:, 0], v.float32s(np.array(expected)))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12), (" -3 ", -3), ("0", 0), ("007", "007"), ("+7", "+7"), ("-0", 0), ("1.0", 1),
        ("1.50", "1.5"), ("1e3", 1000), (".5", ".5"), ("1.", "1."), ("0x10", "0x10"),
        ("nan", "nan"),
        ("inf", "inf"), ("1_0", "1_0"), ("٣", "٣"), (" cat ", "cat"), ("", None), ("  ", None),
        ("9223372036854775807", (1 << 63) - 1), ("9223372036854775808", "9223372036854775808"),
        ("12345678901234567890123", "12345678901234567890123"), ("1e300", "1e300"),
        ("1e400", "1e400"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_label_cells(cell: str, value: Any) -> None:
    found = v.label_cell(cell)
    assert found == value
    assert type(found) is type(value)


@given(st.one_of(st.integers(-3, 3).map(float), st.floats(allow_nan=False), st.integers()))
def test_a_number_is_one_label_in_json_and_in_a_cell(value: float) -> None:
    text = json.dumps(value)
    try:
        expected = v.json_label(value)
    except v.BadRecord:  # a number with too many digits
        expected = text
    assert v.label_cell(text) == expected
