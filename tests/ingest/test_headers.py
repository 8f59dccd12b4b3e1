"""Headers as pandas and others write them; columns are matched by name."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.errors import ConfigError, SourceError
from streamreplay.features.changes import describe_change
from streamreplay.features.schema import Schema
from streamreplay.ingest import CsvSource
from tests.ingest.tables import numbers_of, rows_of

Write = Callable[..., Path]
Exact = Callable[[Any], Any]


def read(source: Any) -> tuple[list[list[Any]], list[Any]]:
    x: list[list[Any]] = []
    labels: list[Any] = []
    for batch in source:
        x += numbers_of(batch)
        labels += [None if y < 0 else source.labels.name(y) for y in batch.y.tolist()]
    return x, labels


HEADERS = [  # lines, options, names of features, number of rows
    (["0,1,y", "-0.5,0.25,a"], {}, ["0", "1"], 1),
    (["0,1,y", "5,red,a"], {}, ["0", "1"], 1),
    (["0,1,y", "5,6,1"], {}, ["0", "1"], 1),
    (["0,y", "0.5,a"], {}, ["0"], 1),
    (["y,0,1", "a,0.5,2"], {}, ["0", "1"], 1),
    ([",0,1,y", "0,0.5,2,a", "1,2,3,b"], {}, ["0", "1"], 2),
    ([",a,b,y", "0,0.5,2,a"], {}, ["a", "b"], 1),
    (["Unnamed: 0,a,y", "0,0.5,a"], {}, ["a"], 1),
    ([",a,y", "0.5,1,k"], {}, ["Unnamed: 0", "a"], 1),
    (["a,,y", "0,0.5,k"], {}, ["a", "Unnamed: 1"], 1),
    (["a,a,y,b,a.1", "1,2,k,3,4"], {}, ["a", "a.2", "b", "a.1"], 1),
    ([",".join([*map(str, range(9)), "y"]), "1,0,0,0,0,0,0,0,0,k"], {}, list("012345678"), 1),
    (["0,1,2,class", "5,6,7,k"], {"label": "class"}, ["0", "1", "2"], 1),
    (["2019,2020,region", "5,6,k"], {"label": "region"}, ["2019", "2020"], 1),
    (["2019,2020,y", "5,6,7"], {}, ["2019", "2020"], 1),
    (["7,8,k", "0.5,1,k"], {}, ["0", "1"], 2),
    (["0,0,k", "0.5,1,k"], {}, ["0", "1"], 2),
    (["0,1.5,k", "0.5,1,k"], {}, ["0", "1"], 2),
    (["0,1,NA", "0.5,1,k"], {}, ["0", "1"], 2),
    (["nan,0,k", "0.5,1,k"], {}, ["0", "1"], 2),
    (["0,1", "1,0"], {}, ["0"], 2),
    (["0,1,2", "0.5,1,2"], {"header": False}, ["0", "1"], 2),
    (["0,1,y", "1,0,n"], {"header": False}, ["0", "1"], 2),
    (["0,1,y", "1,0,n"], {"header": True}, ["0", "1"], 1),
    ([" ", ",,", "u,v,y", "1,2,k"], {}, ["u", "v"], 1),
    (['"u","v","y"', '1,2,"k"'], {}, ["u", "v"], 1),
    # delimiters at the ends of lines
    (["u,v,y,", "1,2,a,", "3,4,b,"], {}, ["u", "v"], 2),
    (["u,v,y,", "1,2,a", "3,4,b"], {}, ["u", "v"], 2),
    (["u,v,y", "1,2,a,", "3,4,b,"], {}, ["u", "v"], 2),
    (["u,v,y,", "1,2,a,7", "3,4,b,8"], {}, ["u", "v", "Unnamed: 3"], 2),
    (["u;y;", "1;a;"], {}, ["u"], 1),
]


@pytest.mark.parametrize("block", [1, 1 << 18])
@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(("lines", "options", "names", "rows"), HEADERS)
def test_headers(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    options: dict[str, Any],
    names: list[str],
    rows: int,
    batch_size: int,
    block: int,
) -> None:
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", block)
    source = CsvSource(write(lines), batch_size=batch_size, **options)
    assert len(read(source)[0]) == rows
    if rows:
        assert (source.feature_names, source.dead) == (names, 0)


UNCERTAIN = [
    ["0,1,y", "1,0,n"],
    ["0,1,y"],
    ["0,1,cat", "1,0,dog"],
    ["0,1,2", "3,4,5"],
    ["5,12,y", "5.5,3,x"],
    ["0,1,y", "broken"],
]


@pytest.mark.parametrize("lines", UNCERTAIN)
def test_what_may_be_a_header_or_a_row_is_refused(write: Write, lines: list[str]) -> None:
    source = CsvSource(write(lines))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"may be a header or a row: set source.header = tr"):
            list(source)
    assert source.state_dict()["lines"] == 0


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"u;v;y\n1;2,5;k\n", ConfigError, "column 'v' holds '2,5': set source.decimal"),
        (b"1,2,\n3,4,k\n", ConfigError, "the last cell of the first line is empty: set source"),
        ("u,v,y\n".encode("utf-16-le"), SourceError, "many NUL .* UTF-16 without a byte order"),
        (b'u,"v,y\n1,2,3\n', SourceError, "rows:1: the first line cannot be read: not CSV: a q"),
        (b"u,\xff,y\n1,2,3\n", SourceError, "the first line cannot be read: not UTF-8"),
    ],
)
def test_what_cannot_be_read(
    write: Write, content: bytes, error: type[Exception], message: str
) -> None:
    source = CsvSource(write(content))
    for _ in range(2):
        with pytest.raises(error, match=message):
            list(source)


@pytest.mark.parametrize(
    ("delimiter", "decimal", "message"),
    [
        (",", ",", "decimal and delimiter must differ, got ',' as both"),
        (None, ";", "decimal must be . or , got ';'"),
    ],
)
def test_marks_that_cannot_be(delimiter: str | None, decimal: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CsvSource("rows", delimiter=delimiter, decimal=decimal)


COLUMNS = {"u": "{0}", "v": "{0}.5", "note": "n", "y": "{1}", "id": "i{0}", "w": "1"}


def part(names: list[str], first: int, rows: int, bad: bool = False) -> list[str]:
    """Write a header and rows whose cells belong to their column."""
    lines = [",".join(names)]
    lines += [
        ",".join(COLUMNS[name].format(i, "ab"[i % 2]) for name in names)
        for i in range(first, first + rows)
    ]
    return [*lines, "broken"] if bad else lines


ORDER = st.permutations(list(COLUMNS))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(ORDER, st.integers(0, 4), st.booleans()), min_size=1, max_size=4),
       st.integers(1, 5), st.booleans())  # fmt: skip
def test_columns_follow_each_header(
    tmp_path_factory: pytest.TempPathFactory,
    exact: Exact,
    parts: list[tuple[list[str], int, bool]],
    size: int,
    pack: bool,
) -> None:
    lines: list[str] = []
    rows = 0
    for names, n, bad in parts:
        lines += part(names, rows, n, bad)
        rows += n
    path = tmp_path_factory.mktemp("cat") / "rows"
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if pack else data)
    options: dict[str, Any] = {"features": ["v", "u"], "weight": "w", "batch_size": size}
    source = CsvSource(path, **options)
    batches, states = [], [source.state_dict()]
    n = 0
    for batch in source:
        m = len(batch)
        assert batch.x.tolist() == [[i + 0.5, i] for i in range(n, n + m)]
        assert [source.labels.name(y) for y in batch.y] == ["ab"[i % 2] for i in range(n, n + m)]
        assert batch.id is not None
        assert batch.id.tolist() == [f"i{i}" for i in range(n, n + m)]
        n += m
        batches.append(exact(batch))
        states.append(source.state_dict())
    assert (n, source.dead) == (rows, sum(bad for _, _, bad in parts))
    for cut, state in enumerate(states):
        fresh = CsvSource(path, **options)
        fresh.load_state_dict(state)
        assert exact(fresh.state_dict()) == exact(state)
        assert [exact(batch) for batch in fresh] == batches[cut:]
        assert exact(fresh.state_dict()) == exact(source.state_dict())


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(
    ("lines", "options", "x", "labels", "dead"),
    [
        # a numeric header could be read as a row
        (["0,1,y", ".5,2,a", "0,1,y", "3,4,b"], {}, [[0.5, 2], [3, 4]], ["a", "b"], 0),
        (["0,1,y", ".5,2,a", "1,0,y", "3,4,b"], {}, [[0.5, 2], [4, 3]], ["a", "b"], 0),
        (["0,1,y", ".5,2,a", "1,y,0", "3,b,4"], {}, [[0.5, 2], [4, 3]], ["a", "b"], 0),
        (["0,1,y", ".5,2,a", "1,2,y", "3,4,b"], {}, [[0.5, 2], [1, 2], [3, 4]], list("ayb"), 0),
        # names of numbers alone: only the same line again
        (["0,1,2", ".5,2,3", "0,1,2", "2,1,0"], {"label": "2"}, [[0.5, 2], [2, 1]], [3, 0], 0),
        # not all names, or other ones
        (["u,v,y", "1,2,a", "u,v", "3,4,b"], {}, [[1, 2], [3, 4]], ["a", "b"], 1),
        (["u,v,y", "1,2,a", "u,w,y", "3,4,b"], {}, [[1, 2], [3, 4]], ["a", "b"], 1),
        (["u,v,y", "1,2,a", "v,v,y", "3,4,b"], {}, [[1, 2], [3, 4]], ["a", "b"], 1),
        (["a,a,y", "1,2,a", "a,y,a", "3,b,4"], {}, [[1, 2], [3, 4]], ["a", "b"], 0),
        (["u,v,y,", "1,2,a,", "v,y,u,", "3,b,4,"], {}, [[1, 2], [4, 3]], ["a", "b"], 0),
        (["u,v,y", "1,2,a", '"v", u,y ', "3,4,b"], {}, [[1, 2], [4, 3]], ["a", "b"], 0),
        (["a,7", "b,8"], {"label": 0, "header": False}, [[7], [8]], ["a", "b"], 0),
    ],
)  # fmt: skip
def test_a_header_in_mid_stream(
    write: Write,
    lines: list[str],
    options: dict[str, Any],
    x: list[list[float]],
    labels: list[Any],
    dead: int,
    batch_size: int,
) -> None:
    source = CsvSource(write(lines), batch_size=batch_size, **options)
    assert (read(source), source.dead) == ((x, labels), dead)


def continued(new_pipe: Any, first: list[str], second: list[str], **options: Any) -> Any:
    """Read a stream, and a further part of it from another pipe."""
    pipe = new_pipe()
    pipe.write("".join(f"{line}\n" for line in first).encode())
    pipe.end()
    source = CsvSource(pipe.path, **options)
    found = read(source)
    other = new_pipe()
    other.write("".join(f"{line}\n" for line in second).encode())
    other.end()
    further = CsvSource(other.path, **options)
    further.load_state_dict(source.state_dict())
    further.continue_from_here = True
    return found, further


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(
    ("first", "second", "x", "labels"),
    [
        (["u,v,y", "1,2,a"], ["v,y,u", "3,b,4"], [[4, 3]], ["b"]),
        (["u,v,y", "1,2,a"], ["", "u,v,y", "3,4,b"], [[3, 4]], ["b"]),
        (["u,v,y", "1,2,a"], ["3,4,b"], [[3, 4]], ["b"]),
        (["u,v,y", "1,2,a"], ["NA,NA,a", "3,4,b"], [[None, None], [3, 4]], ["a", "b"]),
        (["0,1,y", ".5,2,a"], ["1,0,y", "3,4,b"], [[4, 3]], ["b"]),
        (["0,1,y", ".5,2,a"], ["5,6,y", "3,4,b"], [[5, 6], [3, 4]], ["y", "b"]),
        (["1,2,a"], ["u,v,y", "3,4,b"], [[3, 4]], ["b"]),
        (["u,v,y"], ["v,y,u", "3,b,4"], [[3, 4]], ["b"]),
        ([], ["u,v,y", "3,4,b"], [[3, 4]], ["b"]),
    ],
)
def test_a_further_part_is_matched_by_name(
    new_pipe: Any,
    first: list[str],
    second: list[str],
    x: list[list[float]],
    labels: list[Any],
    batch_size: int,
) -> None:
    _, source = continued(new_pipe, first, second, batch_size=batch_size)
    assert read(source) == (x, labels)
    assert source.schema.misfits == {}


@pytest.mark.parametrize("header", [True, False])
def test_a_header_behind_a_part_without_one_is_not_learned(new_pipe: Any, header: bool) -> None:
    second = ["u,v,y", "3,4,b"] if header else ["3,4,b"]
    _, source = continued(new_pipe, ["1,2,a"], second)
    assert read(source) == ([[3, 4]], ["b"])
    assert source.dead == header


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_line_that_names_other_columns_is_not_learned(write: Write, batch_size: int) -> None:
    lines = ["colour,u,y", "red,1,a", "w,u,y", "blue,2,b", "colour,w,y", "u,u,b", "u,3,y"]
    source = CsvSource(write(lines), batch_size=batch_size, schema=Schema(kinds={"u": "number"}))
    rows = [row for batch in source for row in rows_of(batch)]
    assert rows == [
        {"colour": "red", "u": 1},
        {"colour": "blue", "u": 2},
        {"colour": "u"},  # the label is not the label's name
        {"colour": "u", "u": 3},
    ]
    assert (source.labels.names, source.dead, source.schema.misfits) == (
        ["a", "b", "y"],
        2,
        {"u": 1},
    )


@pytest.mark.parametrize("last", ["", "p,3,x\n"])
def test_kinds_are_inferred_behind_a_header_in_mid_stream(write: Write, last: str) -> None:
    data = f"note,u,y\nn,1.5,a\n\ny,note,u,\nb,n,2.5\na,n,3.5,\nbad\nu,note,y\n{last}"
    source = CsvSource(write(data.replace("p,3,x", "3,p,x").encode()))
    rows = [row for batch in source for row in rows_of(batch)]
    more = [{"note": "p", "u": 3}] if last else []
    assert rows == [{"note": "n", "u": u} for u in (1.5, 2.5, 3.5)] + more
    assert source.schema.names_by_kind == {"number": ["u"], "category": ["note"]}


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (["u,v,label", "1,2,a"], "the column 'y', to be predicted, is missing"),
        (["p,q,y", "1,2,a"], "no feature has its old name"),
        (["p,q,r", "1,2,a"], "the column 'y', to be predicted, is missing"),
    ],
)
def test_a_further_part_with_other_columns_is_refused(
    new_pipe: Any, second: list[str], reason: str
) -> None:
    _, source = continued(new_pipe, ["u,v,y", "1,2,a"], second)
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            list(source)
        assert reason in str(caught.value)
        assert "the columns were u, v, y, and are " + second[0].replace(",", ", ") in str(
            caught.value
        )
    assert np.array_equal(source.state_dict()["lines"], 2)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize(
    ("second", "rows", "notices"),
    [
        (["u,y", "3,a"], [{"u": 3}], ["column 'v' is missing from row 2 on"]),
        (
            ["y,w,v,u", "b,red,4,3", 'a,"blue\nred",6,5', "b,,8,7"],
            [
                {"u": 3, "v": 4, "w": "red"},
                {"u": 5, "v": 6, "w": "blue\nred"},
                {"u": 7, "v": 8},
            ],
            ["column 'w' is new at row 2, learned as a category"],
        ),
    ],
)
def test_a_further_part_may_have_new_columns_and_lack_some(
    new_pipe: Any,
    second: list[str],
    rows: list[Any],
    notices: list[str],
    batch_size: int,
) -> None:
    _, source = continued(new_pipe, ["u,v,y", "1,2,a"], second, batch_size=batch_size)
    found: list[Any] = []
    said: list[str] = []
    for batch in source:
        found += rows_of(batch)
        said += map(describe_change, source.schema.changes.take())
    assert (found, said, source.dead) == (rows, notices, 0)
