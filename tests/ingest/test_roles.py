"""Which fields are features, which have a role, and which are left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.errors import ConfigError
from streamreplay.features.changes import describe_change
from streamreplay.features.schema import Schema
from streamreplay.ingest import CsvSource, JsonlSource, open_npz
from streamreplay.ingest.decode.roles import FieldsInUse
from tests.ingest.tables import numbers_of, rows_of

Records = Sequence[dict[str, Any]]


def opened(folder: Path, form: str, records: Records, **options: Any) -> CsvSource | JsonlSource:
    path = folder / f"rows.{form}"
    if form == "jsonl":
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        return JsonlSource(path, **options)
    names = list(dict.fromkeys(name for record in records for name in record))
    cells = [["" if record.get(name) is None else str(record[name]) for name in names]
             for record in records]  # fmt: skip
    path.write_text("".join(f"{','.join(line)}\n" for line in [names, *cells]))
    return CsvSource(path, **options)


def used(source: CsvSource | JsonlSource) -> FieldsInUse:
    if source.describe() is None:
        next(iter(source))
    found = source.describe()
    assert found is not None
    return found


def table(n: int = 20, /, **columns: Any) -> Records:
    """Rows of a table; a list goes by row, anything else is the same in each."""
    return [
        {"a": i + 0.5, **{k: v[i] if isinstance(v, list) else v for k, v in columns.items()},
         "y": "pq"[i % 2]}
        for i in range(n)
    ]  # fmt: skip


FORMS = pytest.mark.parametrize("form", ["csv", "jsonl"])


@FORMS
@pytest.mark.parametrize("name", ["experience", "task", "weight", "Experience", "ID", "Time"])
def test_a_column_is_a_feature_whatever_it_is_called(tmp_path: Path, form: str, name: str) -> None:
    source = opened(tmp_path, form, table(**{name: [float(i) for i in range(20)]}))
    assert used(source).features["number"] == ["a", name]
    assert (used(source).roles, source.dead) == ({}, 0)


@FORMS
@pytest.mark.parametrize("name", ["experience", "task", "weight"])
def test_a_column_has_a_role_where_it_is_named(tmp_path: Path, form: str, name: str) -> None:
    source = opened(tmp_path, form, table(**{name: 3}), **{name: name})
    (batch,) = source
    assert set(getattr(batch, name).tolist()) == {3}
    assert used(source).features["number"] == ["a"]
    assert used(source).roles == {name: name}


@FORMS
def test_id_is_taken_from_a_table(tmp_path: Path, form: str) -> None:
    (batch,) = source = opened(tmp_path, form, table(3, id=[7, 8, 9]))
    assert batch.id is not None
    assert batch.id.tolist() == ["7", "8", "9"]
    assert used(source).roles == {"id": "id"}


TIMES = [1_714_564_800, 315_532_800.0, "2024-05-01", "2024-05-01T12:00:00Z"]
NO_TIMES = [0, 0.43, 12, 315_532_799, -5, 1_714_564_800_000]


@FORMS
@pytest.mark.parametrize("first", [*TIMES, *NO_TIMES])
def test_time_is_taken_where_it_shows_that_it_is_one(tmp_path: Path, form: str, first: Any) -> None:
    source = opened(tmp_path, form, table(time=[first, *[first] * 19]))
    (batch,) = source
    assert used(source).roles == ({"time": "time"} if first in TIMES else {})
    assert (batch.time is not None) == (first in TIMES)
    assert source.feature_names == (["a"] if first in TIMES else ["a", "time"])
    assert source.dead == 0


@FORMS
def test_a_time_that_is_missing_or_text(tmp_path: Path, form: str) -> None:
    times = [None, None, *["2024-05-01"] * 18]
    (batch,) = source = opened(tmp_path, form, table(time=times))
    assert source.feature_names == ["a"]
    assert batch.time is not None
    assert np.isnan(batch.time).tolist() == [True] * 2 + [False] * 18
    words = opened(tmp_path, form, table(time="morning"))
    assert (used(words).features["category"], used(words).roles) == (["time"], {})
    assert words.dead == 0


@FORMS
@pytest.mark.parametrize("features", [None, ["a", "time"], ["time"]])
def test_what_is_asked_for_has_no_role_by_its_name(
    tmp_path: Path, form: str, features: Any
) -> None:
    records = table(id=[float(i) for i in range(20)], time=1.5e9)
    source = opened(tmp_path, form, records, label="id", features=features)
    assert used(source).goal == {"label": "id"}
    assert "id" not in used(source).roles
    assert ("time" in used(source).roles) == (features is None)
    assert len(source.labels) == 20


def test_a_record_with_an_array_has_fields_by_name(tmp_path: Path) -> None:
    record = {"x": [1.0, 2.0], "y": 1, "task": 2, "experience": 3, "id": 4, "time": 5, "weight": 6}
    (batch,) = source = opened(tmp_path, "jsonl", [record])
    assert (batch.task[0], batch.experience[0]) == (2, 3)
    assert batch.id is not None
    assert batch.time is not None
    assert batch.weight is not None
    assert (batch.id[0], batch.time[0], batch.weight[0]) == ("4", 5, 6)
    assert used(source).features == {"array of 2 numbers": ["x"]}
    path = tmp_path / "rows.npz"
    columns: Any = {key: np.array([value]) for key, value in record.items()}
    np.savez(path, **columns, more=[1])
    arrays = open_npz(path)
    (row,) = arrays
    assert (row.task[0], row.experience[0]) == (2, 3)
    assert row.weight is not None
    assert sorted(arrays.describe().roles) == ["experience", "id", "task", "time", "weight"]
    assert arrays.describe().left_out == {"more": "not asked for"}


def test_an_array_called_weight_with_another_shape_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, x=np.zeros((3, 2)), y=[0, 1, 0], weight=np.zeros((5, 5)))
    (batch,) = source = open_npz(path)
    assert batch.weight is None
    assert source.describe().left_out == {"weight": "not asked for"}
    with pytest.raises(ConfigError, match="weight must have shape"):
        open_npz(path, weight="weight")


@FORMS
@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["red"] * 20, "category"),
        ([None, *["red"] * 19], "category"),
        ([None] * 3 + [1.0] * 17, "number"),
        ([f"a note of {i} words" for i in range(20)], "text"),
        ([f"2024-05-{i + 1:02}" for i in range(20)], "time"),
        (["true"] * 20, "boolean"),
    ],
)
def test_a_column_is_learned_as_its_kind(
    tmp_path: Path, form: str, column: list[Any], kind: str
) -> None:
    source = opened(tmp_path, form, table(c=column))
    rows = [row for batch in source for row in rows_of(batch)]
    assert source.describe() == FieldsInUse(
        {"number": ["a"], kind: ["c"]} if kind != "number" else {"number": ["a", "c"]},
        {"label": "y"},
    )
    assert (len(rows), source.dead, source.left_out) == (20, 0, [])
    assert [row["a"] for row in rows] == [i + 0.5 for i in range(20)]
    present = [each is not None and kind != "text" for each in column]
    assert ["c" in row for row in rows] == present
    if kind in ("category", "number"):
        assert [row.get("c") for row in rows] == column


@FORMS
@pytest.mark.parametrize(
    ("column", "reason"),
    [([None] * 20, "no value yet"), ([f"k{i}" for i in range(20)], "every value is new")],
)
def test_why_a_column_is_left_out(
    tmp_path: Path, form: str, column: list[Any], reason: str
) -> None:
    source = opened(tmp_path, form, table(c=column))
    assert used(source).left_out == {"c": reason}
    assert sum(map(len, source)) == 0
    assert (source.position, source.dead, source.left_out) == (20, 0, ["c"])


@FORMS
@pytest.mark.parametrize("missing", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("absent", [False, True])
def test_what_the_first_records_lack_is_learned(
    tmp_path: Path, form: str, missing: int, size: int, *, absent: bool
) -> None:
    records = [dict(each) for each in table(60, c=[None] * missing + [1.0] * (60 - missing))]
    for record in records[:missing] if absent and form == "jsonl" else ():
        del record["c"]
    source = opened(tmp_path, form, records, batch_size=size)
    rows = [row for batch in source for row in rows_of(batch)]
    assert rows == [
        {"a": i + 0.5, **({"c": 1.0} if i >= missing else {})} for i in range(60)
    ]  # fmt: skip
    assert (source.feature_names, source.dead, source.schema.changes.take()) == (["a", "c"], 0, [])


@FORMS
@pytest.mark.parametrize("gap", [None, "NA", "nan", "?"])
def test_a_field_that_is_missing_in_the_first_record_is_learned(
    tmp_path: Path, form: str, gap: Any
) -> None:
    """The first record of a table decides neither what is learned nor that it has a gap."""
    records = [
        {"noise": i % 7 / 8, "signal": gap if i == 0 else i % 2 * 2.0 - 1, "y": "ab"[i % 2]}
        for i in range(600)
    ]
    source = opened(tmp_path, form, records)
    rows, labels = [], []
    for batch in source:
        rows += rows_of(batch)
        labels += [source.labels.name(y) for y in batch.y.tolist()]
    signal = [{}, *({"signal": each["signal"]} for each in records[1:])]
    assert rows == [{"noise": i % 7 / 8, **signal[i]} for i in range(600)]
    assert (labels, source.dead) == ([each["y"] for each in records], 0)
    assert (used(source).features, source.schema.misfits) == ({"number": ["noise", "signal"]}, {})


@FORMS
@pytest.mark.parametrize("size", [1, 32])
def test_gaps_in_every_fifth_row_lose_no_row(tmp_path: Path, form: str, size: int) -> None:
    records = [
        {"a": i / 4, "b": None if i and i % 5 == 0 else -i / 4, "y": "pq"[i % 2]}
        for i in range(600)
    ]
    source = opened(tmp_path, form, records, batch_size=size)
    rows = [row for batch in source for row in numbers_of(batch)]
    assert rows == [[each["a"], each["b"]] for each in records]
    assert (source.position, source.dead, source.schema.misfits) == (600, 0, {})


def test_kinds_in_json(tmp_path: Path) -> None:
    records = table(c=True, d=[[1]] * 20, e=[{"f": 1}] * 20)
    found = used(opened(tmp_path, "jsonl", records))
    assert found.features == {"number": ["a"], "boolean": ["c"]}
    assert found.left_out == {"d": "nested", "e": "nested"}


@pytest.mark.parametrize("size", [1, 64])
def test_a_field_that_comes_later_is_noticed_once(tmp_path: Path, size: int) -> None:
    records = [{"a": 1.0, "y": 0, "b": None} for _ in range(1500)]
    records[1200] |= {"new": 5, "b": 6}
    records[1300] |= {"new": 7, "b": 8}
    source = opened(tmp_path, "jsonl", records, batch_size=size)
    rows: list[Any] = []
    notices: list[str] = []
    for batch in source:
        rows += rows_of(batch)
        notices += map(describe_change, source.schema.changes.take())
    assert notices == [
        "column 'b' is new at row 1,201, learned as a number",
        "column 'new' is new at row 1,201, learned as a number",
    ]
    assert rows == [
        {key: v for key, v in each.items() if key != "y" and v is not None} for each in records
    ]
    assert (source.dead, source.left_out) == (0, [])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_no_value_of_a_new_field_is_lost(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows read before a column was taken in leave together with rows that were read after it."""
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", 700)
    records: list[dict[str, Any]] = [{"a": i, "y": 0} for i in range(300)]
    for i in range(150, 300, 3):
        records[i] |= {"new": i, "note": "ab"[i % 2]}
    source = JsonlSource(
        opened(tmp_path, "jsonl", records).path, batch_size=size, schema=Schema(infer_rows=10)
    )
    rows = [row for batch in source for row in rows_of(batch)]
    assert rows == [{key: v for key, v in each.items() if key != "y"} for each in records]


def test_notices_of_new_fields_are_bounded(tmp_path: Path) -> None:
    records = [{"a": 1.0, "y": 0, **({f"f{i}": 1} if i > 1100 else {})} for i in range(1500)]
    source = opened(tmp_path, "jsonl", records)
    said = [describe_change(each) for _ in source for each in source.schema.changes.take()]
    assert (len(said), source.schema.changes.counts) == (50, {"new": 399})
    assert said[-1].endswith("; further columns that are new are counted, not named")


def test_the_columns_of_a_table_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreplay.features.schema._MOST_COLUMNS", 50)
    records = [{"a": 1.0, "y": 0, **({f"f{i}": 1} if i > 1100 else {})} for i in range(1500)]
    source = opened(tmp_path, "jsonl", records)
    assert sum(map(len, source)) == 1500
    assert (len(source.schema.names), len(source.schema.columns)) == (50, 51)


@FORMS
def test_what_was_decided_is_resumed(tmp_path: Path, form: str, exact: Any) -> None:
    records = table(60, c=True if form == "jsonl" else 1, d="red", id=5, time=1.7e9)
    one = opened(tmp_path, form, records, batch_size=10)
    next(iter(one))
    other = opened(tmp_path, form, records, batch_size=10)
    other.load_state_dict(one.state_dict())
    assert other.describe() == one.describe() == used(opened(tmp_path, form, records))
    assert [exact(b) for b in other] == [exact(b) for b in one]
