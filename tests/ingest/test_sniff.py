"""What a file is described as, and that the proposed command reads it."""

from __future__ import annotations

import bz2
import json
import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import feather, parquet

from streamreplay.config.building.pipeline import build
from streamreplay.config.parsing.load import load_job
from streamreplay.errors import SourceError
from streamreplay.ingest.sniff import Sniffed, sniff

ROWS = [{"a": i / 4, "kind": ["x", "y", None][i % 3], "y": f"c{i % 2}"} for i in range(30)]


def csv(mark: str = ",", decimal: str = ".") -> str:
    lines = [mark.join(ROWS[0])]
    for row in ROWS:
        cells = [str(row["a"]).replace(".", decimal), row["kind"] or "NA", str(row["y"])]
        lines.append(mark.join(map(str, cells)))
    return "\n".join(lines) + "\n"


def columns(found: Sniffed) -> list[tuple[str, str, str]]:
    return [(each.name, each.kind, f"{each.missing:.2f}") for each in found.columns]


EXPECTED = [("a", "number", "0.00"), ("kind", "category", "0.33"), ("y", "category", "0.00")]


@pytest.mark.parametrize(
    ("name", "content", "details"),
    [
        ("rows.csv", csv().encode(), ["header", 'delimiter ","']),
        ("rows.txt", csv("|").encode("utf-16"), ["header", 'delimiter "|"']),
        (
            "rows.csv.bz2",
            bz2.compress(csv(";", ",").encode()),
            ["header", 'delimiter ";"', 'decimal mark ","'],
        ),
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS)).encode(), ["an object a line"]),
        (
            "rows.data",
            json.dumps(ROWS, indent=1).encode(),
            ["objects in an array or over several lines"],
        ),
    ],
)
def test_formats_by_their_content_and_a_command_that_reads_them(
    tmp_path: Path, name: str, content: bytes, details: list[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = sniff(str(path))
    assert (found.details, columns(found), found.rows, found.bad) == (details, EXPECTED, 30, 0)
    assert found.columns[1].examples == ["x", "y"]
    assert found.label is not None
    _, _, file, *options = shlex.split(found.command)
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    keys = {"--label": "source.label=", "--format": "source.format=", "--set": ""}
    job = load_job(None, [f"source.path={file}", *(keys[k] + v for k, v in pairs.items())])
    assert pairs["--label"] == "y"
    assert sum(len(batch) for batch in build(job).source or ()) == 30


def test_the_lines_that_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("size,colour\n1.5,red\n,blue\n1,2,3,4\n2,red\n")
    assert sniff(str(path)).lines() == [
        f'{path}: CSV, header, delimiter ","; first 3 rows, 1 cannot be read',
        "  column  kind      missing  different  examples",
        "  size    number    33.3 %   2          1.5, 2",
        "  colour  category  0.0 %    2          red, blue",
        "label: colour",
        f"run: streamreplay run {path} --label colour",
    ]


@pytest.mark.parametrize("width", [30, 52, 66])
def test_the_lines_fit_a_terminal(tmp_path: Path, width: int) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "".join(["at,note,y\n", *(f"{2000 + i}-01-01,w{i},{i % 2}\n" for i in range(9))])
    )
    _, *table, _, _ = sniff(str(path)).lines(width - 2)
    assert max(map(len, table)) <= width
    text = " ".join(" ".join(table).split())
    assert "2000-01-01" in text
    assert ("2000-01-01, 2001-01-01" in text) == (width == 66)
    assert table[0].startswith("  at") == (width < 40)  # too narrow for columns


def test_no_label_is_proposed_where_none_looks_like_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{i * 37 % 99},{i / 7}\n" for i in range(99)))
    found = sniff(str(path))
    assert found.label is None
    assert found.lines()[-2:] == [
        "label: none found: name it with --label",
        f"run: streamreplay run {path}",
    ]


def test_a_folder_is_described_by_its_first_file(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(f"{name[0]},y\n1,k\n2,l\n")
    found = sniff(str(tmp_path))
    assert [each.name for each in found.columns] == ["a", "y"]
    assert found.command == f"streamreplay run {tmp_path} --label y"


def test_arrays_and_what_cannot_be_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 2)), y=np.arange(3))
    assert sniff(str(tmp_path / "rows.npz")).format == "npz"
    for content, message in [
        (b"", "holds no rows"),
        (b"SAR1\0\1", r"begins with b'SAR1.*', which is no format that is known"),
    ]:
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(SourceError, match=message):
            sniff(str(tmp_path / "other"))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.bin"])
def test_arrow_and_parquet(tmp_path: Path, name: str) -> None:
    rows = [
        {**row, "at": datetime(2024, 5, 1, i, tzinfo=UTC), "tags": [1]}
        for i, row in enumerate(ROWS[:20])
    ]
    path, table = tmp_path / name, pa.Table.from_pylist(rows)
    if name == "rows.parquet":
        parquet.write_table(table, path)
    else:
        feather.write_feather(table, path)
    found = sniff(str(path))
    assert (found.format, found.details) == (
        "parquet" if name == "rows.parquet" else "arrow",
        ["20 rows"],
    )
    assert columns(found) == [
        ("a", "number", "0.00"),
        ("kind", "category", "0.30"),
        ("y", "category", "0.00"),
        ("at", "time", "0.00"),
        ("tags", "ignored (nested)", "0.00"),
    ]
    assert found.columns[3].examples[0].startswith("2024-05-01 00:00")
    assert found.command == f"streamreplay run {path} --label y"


def test_columns_that_tell_nothing_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "-it's [1].csv"
    names = ["id", "row", "user_id", "sess*id", "one", "count", "size", "dest_id", "y"]
    lines = [
        f"{i},{100 + 2 * i},{i * 7 % 5},k{i},same,{i * 37 % 40},{i / 4},d{i % 3},{'ab'[i % 2]}"
        for i in range(40)
    ]
    path.write_text("\n".join([",".join(names), *lines]))
    found = sniff(str(path))
    assert found.columns[0].kind == "id"
    assert {each.name: each.useless for each in found.exclude} == {
        "row": "looks like an id",
        "user_id": "looks like an id",
        "sess*id": "looks like an id",
        "one": "one value",
    }
    assert found.lines()[-2].startswith("exclude: row (looks like an id), user_id (")
    command = shlex.split(found.command)
    assert command[2:] == [str(path), "--label", "y", "--exclude", "row,user_id,sess[*]id,one"]
    exclude, file = json.dumps(command[-1].split(",")), json.dumps(str(path))
    job = load_job(None, [f"source.path={file}", f"features.exclude={exclude}"])
    source = build(job).source
    assert source is not None
    (batch, _) = source
    assert batch.schema is not None
    assert batch.schema.names == ["count", "dest_id", "size"]


def test_names_that_an_option_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ['"a,b",c,y', *(f"1,{i / 2},{i % 2}" for i in range(20))]
    Path("-rows").write_text("\n".join(lines))
    assert shlex.split(sniff("-rows").command)[2:] == [
        "./-rows", "--label", "y", "--set", 'features.exclude=["a,b"]',
    ]  # fmt: skip


def test_standard_input() -> None:
    """A pipe that stays open is not waited for once rows have come."""
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.write(writer, bz2.compress(csv().encode()))
    os.dup2(reader, 0)
    try:
        found = sniff("-")
    finally:
        os.dup2(kept, 0)
        for fd in (reader, writer, kept):
            os.close(fd)
    assert (columns(found), found.command) == (EXPECTED, "streamreplay run - --label y")
    assert found.lines()[0].startswith('standard input: CSV, header, delimiter ","; first 30 rows')
