"""Changes of columns, against a reference that looks at one value at a time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.errors import CheckpointError
from streamreplay.features import changes as module
from streamreplay.features.changes import ColumnChanges, describe_change
from streamreplay.features.column_list import ColumnList
from streamreplay.features.kinds import Column
from streamreplay.features.schema import Schema

NAMES = "abc"
COLUMNS = ColumnList()
for each in NAMES:
    COLUMNS.put(each, "number")
FEW = 4  # in place of 1,000 rows


def reference(present: np.ndarray, lacks: np.ndarray) -> list[tuple[str, str, int, int]]:
    """Follow each column row by row, as the docstring says."""
    found = []
    for place, name in enumerate(NAMES):
        values: list[int] = []  # the rows with any value in which this column has one
        number = filled = longest = 0
        gone = False
        last_number = 0
        for row, there in enumerate(present):
            if not there.any():
                continue
            filled, number = filled + 1, row + 1
            if there[place]:
                if gone:
                    found.append(("back", name, number, number))
                if values:
                    longest = max(longest, filled - values[-1] - 1)
                values.append(filled)
                gone, last_number = False, number
            elif values and not gone:
                if lacks[row, place]:
                    found.append(("vanished", name, number, number))
                    gone = True
                elif filled - values[-1] >= max(FEW, 10 * longest):
                    found.append(("vanished", name, last_number + 1, number))
                    gone = True
    return sorted(found, key=lambda each: each[3])


def packed(present: Any, columns: ColumnList = COLUMNS) -> Any:
    """Return rows with a value where it is said."""
    x = np.zeros(len(present), columns.packed_type(0))
    x["number"][~np.asarray(present)] = np.nan
    return x


def seen(changes: ColumnChanges) -> list[tuple[str, str, int, int]]:
    keys = ("change", "column", "since", "position")
    return [tuple(record[key] for key in keys) for record in changes.take()]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_changes_are_those_of_the_reference_in_any_cut(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    n = data.draw(st.integers(1, 150))
    runs = rng.random((1 + n // 10, len(NAMES))).repeat(10, axis=0)[:n]
    present = rng.random((n, len(NAMES))) < runs.round()
    lacks = (rng.random((n, len(NAMES))) < 0.02) & ~present
    changes, found, start = ColumnChanges(), [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SILENT", FEW)
        patch.setattr(module, "_AT_ONCE", data.draw(st.integers(1, 20)))
        patch.setattr(module, "_MOST_AHEAD", data.draw(st.integers(1, FEW)))
        while start < n:
            end = start + data.draw(st.integers(1, 40))
            said = {name: lacks[start:end, i] for i, name in enumerate(NAMES)}
            said = {name: each for name, each in said.items() if each.any()}
            changes.look(COLUMNS, packed(present[start:end]), said)
            found += seen(changes)
            assert sorted(found) == sorted(reference(present[:end], lacks[:end]))
            if data.draw(st.booleans()):
                again = ColumnChanges()
                changes.catch_up(COLUMNS)
                again.load(changes.STATE.save(changes), len(NAMES))
                changes = again
            start = end
    assert [each[3] for each in found] == sorted(each[3] for each in found)
    assert changes.rows == n


def test_a_sparse_column_does_not_vanish() -> None:
    """A value in one row of 100 leaves gaps above 1,000 rows once in 20,000: none is a change."""
    rng = np.random.default_rng(0)
    present = np.stack([np.ones(30_000, bool), rng.random(30_000) < 0.01], axis=1)
    changes, columns = ColumnChanges(), ColumnList()
    for name in "ab":
        columns.put(name, "number")
    for start in range(0, len(present), 64):
        changes.look(columns, packed(present[start : start + 64], columns))
    assert seen(changes) == []
    changes.look(columns, packed(np.tile([True, False], (20_000, 1)), columns))
    ((change, name, since, position),) = seen(changes)
    assert (change, name) == ("vanished", "b")
    last = 1 + int(np.flatnonzero(present[:, 1])[-1])
    gaps = np.diff(np.flatnonzero(present[:, 1])) - 1
    assert (since, position) == (last + 1, last + 10 * int(gaps.max()))


def test_a_column_of_numbers_alone_that_vanishes() -> None:
    """Arrays of numbers become rows of a table by it."""
    schema = Schema(infer_rows=2)
    schema.begin({"a": ["1", "2"], "b": ["3", "4"], "empty": ["", ""]})
    schema.pack(schema.read({"a": ["1", "2"], "b": ["3", "4"]}, 2))
    assert not schema.packed
    schema.pack(schema.read({"a": ["1"]}, 1))
    schema.pack(schema.read({"a": ["1"], "b": ["5"]}, 1))
    assert [(each["change"], each["column"], each["since"]) for each in schema.changes.take()] == [
        ("vanished", "b", 3),
        ("back", "b", 4),
    ]


def test_rows_without_columns_of_their_own_wait_for_a_thousand() -> None:
    schema = Schema(infer_rows=2)
    schema.begin({"a": [1, 2], "b": [3, 4]})
    schema.pack(schema.read({"a": [1, 2], "b": [3, 4]}, 2))
    for _ in range(999):
        schema.pack(schema.read({"a": [1]}, 1, sparse=True))
    assert schema.changes.take() == []
    schema.pack(schema.read({"a": [1]}, 1, sparse=True))
    (change,) = schema.changes.take()
    assert describe_change(change) == "column 'b' is missing from row 3 on"
    assert change["position"] == 1002


@pytest.mark.parametrize("size", [1, 7, 3000])
def test_labels_that_come_late_make_no_column_vanish(size: int) -> None:
    schema = Schema(infer_rows=2)
    schema.begin({"a": [1, 2], "b": [3, 4]})
    values: list[Any] = [1] * 100 + [None] * 3000 + [1] * 100
    for start in range(0, len(values), size):
        part = values[start : start + size]
        schema.pack(schema.read({"a": part, "b": part}, len(part), sparse=True))
    assert schema.changes.take() == []


def test_changes_without_end_have_fifty_records_of_each_sort() -> None:
    changes = ColumnChanges()
    for place in range(500):
        changes.add("new", Column(f"c{place}", "number", place), place, place)
    changes.add("back", COLUMNS["a"], 501, 501)
    found = changes.take()
    assert (len(found), changes.counts) == (51, {"new": 500, "back": 1})
    assert describe_change(found[49]).endswith("are new are counted, not named")
    assert "counted" not in describe_change(found[48]) + describe_change(found[50])


def test_a_kind_that_widens_is_a_change() -> None:
    schema = Schema()
    schema.begin({"gate": ["5", "7"], "n": ["1", "2"]})
    for gate in ("5", "A3", "7", "B1", "A3", "5", "A3", "C", "5", "9"):
        schema.pack(schema.read({"gate": [gate], "n": ["1"]}, 1))
    (change,) = schema.changes.take()
    assert describe_change(change) == "column 'gate' is learned as a category from row 8 on"
    assert (change["change"], change["learned_as"]) == ("widened", "category")


def test_rows_to_be_predicted_are_counted_from_the_first() -> None:
    schema = Schema(infer_rows=2)
    schema.begin({"a": [1, 2], "b": [3, 4]})
    schema.pack(schema.read({"a": [1, 2], "b": [3, 4]}, 2))
    schema.close()
    schema.pack(schema.read({"a": [1], "new": [1]}, 1))
    (change,) = schema.changes.take()
    assert describe_change(change) == "column 'b' is missing from row 1 on"


def test_a_state_of_another_table_is_refused() -> None:
    changes = ColumnChanges()
    changes.look(COLUMNS, packed(np.ones((2, 3), np.bool_)))
    changes.catch_up(COLUMNS)
    with pytest.raises(CheckpointError, match=r"last: saved \(3,\) columns, this pipeline has 2"):
        ColumnChanges().load(changes.STATE.save(changes), 2)
