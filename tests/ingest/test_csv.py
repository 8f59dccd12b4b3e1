from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError, RecordError
from streamreplay.features.schema import Schema
from streamreplay.features.values import as_numbers, is_missing
from streamreplay.ingest import CsvSource
from streamreplay.ingest.decode.values import label_cell
from tests.ingest.tables import numbers_of, rows_of

Write = Callable[..., Path]


def rows(source: CsvSource) -> list[list[Any]]:
    return [row for batch in source for row in numbers_of(batch)]


def dicts(source: CsvSource) -> list[dict[str, Any]]:
    return [row for batch in source for row in rows_of(batch)]


def numeric(*names: str) -> Schema:
    """Declare columns of numbers: a few rows with a misfit would show none."""
    return Schema(kinds=dict.fromkeys(names, "number"))


def labels(source: CsvSource) -> list[Any]:
    return [None if y < 0 else source.labels.name(y) for batch in source for y in batch.y.tolist()]


def only(source: CsvSource) -> Batch:
    (batch,) = source
    return batch


def test_a_header_is_told_by_having_no_number(write: Write) -> None:
    with_header = CsvSource(write(["a,b,y", "1,2,cat"]))
    assert labels(with_header) == ["cat"]
    assert (with_header.feature_names, with_header.feature_shape) == (["a", "b"], (2,))
    without = CsvSource(write(["a,2,cat", "b,3,dog"]))
    assert labels(without) == ["cat", "dog"]
    assert (without.feature_names, without.left_out) == (["0", "1"], [])
    assert dicts(CsvSource(without.path)) == [{"0": "a", "1": 2}, {"0": "b", "1": 3}]


def test_a_header_may_be_forced(write: Write) -> None:
    path = write(["1,2,3", "4,5,6"])
    assert rows(CsvSource(path, header=True, label="3")) == [[4.0, 5.0]]
    path = write(["a,b", "c,d", "1,e"])
    source = CsvSource(path, header=False, label=1)
    assert (dicts(source), source.dead) == ([{"0": "a"}, {"0": "c"}, {"0": "1"}], 0)
    assert source.labels.names == ["b", "d", "e"]


@pytest.mark.parametrize(
    ("label", "name", "features"),
    [
        (None, 3, ["0", "1"]), (-1, 3, ["0", "1"]), ("-1", 3, ["0", "1"]), (0, 1, ["1", "2"]),
        ("1", 2, ["0", "2"]), (-3, 1, ["1", "2"]),
    ],
)  # fmt: skip
def test_a_label_by_position(write: Write, label: Any, name: int, features: list[str]) -> None:
    source = CsvSource(write(["1,2,3"]), label=label)
    assert labels(source) == [name]
    assert source.feature_names == features


def test_a_label_by_name_or_position_beside_a_header(write: Write) -> None:
    path = write(["a,7,c", "1,2,3"])
    assert labels(CsvSource(path, header=True, label="7")) == [2]
    assert labels(CsvSource(path, header=True, label=-3)) == [1]


@pytest.mark.parametrize("label", [False, ""])
def test_no_label(write: Write, label: Any) -> None:
    for lines in (["1,2"], ["a,b", "1,2"]):
        source = CsvSource(write(lines), label=label)
        batch = only(source)
        assert (batch.x.tolist(), batch.y.tolist()) == ([[1.0, 2.0]], [-1])


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["size,y"], {"label": "sise"},
         "rows: label 'sise' is not a column (nearest: 'size'); the columns are size, y"),
        (["aa,bb"], {}, "rows: label 'y' is not a column; the columns are aa, bb"),
        (["a,y"], {"features": ["z"]}, "rows: feature 'z' is not a column; the columns are a, y"),
        (["a,a,y"], {"features": ["a"]}, "rows: two columns are called 'a'"),
        (["a,y"], {"features": ["a", "y"]},
         "rows: column 'y' is the label, and cannot be a feature too"),
        (["1,2"], {"features": [0, 1]},
         "rows: column '1' is the label, and cannot be a feature too"),
        (["a,y"], {"id": "key"}, "rows: id 'key' is not a column; the columns are a, y"),
        (["1,2"], {"label": "y"}, "rows: label is column 'y', but there is no header: "),
        (["1,2"], {"label": 2}, "rows: label is column 2, but there are 2, counted from 0"),
        (["1,2"], {"label": -3}, "rows: label is column -3, but there are 2, counted from 0"),
    ],
)  # fmt: skip
def test_columns_that_are_not_there(
    write: Write, lines: list[str], options: dict[str, Any], message: str
) -> None:
    source = CsvSource(write(lines), **options)
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            list(source)
        assert str(caught.value).startswith(message)
    assert source.state_dict()["lines"] == 0


@pytest.mark.parametrize(
    ("first", "options", "hints"),
    [
        ("Y,a", {}, "(nearest: 'Y'); the columns are Y, a; set it with --label"),
        ("a;y", {"delimiter": ","}, "set it with --label; is source.delimiter right?"),
        ("1,b", {"header": True}, "set it with --label; is source.header right?"),
        ("1,2", {"label": "y"}, "set it with --label; is source.header right?"),
        ("a,y", {"time": "when"}, "the columns are a, y; set it with --set source.time=NAME"),
    ],
)
def test_what_helps_is_named(write: Write, first: str, options: dict[str, Any], hints: str) -> None:
    with pytest.raises(ConfigError, match=f"{re.escape(hints)}$"):
        list(CsvSource(write([first]), **options))


def test_all_columns(write: Write) -> None:
    path = write(
        [
            "id,time,a,task,experience,class",
            "x1,12.5,1,2,1, cat ",
            "7,1970-01-01T00:01:00Z,2,,1,5",
            ",,3,2.0,1,",
            "8,,4,0,1,05",
        ]
    )
    source = CsvSource(path, label="class", time="time", task="task", experience="experience")
    batch = only(source)
    assert batch.x.tolist() == [[1.0], [2.0], [3.0], [4.0]]
    assert batch.y.tolist() == [0, 1, -1, 2]
    assert source.labels.names == ["cat", 5, "05"]
    assert batch.task.tolist() == [2, 0, 2, 0]
    assert batch.experience.tolist() == [1, 1, 1, 1]
    assert batch.id is not None
    assert batch.id.tolist() == ["x1", "7", "", "8"]
    assert batch.time is not None
    np.testing.assert_array_equal(batch.time, [12.5, 60.0, math.nan, math.nan])


def test_columns_may_be_named_or_placed(write: Write) -> None:
    source = CsvSource(write(["9,1,2,5"]), id=0, task="1", features=[2], label=3)
    batch = only(source)
    assert batch.id is not None
    assert (batch.x.tolist(), batch.id.tolist(), batch.task.tolist()) == ([[2.0]], ["9"], [1])
    assert labels(CsvSource(write(["u,v,y", "1,2,3"]), features=["v"])) == [3]


def test_quoted_cells(write: Write) -> None:
    path = write(['a,"b, c",y', '1,2,"x, ""y"""', '"3","4",z', '5,"6",w'])
    source = CsvSource(path)
    assert labels(source) == ['x, "y"', "z", "w"]
    assert source.feature_names == ["a", "b, c"]
    assert rows(CsvSource(path, batch_size=1)) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
def test_other_delimiters(write: Write, delimiter: str) -> None:
    path = write([f"a{delimiter}b{delimiter}y", f"1{delimiter}2{delimiter}c,d"])
    source = CsvSource(path, delimiter=delimiter)
    assert labels(source) == ["c,d"]
    assert source.feature_names == ["a", "b"]


def test_a_comma_in_a_number_is_not_two_numbers(write: Write) -> None:
    for lines in (["a;b;y", "1;2;k", "1,5;2;k"], ["a;b;y", "1;2;k", '"1,5";2;k']):
        source = CsvSource(write(lines), delimiter=";", batch_size=1, schema=numeric("a"))
        assert (rows(source), source.dead) == ([[1.0, 2.0], [None, 2.0]], 0)
        assert source.schema.misfits == {"a": 1}


@pytest.mark.parametrize("cells", [["[1", "2]"], ["1],[1", "2"], ["{}", "1"], ["1 2", "3"]])
def test_json_in_cells_is_no_number(write: Write, cells: list[str]) -> None:
    lines = ["a;b;y", "1;2;k", ";".join([*cells, "k"]), "3;4;k"]
    second = [float(cell) if cell.isdecimal() else None for cell in cells]
    wrong = {name: 1 for name, value in zip("ab", second, strict=True) if value is None}
    for size in (1, 32):
        source = CsvSource(write(lines), delimiter=";", batch_size=size, schema=numeric("a", "b"))
        assert (rows(source), source.dead) == ([[1.0, 2.0], second, [3.0, 4.0]], 0)
        assert source.schema.misfits == wrong


@pytest.mark.parametrize(("cell", "value"), [("true", 1.0), ("null", None)])
def test_words_of_json_in_a_column_of_numbers(write: Write, cell: str, value: Any) -> None:
    for size in (1, 32):
        source = CsvSource(write(["a,y", "1,k", f"{cell},k"]), batch_size=size, schema=numeric("a"))
        assert (rows(source), source.dead, source.schema.misfits) == ([[1.0], [value]], 0, {})


def test_all_ways_of_writing_a_number(write: Write) -> None:
    cells = ["1", "-1", "+1", ".5", "1.", "1e3", "1E-3", " 2 ", "007", "12345678901234567890123"]
    path = write(["a,b,y", *(f"{cell},1,k" for cell in cells)])
    for size in (1, 32):
        found = [row[0] for row in rows(CsvSource(path, batch_size=size))]
        assert found == [float(np.float32(float(cell))) for cell in cells]


BAD = [
    ("1,k", "line has 2 cells, expected 3"),
    ("1,2,3,k", "line has 4 cells, expected 3"),
    ('1,2,"k', "not CSV: "),
    ('1,2,"k"k', "not CSV: "),
    ("1,2,k\x00", "a NUL character at 5 of the line"),
    ("1,2," + "k" * 200, "line has more than 200 bytes"),
]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_is_a_dead_letter(write: Write, line: str, reason: str, batch_size: int) -> None:
    letters: list[dict[str, Any]] = []
    path = write(["a,b,y", "1,2,k", "", line, '3,4,"k"', "5,6,k"])
    source = CsvSource(path, batch_size=batch_size, max_line_bytes=200, on_dead=letters.append)
    assert rows(source) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert source.dead == len(letters) == 1
    assert letters[0].pop("reason").startswith(reason)
    cut = {"raw_cut": True, "raw_bytes": len(line)} if len(line) > 200 else {}
    assert letters == [{"line": 4, "byte": 13, "source": "rows", "raw": line[:201], **cut}]
    with pytest.raises(RecordError) as caught:
        list(CsvSource(path, batch_size=batch_size, max_line_bytes=200, strict=True))
    assert str(caught.value).startswith(f"rows:4: {reason}")


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize(
    ("line", "row", "misfits"),
    [
        ("x,2,k", [None, 2], {"a": 1}),
        ("1,,k", [1, None], {}),
        ("1, ,k", [1, None], {}),
        ("NA,?,k", [None, None], {}),
        ("1_0,2,k", [None, 2], {"a": 1}),
        ("nan,2,k", [None, 2], {}),
        ("1,-inf,k", [1, None], {"b": 1}),
        ("1e39,2,k", [None, 2], {"a": 1}),
        ("1e400,x,k", [None, None], {"a": 1, "b": 1}),
    ],
)
def test_what_fits_no_column_of_numbers_is_missing(
    write: Write, line: str, row: list[Any], misfits: dict[str, int], batch_size: int
) -> None:
    path = write(["a,b,y", "1,2,k", "", line, '3,4,"k"', "5,6,k"])
    source = CsvSource(path, batch_size=batch_size, strict=True, schema=numeric("a", "b"))
    assert rows(source) == [[1, 2], row, [3, 4], [5, 6]]
    assert (source.dead, source.schema.misfits) == (0, misfits)


def test_bytes_that_are_not_text(write: Write) -> None:
    letters: list[dict[str, Any]] = []
    source = CsvSource(write(b"a,y\n1,k\n2,\xff\n3,k\n"), on_dead=letters.append)
    assert rows(source) == [[1.0], [3.0]]
    assert (letters[0]["reason"], letters[0]["raw"]) == (
        "not UTF-8 at byte 2 of the line",
        "2,\\xff",
    )


def test_the_first_row_that_is_right_decides_the_features(write: Write) -> None:
    source = CsvSource(write(["a,b,c,y", "1,2,k", "1,x,2,k", "3,4,5,k"]))
    assert dicts(source) == [{"a": 1, "b": "x", "c": 2}, {"a": 3, "b": "4", "c": 5}]
    assert (source.feature_names, source.left_out, source.dead) == (["a", "b", "c"], [], 1)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("infer_rows", [1, 3, 1000])
@pytest.mark.parametrize("block", [1, 1 << 18])
def test_kinds_depend_on_the_same_rows_wherever_reading_began(
    write: Write, monkeypatch: pytest.MonkeyPatch, infer_rows: int, block: int, batch_size: int
) -> None:
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", block)
    bad = ["bad,line,too,long"] * 4
    rows_of_file = ["1,1,k", "2,2,k", "x,3,k", "4,4,k", "5,5,k", "6,z,k"]
    path, schema = write(["a,b,y", *bad, *rows_of_file]), Schema(infer_rows=infer_rows)
    source = CsvSource(path, schema=schema, batch_size=batch_size)
    assert (len(dicts(source)), source.dead) == (6, 4)
    assert source.schema.inferred_from == min(infer_rows, 6)
    kinds = {1: {"number": ["a", "b"]}, 3: {"number": ["b"], "category": ["a"]}}
    assert source.schema.names_by_kind == kinds.get(infer_rows, {"category": ["a", "b"]})


def test_a_repeated_header_is_skipped(write: Write) -> None:
    lines = ["a,b,y", "1,2,k", "a,b,y", "3,4,k", "b,a,y"]
    source = CsvSource(write(lines))
    assert (rows(source), source.dead) == ([[1.0, 2.0], [3.0, 4.0]], 0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("head", [["y,a"], []])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_line_ends_blank_lines_and_a_bom(
    write: Write, end: str, last: bool, bom: bytes, head: list[str], batch_size: int
) -> None:
    lines = [*head, "u,1", "", "v,2", "  ", "u,3"]
    data = bom + (end.join(lines) + (end if last else "")).encode()
    for label in (0, -1):
        source = CsvSource(write(data), label=label, batch_size=batch_size)
        found = labels(source)
        assert found == [["u", "v", "u"], [1, 2, 3]][label]
        assert source.dead == 0
        assert source.state_dict()["bytes"] == len(data)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,y\n", b"\xef\xbb\xbfa,y", b"\r\n"])
def test_an_empty_stream_yields_nothing(write: Write, data: bytes) -> None:
    source = CsvSource(write(data))
    assert list(source) == []
    assert (source.dead, source.state_dict()["bytes"]) == (0, len(data))


def test_a_single_column(write: Write) -> None:
    for size in (1, 32):
        source = CsvSource(write(["a", "1", "", "2"]), label=False, batch_size=size)
        assert (rows(source), source.dead) == ([[1.0], [2.0]], 0)
        assert not source.schema.packed


def test_a_row_of_empty_cells_is_not_blank(write: Write) -> None:
    source = CsvSource(write(["a\tb\ty", "1\t2\tk", "\t\t"]), delimiter="\t")
    assert rows(source) == [[1.0, 2.0], [None, None]]


CELL = st.sampled_from(["1", "-2.5", "1e3", "", "x", " 7", "a,b", 'q"q', "nan", "07", "é"])


@given(st.lists(st.lists(CELL, min_size=2, max_size=3), max_size=10), st.integers(1, 6))
def test_against_the_csv_module_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]], size: int
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["a", "b", "y"], ["0", "0", "k"], *cells])
    path = tmp_path_factory.mktemp("csv") / "rows"
    path.write_text(text.getvalue())
    source = CsvSource(path, batch_size=size, schema=numeric("a", "b"))
    expected, misfits = [], [0, 0]
    for row in list(csv.reader(io.StringIO(text.getvalue())))[1:]:
        if len(row) == 3:
            numbers = [None if math.isnan(v) else v for v in as_numbers(row[:2]).tolist()]
            name = label_cell(row[2])
            expected.append((numbers, None if name is None else str(name)))
            for i, cell in enumerate(row[:2]):
                misfits[i] += numbers[i] is None and not is_missing(cell)
    found = [
        (x, None if y < 0 else str(source.labels.name(y)))
        for batch in source
        for x, y in zip(numbers_of(batch), batch.y.tolist(), strict=True)
    ]
    assert found == expected
    assert source.schema.misfits == {name: n for name, n in zip("ab", misfits, strict=True) if n}
    assert source.dead == len(cells) + 1 - len(expected)


def test_a_state_of_other_settings_is_refused(write: Write) -> None:
    path = write(["a,b,y", "1,2,k"])
    source = CsvSource(path)
    list(source)
    state = source.state_dict()
    CsvSource(path, features=["a", 1]).load_state_dict(state)
    for features in (["b"], ["z"]):
        with pytest.raises(CheckpointError, match=r"^features: saved \['a', 'b'\], this pipeline"):
            CsvSource(path, features=features).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^delimiter: saved ,, this pipeline has ;"):
        CsvSource(path, delimiter=";").load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^fields: "):
        CsvSource(path, label=0).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^format: saved jsonl, this pipeline has csv"):
        source.load_state_dict({**state, "format": "jsonl"})


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_wrong_delimiters(delimiter: str) -> None:
    with pytest.raises(ValueError, match="delimiter must be one character"):
        CsvSource("rows", delimiter=delimiter)


@pytest.mark.parametrize("features", [[], ["a", "a"], [0, 0]])
def test_features_are_different_columns_and_at_least_one(
    write: Write, features: list[str | int]
) -> None:
    with pytest.raises(ValueError, match="features must be different columns, at least one, got"):
        CsvSource(write(["a,y", "1,2"]), features=features)
