"""`Pipeline.step` takes tables of a program, read as the rows of a file would be."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet
from torch.optim import SGD

from streamreplay.errors import ConfigError, RecordError
from streamreplay.evaluation import Prequential
from streamreplay.ingest import ArrowSource, CsvSource, Features, JsonlSource
from streamreplay.learners import RiverLearner, TorchLearner, mlp
from streamreplay.pipeline import Pipeline

N = 120


def table(n: int = N) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        kind = "cat" if rng.random() < 0.5 else "dog"
        row = {"size": round(float(rng.normal(kind == "cat")), 3), "colour": "rgb"[i % 3]}
        rows.append({"id": f"r{i}", **row, "kind": kind})
    return rows


FORMS: dict[str, Any] = {
    "dicts": list,
    "columns": lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": pa.Table.from_pylist,
    "record batch": pa.RecordBatch.from_pylist,
}


def pipeline(source: Any) -> Pipeline:
    learner = TorchLearner(mlp([8]), partial(SGD, lr=0.1), seed=1)
    return Pipeline(source, learner=learner, evaluator=Prequential(report_every=40))


def told(reports: list[Any]) -> list[Any]:
    """Return all that reports say, of each row and in records."""
    scored = [report.scored for report in reports if report.scored is not None]
    return [
        [each.incoming.id.tolist() for each in scored],
        [each.incoming.t.tolist() for each in scored],
        [np.nan_to_num(each.probability, nan=-1).tolist() for each in scored],
        [record for report in reports for record in report.metrics],
    ]


def cut(rows: list[Any], size: int = 10) -> list[list[Any]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@pytest.mark.parametrize("form", FORMS)
def test_a_pipeline_with_features_in_front(form: str) -> None:
    features, parts = Features(label="kind"), cut(table())
    made, expected = pipeline(Features(label="kind")), pipeline(None)
    reports = [made.step(FORMS[form](part)) for part in parts]
    wanted = [expected.step(features.batch(part)) for part in parts]
    assert told([*reports, made.finish()]) == told([*wanted, expected.finish()])
    assert made.position == N


def test_features_stand_in_front_of_a_river_model() -> None:
    from river import tree  # noqa: PLC0415 - slow

    learner = RiverLearner(tree.HoeffdingTreeClassifier())
    made = Pipeline(Features(label="kind"), learner=learner, evaluator=Prequential())
    for part in cut(table(400), 1):
        made.step(part)
    assert made.finish().metrics[-1]["accuracy"] > 0.6


def written(folder: Path, form: str, rows: list[dict[str, Any]]) -> Any:
    path = folder / f"rows{len(rows)}.{form}"
    options: dict[str, Any] = {"label": "kind", "batch_size": 10}
    if form == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
        return JsonlSource(path, **options)
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return ArrowSource(path, **options)
    with path.open("w") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        if form == "csv":
            writer.writeheader()
        writer.writerows(rows)
    if form == "csv":
        return CsvSource(path, **options)
    return CsvSource(path, label=3, id=0, batch_size=10, header=False)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "bare"])
def test_rows_behind_those_of_a_file_are_as_in_the_file(tmp_path: Path, form: str) -> None:
    rows = table()
    whole = pipeline(written(tmp_path, form, rows))
    made = pipeline(written(tmp_path, form, rows[:60]))
    reports = [report for report in made if report.scored is not None]
    head, _ = told(reports)[0], made.finish()
    assert len(head) == 6
    expected = told([report for report in whole if report.scored is not None])
    named = [dict(zip("0123", row.values(), strict=True)) for row in rows]
    more = cut((named if form == "bare" else rows)[60:])
    reports += [made.step(pd.DataFrame(part)) for part in more]
    assert told(reports)[:3] == expected[:3]
    again = pipeline(written(tmp_path, form, rows[:60]))
    again.load_state_dict(made.state_dict())
    part = (named if form == "bare" else rows)[:10]
    found, wanted = (each.step(part).scored for each in (again, made))
    assert found is not None
    assert wanted is not None
    assert found.probability.tolist() == wanted.probability.tolist()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    source = written(tmp_path, "csv", table())
    made = pipeline(source)
    with pytest.raises(ValueError, match=r"rows120.csv: its first rows decide .* iterate over it"):
        made.step([{"size": 1}])
    made = pipeline(Features(label="kind", weight="w", on_change="freeze"))
    made.step(table(10))
    position = made.position
    with pytest.raises(RecordError, match="row 0, column 'w': weight"):
        made.step([{"size": 1.0, "kind": "cat", "w": -1}])
    with pytest.raises(ConfigError, match="there is a new column, 'more'"):
        made.step([{"size": 1.0, "more": 1}])
    with pytest.raises(TypeError, match=r"rows must be a list of dicts, .*got int"):
        made.step(3)
    assert made.position == position == 10
    with pytest.raises(TypeError, match=r"got list: build .*; with Features\(...\) as its source"):
        pipeline(None).step([{"size": 1.0}])
    with pytest.raises(ValueError, match="Features have no rows of their own"):
        next(iter(made))
