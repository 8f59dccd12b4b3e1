"""Rows of a Python program: the same batches from every form, and from a file with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from streamreplay.ingest import Features, JsonlSource

Exact = Callable[[Any], Any]
Records = list[dict[str, Any]]

WORDS = ["the cat sat on the mat", "a dog ran", "no news is good news today", "rain", ""]


def records(n: int = 60) -> Records:
    """Return rows with gaps, text, categories, times and every role, as JSON has them."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        row = {
            "id": f"r{i}",
            "size": round(float(rng.normal()), 3),
            "count": int(rng.integers(9)),
            "ok": bool(rng.integers(2)),
            "colour": "rgb"[i % 3],
            "note": f"{WORDS[i % 5]} number {i} of them all",
            "when": f"2013-01-{1 + i % 28:02}T05:15:{i:02}",
            "w": 1.0 + i % 2,
            "kind": ["cat", "dog", None][i % 3],
        }
        for name in ("size", "colour", "note", "when", "count"):
            if rng.random() < 0.15:
                row[name] = None
        found.append(row)
    return found


def as_columns(rows: Records) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def of_times(rows: Records) -> Records:
    """Return rows with times as such."""
    moments = [row["when"] and datetime.fromisoformat(row["when"]) for row in rows]
    return [{**row, "when": when} for row, when in zip(rows, moments, strict=True)]


FORMS: dict[str, Callable[[Records], Any]] = {
    "dicts": lambda rows: rows,
    "dicts without what is missing": lambda rows: [
        {k: v for k, v in row.items() if v is not None} for row in rows
    ],
    "dicts with times": of_times,
    "columns": as_columns,
    "arrays": lambda rows: {
        name: np.array(values, object if None in values else None)
        for name, values in as_columns(of_times(rows)).items()
    },
    "pandas": pd.DataFrame,
    "pandas, filtered": lambda rows: pd.DataFrame([rows[0], *rows]).iloc[1:],
    "pandas with times": lambda rows: pd.DataFrame(rows).assign(
        when=lambda frame: pd.to_datetime(frame["when"])
    ),
    "pandas, converted": lambda rows: (
        pd.DataFrame(rows)
        .assign(when=lambda frame: pd.to_datetime(frame["when"]).dt.tz_localize("UTC"))
        .astype({"colour": "category"})
        .convert_dtypes()
    ),
    "pandas of Arrow": lambda rows: pd.DataFrame(rows).convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.DataFrame,
    "polars with times": lambda rows: pl.DataFrame(of_times(rows)).with_columns(
        pl.col("colour").cast(pl.Categorical), pl.col("when").dt.replace_time_zone("UTC")
    ),
    "Arrow": lambda rows: pa.Table.from_pylist(of_times(rows)),
    "Arrow batch": pa.RecordBatch.from_pylist,
    "Arrow in parts": lambda rows: pa.concat_tables(
        [pa.Table.from_pylist(rows[:1]), pa.Table.from_pylist(rows[1:])], promote_options="default"
    ),
    "PyCapsule": lambda rows: _Capsule(pa.Table.from_pylist(rows)),
}


class _Capsule:
    """What other libraries of Arrow data have."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def features(**settings: Any) -> Features:
    return Features(**{"label": "kind", "weight": "w", "kinds": {"note": "text"}, **settings})


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_batches_of_a_file(form: str, tmp_path: Path, exact: Exact) -> None:
    rows = records()
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    made = features(infer_rows=20)
    source = JsonlSource(path, label="kind", weight="w", batch_size=20, schema=_like(made))
    for start, expected in zip(range(0, 60, 20), source, strict=True):
        found = made.batch(FORMS[form](rows[start : start + 20]))
        assert exact(found) == exact(expected)
    assert made.labels.names == source.labels.names == ["cat", "dog"]
    assert made.position == source.position == 60
    assert made.schema.names_by_kind == source.schema.names_by_kind
    assert {"size", "count"} <= set(made.schema.names_by_kind["number"])
    state = made.schema.state_dict()
    assert exact(state) == exact(source.schema.state_dict())


def _like(made: Features) -> Any:
    """Return a new schema with the settings of features."""
    return features(infer_rows=made.schema.infer_rows).schema
