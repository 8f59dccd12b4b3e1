"""CSV read in bulk with pyarrow: the same rows and the same verdicts as line by line."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from streamreplay.ingest import CsvSource
from streamreplay.ingest.decode import arrow_cells
from streamreplay.ingest.decode.arrow_cells import ArrowCells, CellReader
from tests.ingest.bulk import Came
from tests.ingest.bulk import read as bulk_read

ROWS = 600
HEADER = "id,size,temp,colour,when,y"


def line(i: int) -> str:
    return (
        f"r{i},{i / 7},{i % 13},{['red', 'green', 'blue'][i % 3]},2024-01-{1 + i % 28:02},c{i % 4}"
    )


def read(path: Path, monkeypatch: pytest.MonkeyPatch, *, bulk: bool, **options: Any) -> Came:
    return bulk_read(CsvSource, arrow_cells, CellReader, path, monkeypatch, bulk=bulk, **options)


def same(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[ArrowCells | None]:
    """Check that both ways give the same, and return what pyarrow gave."""
    one_by_one = read(path, monkeypatch, bulk=False, **options)
    in_bulk = read(path, monkeypatch, bulk=True, **options)
    assert set(one_by_one.calls) == {None}
    assert (in_bulk.rows, in_bulk.aside) == (one_by_one.rows, one_by_one.aside)
    assert in_bulk.schema.misfits == one_by_one.schema.misfits
    assert any(cells is not None for cells in in_bulk.calls)
    assert len(in_bulk.rows) + len(in_bulk.aside) >= ROWS
    return in_bulk.calls


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_bytes(end.join([HEADER, *lines, ""]).encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain_rows_are_read_in_bulk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    calls = same(write(tmp_path / "a.csv", list(map(line, range(ROWS))), end), monkeypatch)
    read_at_once = sum(len(cells.lines) for cells in calls if cells is not None)
    assert read_at_once > ROWS // 2


@pytest.mark.parametrize(
    "odd",
    [
        "r,1,2",
        "r,1,2,red,2024-01-01,c1,more",
        "",
        "   ",
        'r,"1,2,red,2024-01-01,c1',
        'r,1,2,"two\nlines",2024-01-01,c1',
        'r,1,2,re"d,2024-01-01,c1',
        "r,1,2,\udcff\udcfe,2024-01-01,c1",
        "r,1,2,r\0d,2024-01-01,c1",
        "r,1,2,r\rd,2024-01-01,c1",
        "r,1,2,\ufeffred,2024-01-01,c1",
        "\ufeffr,1,2,red,2024-01-01,c1",
        'r,1,2,"re"d,2024-01-01,c1',
        "r,1,2,red,2024-01-01,NA",
        "r,1,2,red,2024-01-01,",
        "r,1,2,red,2024-01-01,c1\rr,1,2,red,2024-01-01,c1",
        HEADER,
        "y,when,colour,temp,size,id",
        "y,when,colour,temp,size,id,",
    ],
)
def test_an_unusual_line_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    lines = list(map(line, range(ROWS)))
    for at in (100, 333, 334, 590):
        lines.insert(at, odd)
    if odd.startswith("y,when"):  # a header: rows behind it have this order
        del lines[101:]
        lines += [",".join(reversed(line(i).split(","))) for i in range(100, ROWS)]
    same(write(tmp_path / "a.csv", lines), monkeypatch)


@pytest.mark.parametrize(
    "cell",
    ["NA", " NA ", "", "nan", "NAN", "inf", "-Infinity", "1e400", "-0", "-0.0", "+1.5", " 2 ",
     ".5", "5.", "007", "0x10", "1_0", "true", "1,5", "\u0661", "1e-400", "16777217.0000001",
     "0.1000000014901161", "99999999999999999999", '"3"', '""'],
)  # fmt: skip
def test_a_number_is_the_same_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    lines = list(map(line, range(ROWS)))
    for at in (200, 201, 500):
        parts = line(at).split(",")
        parts[1] = cell
        lines[at] = ",".join(parts)
    same(write(tmp_path / "a.csv", lines), monkeypatch)


def test_decimals_are_rounded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decimal near the middle of two float32 is rounded to float64 first in any case."""
    dice = Random(0)  # noqa: S311
    lines = []
    for i in range(ROWS):
        middle = float(np.float32(dice.random())) + 2.0**-25
        lines.append(f"r{i},{middle:.{dice.randint(6, 20)}g},{dice.uniform(-9, 9)!r},red,,c1")
    same(write(tmp_path / "a.csv", lines), monkeypatch, time=None)


@pytest.mark.parametrize(("mark", "decimal"), [(";", ","), ("\t", None), ("|", "."), (";", None)])
def test_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, decimal: str | None
) -> None:
    lines = [each.replace(",", mark) for each in [HEADER, *map(line, range(ROWS))]]
    if decimal == ",":
        lines = [lines[0], *(each.replace(".", ",") for each in lines[1:])]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    same(path, monkeypatch, delimiter=mark, decimal=decimal)


def test_it_reads_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv", list(map(line, range(ROWS))))
    expected = read(path, monkeypatch, bulk=False)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    found = read(path, monkeypatch, bulk=True)
    assert (found.rows, found.aside) == (expected.rows, expected.aside)
    assert found.schema.misfits == expected.schema.misfits
