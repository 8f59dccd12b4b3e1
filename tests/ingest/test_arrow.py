"""Parquet files, Arrow files and Arrow streams: the same rows as from text, from any of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import feather, ipc, parquet

from streamreplay.errors import ConfigError, NoUsableRowError, RecordError, SourceError
from streamreplay.features import Schema
from streamreplay.features.changes import describe_change
from streamreplay.ingest import ArrowSource, CsvSource, JsonlSource, in_memory
from streamreplay.ingest.connect import byte_stream
from tests.ingest.tables import rows_of

NewPipe = Callable[[], Any]
Exact = Callable[[Any], Any]

FORMS = ("parquet", "arrow", "arrows", "arrows.gz")
EACH_FORM = pytest.mark.parametrize("form", FORMS)


def stream(table: pa.Table, cut: int = 7) -> bytes:
    sink = io.BytesIO()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=cut)
    return sink.getvalue()


def save(folder: Path, table: pa.Table, form: str, cut: int = 7) -> Path:
    path = folder / f"rows.{form}"
    if form == "parquet":
        parquet.write_table(table, path, row_group_size=cut)
    elif form == "arrow":
        feather.write_feather(table, path, chunksize=cut)
    else:
        data = stream(table, cut)
        path.write_bytes(gzip.compress(data) if form.endswith("gz") else data)
    return path


def opened(folder: Path, columns: Any, form: str = "parquet", **options: Any) -> ArrowSource:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    return ArrowSource(save(folder, table, form), **options)


def numbers(n: int = 20) -> pa.Table:
    return pa.table({"a": [i + 0.5 for i in range(n)], "y": ["pq"[i % 2] for i in range(n)]})


def shown(source: ArrowSource) -> list[float]:
    return [row[0] for batch in source for row in batch.x.tolist()]


# -- the same rows as from text ---------------------------------------------------------------


def flights(n: int) -> list[dict[str, Any]]:
    """Return rows with text, gaps, times, whole numbers and a category that comes late."""
    rng = np.random.default_rng(0)
    start = datetime(2013, 1, 1, 5, tzinfo=UTC)
    rows = [
        {
            "id": 1000 + i,
            "scheduled": start + timedelta(minutes=7 * i),
            "carrier": ["UA", "AA", "B6", "late"][i % (3 + (i > 90))],
            "flight": int(rng.integers(1, 6000)),
            "note": f"gate {i} moved to the {['left', 'right'][i % 2]} of hall {i % 7}",
            "temp": round(float(rng.normal(60, 20)), 2),
            "gust": float(i) if i > 60 else None,  # nothing in the first rows
            "rain": bool(rng.integers(2)),
            "arrival": ["on_time", "late"][int(rng.integers(2))],
        }
        for i in range(n)
    ]
    for i, row in enumerate(rows):
        for name in ("carrier", "temp", "scheduled", "arrival")[: i % 5]:
            if rng.random() < 0.2:
                row[name] = None
    return rows


def as_text(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else value


def write_flights(folder: Path, form: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"flights.{form}"
    texts = [{name: as_text(value) for name, value in row.items()} for row in rows]
    if form == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(texts)
    elif form == "jsonl":
        there = [{k: v for k, v in row.items() if v is not None} for row in texts]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in there))
    else:
        typed = form.startswith("typed ")
        table = pa.Table.from_pylist(rows if typed else texts)
        if typed:
            zone = table.column("scheduled").cast(pa.timestamp("ms", "America/New_York"))
            table = table.set_column(1, "scheduled", zone)
            coded = table.column("carrier").dictionary_encode()
            table = table.set_column(2, "carrier", coded)
        return save(folder, table, form.removeprefix("typed "), 13)
    return path


@pytest.mark.parametrize("form", ["jsonl", *FORMS, "typed parquet", "typed arrow", "typed arrows"])
def test_rows_are_those_of_a_csv(tmp_path: Path, exact: Exact, form: str) -> None:
    rows = flights(150)
    want = CsvSource(write_flights(tmp_path, "csv", rows), label="arrival")
    path = write_flights(tmp_path, form, rows)
    found: Any = JsonlSource if form == "jsonl" else ArrowSource
    source = found(path, label="arrival")
    assert [exact(batch) for batch in source] == [exact(batch) for batch in want]
    assert source.labels.names == want.labels.names == ["on_time", "late"]
    assert source.describe() == want.describe()
    assert exact(source.schema.state_dict()) == exact(want.schema.state_dict())


@pytest.mark.parametrize("infer", [1, 30])
def test_kinds_from_few_rows_are_those_of_a_csv(tmp_path: Path, exact: Exact, infer: int) -> None:
    rows = flights(150)
    forms = {"csv": CsvSource, "parquet": ArrowSource}
    sources: list[Any] = [
        source(
            write_flights(tmp_path, form, rows), label="arrival", schema=Schema(infer_rows=infer)
        )
        for form, source in forms.items()
    ]
    want, found = ([exact(batch) for batch in source] for source in sources)
    assert found == want
    notices = [source.schema.changes.take() for source in sources]
    assert notices[0] == notices[1]


# -- values -----------------------------------------------------------------------------------

VALUES: dict[str, tuple[Any, list[Any]]] = {
    "uint64": (pa.array([1, None, 10**19], pa.uint64()), [1.0, None, 1e19]),
    "half": (pa.array(np.array([0.5, 2, 3], np.float16)), [0.5, 2.0, 3.0]),
    "decimal": (pa.array([Decimal("0.1"), None, Decimal("-2.50")]), [np.float32(0.1), None, -2.5]),
    "nan": (pa.array([1.5, float("nan"), None]), [1.5, None, None]),
    "bool": (pa.array([True, None, False]), [1.0, None, 0.0]),
    "duration": (pa.array([90_500, None, 0], pa.duration("ms")), [90.5, None, 0.0]),
    "text": (pa.array(["a b", None, "NA"]), ["a b", None, None]),
    "large": (pa.array(["a", "b", None], pa.large_string()), ["a", "b", None]),
    "coded": (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
    "coded numbers": (pa.array([3, None, 3]).dictionary_encode(), [3.0, None, 3.0]),
    "clock": (pa.array([5 * 3600, None, 61], pa.time32("s")), ["05:00:00", None, "00:01:01"]),
    "date": (pa.array([date(2024, 5, 1), None, date(1969, 1, 1)]),
             [datetime(2024, 5, 1, tzinfo=UTC), None, datetime(1969, 1, 1, tzinfo=UTC)]),
    "zone": (pa.array([0, None, 1_714_564_800_123_456_789], pa.timestamp("ns", "Asia/Tokyo")),
             [datetime(1970, 1, 1, tzinfo=UTC), None,
              datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)]),
}  # fmt: skip


@EACH_FORM
@pytest.mark.parametrize("what", VALUES)
def test_values(tmp_path: Path, form: str, what: str) -> None:
    column, want = VALUES[what]
    source = opened(tmp_path, {"a": column, "b": [0.5, 1.5, 2.5]}, form, label=False)
    found = [row.get("a") for batch in source for row in all_of(batch)]
    assert found == want


def all_of(batch: Any) -> list[dict[str, Any]]:
    if batch.x.dtype == np.float32:
        return [dict(zip(batch.feature_names, row, strict=True)) for row in batch.x.tolist()]
    return rows_of(batch)


@EACH_FORM
def test_what_is_nested_is_left_out(tmp_path: Path, form: str) -> None:
    columns = {
        "list": [[1], [2, 3]],
        "struct": [{"a": 1}, None],
        "image": [b"\xff", b""],
        "a": [1.0, 2.0],
        "y": ["p", "q"],
    }
    source = opened(tmp_path, columns, form)
    assert shown(source) == [1.0, 2.0]
    found = source.describe()
    assert found is not None
    assert found.features == {"number": ["a"]}
    assert found.left_out == {"list": "nested", "struct": "nested", "image": "bytes"}


@EACH_FORM
@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 2), pa.list_(pa.int64())])
def test_a_column_of_lists_is_an_array(tmp_path: Path, form: str, kind: Any) -> None:
    x = pa.array([[i, i + 1] for i in range(20)], kind)
    source = opened(tmp_path, {"x": x, "y": list(range(20)), "z": list(range(20))}, form)
    found = np.concatenate([batch.x for batch in source])
    assert found.dtype == np.float32
    assert found.tolist() == [[i, i + 1] for i in range(20)]
    assert (source.feature_names, source.left_out) == (["x"], ["z"])
    assert source.feature_shape == (2,)


def test_arrays_that_differ_are_put_aside(tmp_path: Path) -> None:
    image = [[[1.0, 2.0], [3.0, 4.0]]] * 4
    columns = {"x": [*image, [[1.0]], None, [[1.0, 2.0], [3.0]], [[1.0, None], [2.0, 3.0]], *image]}
    letters: list[dict[str, Any]] = []
    source = opened(tmp_path, columns, label=False, on_dead=letters.append)
    assert [batch.x.shape for batch in source] == [(8, 2, 2)]
    assert [(each["line"], each["reason"]) for each in letters] == [
        (5, "x has shape [1, 1], expected [2, 2]"),
        (6, "x is missing"),
        (7, "x is ragged: its parts differ in length"),
        (8, "x[0][1] is missing"),
    ]
    assert letters[0] == {"line": 5, "source": "rows.parquet", "reason": letters[0]["reason"],
                          "raw": '{"x":[[1.0]]}'}  # fmt: skip


# -- roles ------------------------------------------------------------------------------------


@EACH_FORM
def test_columns_have_roles_by_name(tmp_path: Path, form: str) -> None:
    columns = {
        "a": [1.0, 2.0, 3.0],
        "id": pa.array([7, None, 10**20], pa.decimal128(30, 0)),
        "time": pa.array([0, 1500, None], pa.timestamp("ms", "UTC")),
        "task": pa.array([1, 2, 3], pa.int8()),
        "part": [0, 0, 1],
        "weight": [1.0, 2.0, 0.5],
        "y": pa.array([b"p", b"q", b"p"]),
    }
    source = opened(tmp_path, columns, form, experience="part", weight="weight")
    first, second = source
    ids = [[] if batch.id is None else batch.id.tolist() for batch in (first, second)]
    assert ids == [["7", ""], [str(10**20)]]
    assert first.time is not None
    assert first.time.tolist() == [0.0, 1.5]
    assert first.weight is not None
    assert first.weight.tolist() == [1.0, 2.0]
    assert (first.experience.tolist(), second.experience.tolist()) == ([0, 0], [1])
    assert first.task.tolist() == [0, 0]  # a feature, unless the job names it
    assert source.feature_names == ["a", "task"]
    assert source.labels.names == ["p", "q"]


def test_targets_and_labels_in_lists(tmp_path: Path) -> None:
    columns = {"a": [1.0, 2.0], "b": [3.0, 4.0], "tags": [["x", "y"], []], "y": [0, 1]}
    source = opened(tmp_path, columns, target=["b", "y"])
    (batch,) = source
    assert batch.target is not None
    assert batch.target.tolist() == [[3.0, 0.0], [4.0, 1.0]]
    assert (source.feature_names, source.left_out) == (["a"], ["tags"])
    several = opened(tmp_path, columns, label="tags", multilabel=["y", "x"])
    (batch,) = several
    assert batch.target is not None
    assert batch.target.tolist() == [[True, True], [False, False]]


def test_features_may_be_named(tmp_path: Path) -> None:
    columns = {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": ["m", "n"], "y": [0, 1]}
    source = opened(tmp_path, columns, features=["b", "a"])
    assert [batch.x.tolist() for batch in source] == [[[3.0, 1.0], [4.0, 2.0]]]
    assert (source.feature_names, source.left_out) == (["b", "a"], ["c"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "yy"}, r"rows\.parquet: label 'yy' is not a column \(nearest: 'y'\); the colu"),
        ({"features": ["b"]}, r"feature 'b' is not a column; the columns are a, y"),
        ({"label": False, "target": "z"}, "target 'z' is not a column; the columns are a, y"),
        ({"label": "a", "features": ["y"]}, None),
        ({"features": ["a", "y"], "label": False}, None),
    ],
)
def test_columns_that_are_not_there(
    tmp_path: Path, options: dict[str, Any], message: str | None
) -> None:
    source = opened(tmp_path, numbers(), **options)
    if message is None:
        assert sum(map(len, source)) == 20
        return
    with pytest.raises(ConfigError, match=message):
        list(source)


def test_there_must_be_something_to_learn_from(tmp_path: Path) -> None:
    source = opened(tmp_path, {"s": [{"a": 1}], "y": [1]})
    with pytest.raises(ConfigError, match=r"nothing to learn from: s \(nested\)"):
        list(source)
    twice = pa.Table.from_arrays([pa.array([1.0])] * 2, ["a", "a"])
    with pytest.raises(ConfigError, match="two columns are called 'a'"):
        list(opened(tmp_path, twice, "arrow", label=False))


# -- rows that cannot be used -----------------------------------------------------------------


@EACH_FORM
def test_rows_that_cannot_be_used_are_put_aside(tmp_path: Path, form: str) -> None:
    weight = [1.0, -1.0, None, 2.0, -5.0]
    letters: list[dict[str, Any]] = []
    columns = {"a": [1.0, 2.0, 3.0, 4.0, 5.0], "w": weight, "y": list("ppqqp")}
    source = opened(tmp_path, columns, form, weight="w", on_dead=letters.append, batch_size=2)
    assert shown(source) == [1.0, 3.0, 4.0]
    assert [(each["line"], each["reason"]) for each in letters] == [
        (2, "weight must be at least 0: -1.0"),
        (5, "weight must be at least 0: -5.0"),
    ]
    assert (source.dead, source.put_aside.first_line) == (2, 2)
    strict = opened(tmp_path, columns, form, weight="w", strict=True)
    with pytest.raises(RecordError, match=r"rows\.\S+: row 2: weight must be at least 0"):
        list(strict)


def test_the_first_rows_must_not_all_be_put_aside(tmp_path: Path) -> None:
    columns = {"a": np.zeros(1500), "t": [0.5] * 1500, "y": np.zeros(1500, int)}
    with pytest.raises(NoUsableRowError, match=r"none of the first 1,\d+ records can be used"):
        list(opened(tmp_path, columns, task="t"))


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_the_number_of_rows_is_known(tmp_path: Path, form: str) -> None:
    assert opened(tmp_path, numbers(20), form).rows_total == 20
    assert opened(tmp_path, numbers(20), "arrows").rows_total is None


@EACH_FORM
def test_a_file_without_rows(tmp_path: Path, form: str) -> None:
    source = opened(tmp_path, numbers(0), form)
    assert (list(source), source.describe()) == ([], None)


@EACH_FORM
def test_a_file_that_is_cut_short(tmp_path: Path, form: str) -> None:
    path = save(tmp_path, numbers(50), form)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError, match=rf"rows\.{form}"):
        list(ArrowSource(path, batch_size=4))


def test_rows_before_a_cut_come_first(tmp_path: Path) -> None:
    path = save(tmp_path, numbers(50), "arrows")
    path.write_bytes(path.read_bytes()[:-40])
    source = ArrowSource(path, batch_size=4)
    assert sum(len(batch) for _, batch in zip(range(13), source, strict=False)) == 49
    with pytest.raises(SourceError, match="ends in the middle of a record batch"):
        list(source)
    assert source.position == 49


@pytest.mark.parametrize("block", [100, 1 << 18])
def test_rows_before_a_broken_message_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK", block)
    data = stream(numbers(50))
    last = data.rindex(b"\xff\xff\xff\xff", 0, -8)
    for at, message in ((last, "a message is expected"), (last + 8, "not a readable Arrow stream")):
        path = tmp_path / "rows.arrows"
        path.write_bytes(data[:at] + b"\xfe\xfe\xfe\x7f" + data[at + 4 :])
        source = ArrowSource(path, batch_size=4)
        assert sum(len(batch) for _, batch in zip(range(13), source, strict=False)) == 49
        with pytest.raises(SourceError, match=message):
            list(source)


@pytest.mark.parametrize(
    "data", [b"a,y\n1,2\n", b"\xff\xff\xff\xff" + b"\x07" * 99, b"PAR1", b"FEA1"]
)
def test_what_is_something_else(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rows.arrow"
    path.write_bytes(data + b" " * 9)
    with pytest.raises(SourceError, match=r"rows\.arrow: "):
        list(ArrowSource(path))


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_damaged_bytes_are_an_error_of_the_source(tmp_path: Path, form: str) -> None:
    """Any byte may be wrong: rows are read, or one line says that the file is broken."""
    table = pa.Table.from_pylist(flights(40))
    good, rng = save(tmp_path, table, form, 9).read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(good), 150).tolist():
        data = bytearray(good)
        data[place] ^= int(rng.integers(1, 256))
        path = tmp_path / f"damaged.{form}"
        path.write_bytes(data)
        try:
            list(ArrowSource(path, label="arrival"))
        except (SourceError, ConfigError):
            refused += 1
    assert refused > 0


@EACH_FORM
def test_a_replaced_file_is_refused(tmp_path: Path, form: str) -> None:
    table = numbers(40)
    source = opened(tmp_path, table, form, batch_size=8)
    assert len(next(iter(source))) == 8
    state = source.state_dict()
    other = table.set_column(0, "a", pa.array([*([9.0] * 3), *table["a"].to_pylist()[3:]]))
    changed = opened(tmp_path, other, form, batch_size=8)
    changed.load_state_dict(state)
    with pytest.raises(SourceError, match="not the rows that were learned from"):
        list(changed)
    short = opened(tmp_path, table.slice(0, 5), form, batch_size=8)
    short.load_state_dict(state)
    with pytest.raises(SourceError, match="ends after 5 rows, but 8 rows were learned from"):
        list(short)


@EACH_FORM
@pytest.mark.parametrize("other", FORMS)
def test_a_longer_file_goes_on_however_it_is_stored(tmp_path: Path, form: str, other: str) -> None:
    rows = pa.Table.from_pylist(flights(60))
    source = opened(tmp_path, rows.slice(0, 45), form, label="arrival", batch_size=8)
    found = [row for batch in source for row in rows_of(batch)]
    state = source.state_dict()
    longer = ArrowSource(save(tmp_path, rows, other, 11), label="arrival", batch_size=8)
    longer.load_state_dict(state)
    found += [row for batch in longer for row in rows_of(batch)]
    whole = ArrowSource(save(tmp_path, rows, other, 60), label="arrival", batch_size=8)
    assert [row.get("note") for row in found] == [r.get("note") for b in whole for r in rows_of(b)]
    assert len(found) == 60
    assert longer.state_dict()["crc"] == whole.state_dict()["crc"]


def test_comparing_reaches_to_the_old_end(tmp_path: Path) -> None:
    table = numbers(40)
    source = opened(tmp_path, table, batch_size=8)
    state = source.state_dict()
    list(source)
    end = source.state_dict()
    other = table.set_column(0, "a", pa.array([*table["a"].to_pylist()[:-1], 9.0]))
    changed = opened(tmp_path, other, batch_size=8)
    changed.load_state_dict(state)
    changed.compare_up_to(end)
    with pytest.raises(SourceError, match=r"differ somewhere in the first 40"):
        list(changed)


def test_a_file_in_memory(tmp_path: Path) -> None:
    source = in_memory(opened(tmp_path, numbers(20)))
    assert (len(source), source.feature_names) == (20, ["a"])


def test_settings_of_another_source_are_refused(tmp_path: Path) -> None:
    source = opened(tmp_path, numbers(20))
    list(source)
    state = source.state_dict()
    for options in ({"label": False}, {"features": ["a"], "label": "y"}):
        other = opened(tmp_path, numbers(20), **options)
        with pytest.raises(Exception, match="saved"):
            other.load_state_dict(state)


def test_pyarrow_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, numbers(), "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"need PyArrow: pip install 'streamreplay\[arrow\]'"):
        ArrowSource(path)


# -- pipes ------------------------------------------------------------------------------------


def piped(pipe: Any, data: bytes, **options: Any) -> ArrowSource:
    pipe.write(data)
    pipe.end()
    return ArrowSource(pipe.path, **options)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_stream_from_a_pipe(new_pipe: NewPipe, pack: Callable[[bytes], bytes]) -> None:
    source = piped(new_pipe(), pack(stream(numbers(20))), batch_size=8)
    assert shown(source) == numbers(20)["a"].to_pylist()


def test_streams_that_follow_each_other(new_pipe: NewPipe) -> None:
    turned = numbers(5).select(["y", "a"]).append_column("c", pa.array(["new"] * 5))
    both, schema = stream(numbers(20)) + stream(turned), Schema(infer_rows=10)
    source = piped(new_pipe(), both, batch_size=8, schema=schema)
    *_, last = source
    assert rows_of(last) == [{"a": 4.5, "c": "new"}]
    (change,) = source.schema.changes.take()
    assert describe_change(change) == "column 'c' is new at row 21, learned as a category"
    other = stream(pa.table({"b": [1.0], "y": ["p"]}))
    lost = piped(new_pipe(), stream(numbers(20)) + other, batch_size=8)
    with pytest.raises(ConfigError, match="no feature has its name from before; the columns are b"):
        list(lost)
    unlabelled = piped(new_pipe(), stream(numbers(20)) + stream(numbers(3).select(["a"])))
    with pytest.raises(ConfigError, match=r"label 'y' is not a column; .* those before were a, y"):
        list(unlabelled)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_files_with_an_index_are_refused_from_a_pipe(
    tmp_path: Path, new_pipe: NewPipe, form: str
) -> None:
    data = save(tmp_path, numbers(20), form).read_bytes()
    what = {"parquet": "a Parquet file", "arrow": "an Arrow file"}[form]
    for found in (data, gzip.compress(data)):
        with pytest.raises(SourceError, match=rf"is {what}.* give its path \(--source FILE\)"):
            list(piped(new_pipe(), found))
    packed = tmp_path / f"{form}.gz"
    packed.write_bytes(gzip.compress(data))
    with pytest.raises(SourceError, match="from an uncompressed file on a disk"):
        list(ArrowSource(packed))


def test_a_slow_pipe_is_not_held_up(new_pipe: NewPipe) -> None:
    pipe, table = new_pipe(), numbers(6)
    source = ArrowSource(pipe.path, batch_size=4, max_wait=0.05)
    batches, sink = iter(source), io.BytesIO()
    with ipc.new_stream(sink, table.schema) as writer:
        for i in range(6):
            writer.write_table(table.slice(i, 1))
            data = sink.getvalue()
            sink.seek(0)
            sink.truncate()
            pipe.write(data[:30])
            time.sleep(0.01)
            pipe.write(data[30:])
            assert next(batches).x.tolist() == [[i + 0.5]]
    pipe.end()
    assert list(batches) == []


def test_waiting_can_be_stopped(new_pipe: NewPipe) -> None:
    pipe = new_pipe()
    times = iter([False, False, True])
    data = stream(numbers(6))
    pipe.write(data[:-30])
    source = ArrowSource(pipe.path, max_wait=None, stop=lambda: next(times, False))
    assert list(source) == []
    pipe.write(data[-30:])
    pipe.end()
    assert shown(source) == numbers(6)["a"].to_pylist()


@pytest.mark.parametrize("cut", [1, 3, 20])
def test_a_pipe_is_resumed_from_its_start(new_pipe: NewPipe, exact: Exact, cut: int) -> None:
    table = pa.Table.from_pylist(flights(60))
    data, options = stream(table, 9), {"label": "arrival", "batch_size": 4}
    want = [exact(batch) for batch in piped(new_pipe(), data, **options)]
    source = piped(new_pipe(), data, **options)
    found = [exact(batch) for _, batch in zip(range(cut), source, strict=False)]
    again = piped(new_pipe(), stream(table, 11), **options)
    again.load_state_dict(source.state_dict())
    assert found + [exact(batch) for batch in again] == want
    other = piped(new_pipe(), stream(table.slice(1), 9), **options)
    other.load_state_dict(source.state_dict())
    with pytest.raises(SourceError, match=r"not the rows that were learned from|ends after"):
        list(other)


@pytest.mark.parametrize("cut", [0, 1, 3, 7])
def test_a_pipe_goes_on_behind_what_came(new_pipe: NewPipe, exact: Exact, cut: int) -> None:
    """Rows that had come and were not learned travel in the state."""
    table = pa.Table.from_pylist(flights(60))
    options = {"label": "arrival", "batch_size": 4}
    want = [exact(batch) for batch in piped(new_pipe(), stream(table, 9), **options)]
    source = piped(new_pipe(), stream(table.slice(0, 36), 9), **options)
    source.prepare()
    found = [exact(batch) for _, batch in zip(range(cut), source, strict=False)]
    rest = table.slice(36)
    turned = rest.select(rest.column_names[::-1])
    state = source.state_dict()
    for _ in range(2):  # and once more: nothing was read in between
        source = piped(new_pipe(), stream(turned, 9), **options)
        source.load_state_dict(state)
        assert exact(source.state_dict()) == exact(state)
    source.continue_from_here = True
    assert found + [exact(batch) for batch in source] == want


def test_what_decides_is_saved_before_the_first_row(new_pipe: NewPipe) -> None:
    source = piped(new_pipe(), stream(numbers(20)))
    assert source.state_dict()["choice"] is None
    assert source.prepare()
    assert source.state_dict()["choice"] is not None
    assert source.position == 0
