"""JSON read in bulk with msgspec: the same rows and the same verdicts as record by record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from streamreplay.ingest import JsonlSource
from streamreplay.ingest.decode import struct_records
from streamreplay.ingest.decode.struct_records import StructReader, StructValues
from tests.ingest.bulk import Came
from tests.ingest.bulk import read as bulk_read

ROWS = 300


def line(i: int) -> str:
    colour = ("red", "green", "blue")[i % 3]
    return (
        f'{{"id": "r{i}", "size": {i / 7}, "temp": {i % 13}, "colour": "{colour}", '
        f'"ok": {str(i % 2 == 0).lower()}, "when": "2024-01-{1 + i % 28:02}", "y": "c{i % 4}"}}'
    )


def read(path: Path, monkeypatch: pytest.MonkeyPatch, *, bulk: bool, **options: Any) -> Came:
    return bulk_read(
        JsonlSource, struct_records, StructReader, path, monkeypatch, bulk=bulk, **options
    )


def same(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[StructValues | None]:
    """Check that both ways give the same, and return what msgspec gave."""
    one_by_one = read(path, monkeypatch, bulk=False, **options)
    in_bulk = read(path, monkeypatch, bulk=True, **options)
    assert set(one_by_one.calls) == {None}
    assert (in_bulk.rows, in_bulk.aside) == (one_by_one.rows, one_by_one.aside)
    states = [each.schema.state_dict() for each in (in_bulk, one_by_one)]
    for part in ("columns", "misfits", "categories"):
        assert states[0][part] == states[1][part]
    assert len(in_bulk.rows) + len(in_bulk.aside) >= ROWS
    return in_bulk.calls


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_bytes(end.join([*lines, ""]).encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain_records_are_read_in_bulk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    calls = same(write(tmp_path / "a.jsonl", list(map(line, range(ROWS))), end), monkeypatch)
    assert sum(len(found.records) for found in calls if found is not None) > ROWS * 2 / 3


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "  ",
        "{",
        "[1]",
        '{"id": "r", "y": "c1"}, {"id": "s", "y": "c2"}',
        '{"id": "r", "size": 1, "y": "c1", "new": 3}',
        '{"id": "r", "size": "NA", "y": "c1"}',
        '{"id": "r", "size": "1.5", "y": "c1"}',
        '{"id": "r", "size": true, "y": "c1"}',
        '{"id": "r", "size": NaN, "y": "c1"}',
        '{"id": "r", "size": 1e400, "y": "c1"}',
        '{"id": "r", "size": 3e39, "y": "c1"}',
        '{"id": "r", "size": -0, "y": "c1"}',
        '{"id": "r", "size": 123456789012345678901234567890, "y": "c1"}',
        '{"id": "r", "size": [1], "y": "c1"}',
        '{"id": "r", "colour": {"a": 1}, "y": "c1"}',
        '{"id": "r", "colour": 99999999999999999999999, "y": "c1"}',
        '{"id": "r", "colour": 5, "ok": 1, "y": 7}',
        '{"id": 5, "ok": "yes", "y": true}',
        '{"id": null, "size": null, "colour": null, "y": null}',
        '{"id": 18446744073709551616, "y": "c1"}',
        '{"id": "r", "y": 18446744073709551616}',
        '{"id": "r", "y": 18446744073709551615}',
        '{"id": "r", "y": 1.0}',
        '{"id": "r", "y": "c1", "y": "c2", "size": 1, "size": 2}',
        '{"id": "r", "colour": "\\ud800", "y": "c1"}',
        '{"id": "r", "colour": "\udcff", "y": "c1"}',
        '{"id": "r", "colour": "\\u00e9 \\"q\\"", "y": "c1"}',
        '{"id": "r", "colour": "a\x01b", "y": "c1"}',
        '\ufeff{"id": "r", "y": "c1"}',
        '{"id": "r", "none": 4, "y": "c1"}',
    ],
)
def test_an_unusual_record_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    lines = [each.replace('"y"', '"none": null, "y"') for each in map(line, range(ROWS))]
    for at in (100, 200, 201, 290):
        lines.insert(at, odd)
    calls = same(write(tmp_path / "a.jsonl", lines), monkeypatch)
    assert any(found is not None for found in calls)


def test_lines_of_arrays_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [*map(line, range(ROWS)), *["[0, 1]", "[1, 0]"] * 100]
    path = write(tmp_path / "a.jsonl", lines)
    same(path, monkeypatch)
    assert len(read(path, monkeypatch, bulk=False).aside) == 200


def test_only_the_features_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", list(map(line, range(ROWS))))
    calls = same(path, monkeypatch, features=["temp", "colour", "gone"])
    assert all(found is None or set(found.features) <= {"temp", "colour"} for found in calls)
    assert any(found is not None for found in calls)


def test_a_stream_that_is_not_fit_for_it_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [each.replace('"temp": ', '"temp": "') .replace(', "colour"', '", "colour"')
             for each in map(line, range(ROWS))]  # fmt: skip
    lines[:10] = list(map(line, range(10)))
    monkeypatch.setattr(struct_records, "_TRIES", 2)
    tried: list[int] = []
    original = StructReader._one_by_one

    def spy(self: StructReader, lines: list[bytes]) -> tuple[list[Any], list[int]]:
        tried.append(len(lines))
        return original(self, lines)

    monkeypatch.setattr(StructReader, "_one_by_one", spy)
    same(write(tmp_path / "a.jsonl", lines), monkeypatch)
    assert len(tried) == 2


def test_it_reads_without_msgspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.jsonl", list(map(line, range(ROWS))))
    expected = read(path, monkeypatch, bulk=False)
    monkeypatch.setitem(sys.modules, "msgspec", None)
    found = read(path, monkeypatch, bulk=True)
    assert (found.rows, found.aside) == (expected.rows, expected.aside)
