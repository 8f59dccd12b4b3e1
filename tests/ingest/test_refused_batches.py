"""A batch that is refused as a whole is not consumed: it comes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import ipc

from streamreplay.errors import ConfigError
from streamreplay.features.schema import Schema
from streamreplay.ingest import ArrowSource, CsvSource, JsonlSource
from tests.ingest.tables import rows_of

Exact = Callable[[Any], Any]

FIRST = [{"a": i / 2, "c": "xy"[i % 2], "y": f"k{i % 3}"} for i in range(6)]
LATER = [{**row, "gate": "B7", "y": f"new{i}"} for i, row in enumerate(FIRST)]


def _jsonl(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [*FIRST, *LATER]))
    return path


def _csv(folder: Path) -> list[Path]:
    paths = [folder / "1.csv", folder / "2.csv"]
    for path, rows in zip(paths, (FIRST, LATER), strict=True):
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("".join(f"{line}\n" for line in lines))
    return paths


def _arrow(folder: Path) -> list[Path]:
    paths = [folder / "1.arrow", folder / "2.arrow"]
    for path, rows in zip(paths, (FIRST, LATER), strict=True):
        table = pa.Table.from_pylist(rows)
        with ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    return paths


SOURCES: dict[str, tuple[Callable[..., Any], Callable[[Path], Any]]] = {
    "jsonl": (JsonlSource, _jsonl),
    "csv": (CsvSource, _csv),
    "arrow": (ArrowSource, _arrow),
}


def _read(batches: Any) -> list[tuple[int, dict[str, Any], int]]:
    found: list[tuple[int, dict[str, Any], int]] = []
    for batch in batches:
        found += zip(batch.t.tolist(), rows_of(batch), batch.y.tolist(), strict=True)
    return found


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("cause", ["column", "class"])
def test_a_refused_batch_comes_again(kind: str, cause: str, tmp_path: Path, exact: Exact) -> None:
    make, write = SOURCES[kind]
    path = write(tmp_path)
    expected = _read(make(path, batch_size=4))
    source = make(path, batch_size=4, schema=Schema(infer_rows=4))
    if cause == "column":
        source.schema.on_change = "freeze"
    else:
        source.labels.most = 4
    stream = iter(source)
    found = _read([next(stream)])
    before = exact(source.state_dict())
    with pytest.raises(ConfigError, match="'gate'" if cause == "column" else "'new1'"):
        next(stream)
    assert exact(source.state_dict()) == before
    with pytest.raises(ConfigError):
        next(iter(source))
    resumed = make(path, batch_size=4, schema=Schema(infer_rows=4))
    resumed.load_state_dict(source.state_dict())
    source.schema.on_change, source.labels.most = "evolve", None
    assert found + _read(source) == expected
    assert found + _read(resumed) == expected
    assert exact(resumed.state_dict()) == exact(source.state_dict())
