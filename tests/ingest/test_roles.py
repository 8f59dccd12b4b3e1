"""Which fields are features, which have a role, and which are left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.errors import ConfigError
from streamreplay.ingest import CsvSource, JsonlSource, open_npz
from streamreplay.ingest.decode.roles import FieldsInUse

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
    assert used(words).left_out == {"time": "text"}
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
def test_text_is_left_out(tmp_path: Path, form: str) -> None:
    source = opened(tmp_path, form, table(c="red"))
    assert used(source).left_out == {"c": "text"}
    assert (len(source.labels), source.dead, source.left_out) == (2, 0, ["c"])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_an_empty_cell_may_be_a_number(tmp_path: Path, size: int) -> None:
    source = opened(tmp_path, "csv", table(c=[None, *[1.0] * 19]), batch_size=size)
    assert sum(map(len, source)) == 19
    assert (source.feature_names, source.dead) == (["a", "c"], 1)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("absent", [False, True])
def test_a_field_that_the_first_record_lacks_is_named(
    tmp_path: Path, size: int, *, absent: bool
) -> None:
    records = [dict(each) for each in table(60, c=[None] * 3 + [1.0] * 57)]
    for record in records[:3] if absent else ():
        del record["c"]
    source = opened(tmp_path, "jsonl", records, batch_size=size)
    notices = [notice for _ in source for notice in source.take_notices()]
    assert used(source).left_out == ({} if absent else {"c": "missing in the first record"})
    assert notices == ["line 4 has fields that were not there before, and are not learned: c"]
    assert (source.feature_names, source.dead) == (["a"], 0)


def test_kinds_in_json(tmp_path: Path) -> None:
    records = table(c=True, d=[[1]] * 20, e=[{"f": 1}] * 20)
    found = used(opened(tmp_path, "jsonl", records))
    assert found.features == {"number": ["a"], "boolean": ["c"]}
    assert found.left_out == {"d": "a list", "e": "an object"}


@pytest.mark.parametrize("size", [1, 64])
def test_a_field_that_comes_later_is_noticed_once(tmp_path: Path, size: int) -> None:
    records = [{"a": 1.0, "y": 0, "b": None} for _ in range(1500)]
    records[1200] |= {"new": 5, "b": 6}
    records[1300] |= {"new": 7, "b": 8}
    source = opened(tmp_path, "jsonl", records, batch_size=size)
    notices = [notice for _ in source for notice in source.take_notices()]
    assert notices == [
        "line 1,201 has fields that were not there before, and are not learned: b, new"
    ]
    assert (source.dead, source.left_out) == (0, ["b"])


def test_notices_of_new_fields_are_bounded(tmp_path: Path) -> None:
    records = [{"a": 1.0, "y": 0, **({f"f{i}": 1} if i > 1100 else {})} for i in range(1500)]
    source = opened(tmp_path, "jsonl", records)
    assert sum(1 for _ in source for _ in source.take_notices()) == 20


@FORMS
def test_what_was_decided_is_resumed(tmp_path: Path, form: str) -> None:
    records = table(60, c=True if form == "jsonl" else 1, d="red", id=5, time=1.7e9)
    one = opened(tmp_path, form, records, batch_size=10)
    next(iter(one))
    other = opened(tmp_path, form, records, batch_size=10)
    other.load_state_dict(one.state_dict())
    assert other.describe() == one.describe() == used(opened(tmp_path, form, records))
    assert [b.x.tolist() for b in other] == [b.x.tolist() for b in one]
