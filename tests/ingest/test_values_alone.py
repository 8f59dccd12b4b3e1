"""A value is decided by itself, whatever stands in the rows next to it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.ingest import CsvSource, JsonlSource

Open = Callable[[str, list[str], int], CsvSource | JsonlSource]

WORDS = ["01", "1_000", "0x10", "+7", "\uff11", "nan", "NaN", ".5", "1.", "Infinity", "1 000"]
NUMBERS = ["1", "-1", "1.0", "1e0", "10e-1", "0", "-0", "-0.0", "7", "1000", "16"]


@pytest.fixture
def csv(tmp_path: Path) -> Open:
    def open_csv(role: str, cells: list[str], size: int) -> CsvSource:
        path = tmp_path / "rows.csv"
        rows = "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
        path.write_text(f"a,{role}\n{rows}", encoding="utf-8")
        options: dict[str, Any] = {} if role == "y" else {"label": False, role: role}
        return CsvSource(path, batch_size=size, **options)

    return open_csv


@pytest.fixture
def jsonl(tmp_path: Path) -> Open:
    """Records in which text that is no number in JSON is a string."""

    def open_jsonl(role: str, cells: list[str], size: int) -> JsonlSource:
        path = tmp_path / "rows.jsonl"
        values = [cell if cell in NUMBERS else json.dumps(cell) for cell in cells]
        rows = [f'{{"a": {i}, "{role}": {value}}}\n' for i, value in enumerate(values)]
        path.write_text("".join(rows), encoding="utf-8")
        options: dict[str, Any] = {} if role == "y" else {role: role}
        return JsonlSource(path, batch_size=size, **options)

    return open_jsonl


def column(source: CsvSource | JsonlSource, read: Callable[[Batch], Any]) -> list[Any]:
    return [each for batch in source for each in np.asarray(read(batch)).tolist()]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("size", [1, 2, 5, 64])
@pytest.mark.parametrize("cells", [[*WORDS, *NUMBERS], [*NUMBERS, *WORDS], NUMBERS, WORDS])
def test_labels(request: pytest.FixtureRequest, form: str, size: int, cells: list[str]) -> None:
    source = request.getfixturevalue(form)("y", cells, size)
    expected = [cell if cell in WORDS else int(float(cell)) for cell in cells]
    assert [source.labels.name(y) for y in column(source, lambda b: b.y)] == expected
    assert source.labels.names == list(dict.fromkeys(expected))
    assert set(map(type, source.labels.names)) == set(map(type, expected))


def test_a_number_and_its_text_are_two_labels_in_json_only(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('{"a": 1, "y": 1}\n{"a": 1, "y": "1"}\n{"a": 1, "y": 1.0}\n')
    source = JsonlSource(path)
    assert column(source, lambda b: b.y) == [0, 1, 0]
    assert source.labels.names == [1, "1"]
    path.write_text('a,y\n1,1\n1,"1"\n1,1.0\n')
    cells = CsvSource(path)
    assert column(cells, lambda b: b.y) == [0, 0, 0]
    assert cells.labels.names == [1]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("size", [1, 2, 64])
@pytest.mark.parametrize("role", ["task", "experience"])
def test_tasks(request: pytest.FixtureRequest, form: str, size: int, role: str) -> None:
    source = request.getfixturevalue(form)(role, [*WORDS, *NUMBERS, *WORDS], size)
    found = column(source, lambda b: getattr(b, role))
    assert found == [int(float(cell)) for cell in NUMBERS]
    assert source.dead == 2 * len(WORDS)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("size", [1, 2, 64])
def test_times(request: pytest.FixtureRequest, form: str, size: int) -> None:
    days = {"1970-01-02": 86400.0, " 1970-01-01T00:00:01Z ": 1.0}
    source = request.getfixturevalue(form)("time", [*WORDS, *NUMBERS, *days], size)
    found = column(source, lambda b: [math.nan] * len(b) if b.time is None else b.time)
    assert found == [*(float(cell) for cell in NUMBERS), *days.values()]
    assert source.dead == len(WORDS)
