"""What a job reads: every format, split, held out, tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.config import build, load_job
from streamreplay.errors import ConfigError

SMALL = ["learner.hidden=[4]", "buffer.max_size=20", "source.batch_size=8"]


def npz(path: Path, n: int = 80, **more: Any) -> Path:
    rng = np.random.default_rng(n)
    y = np.arange(n) % 4
    np.savez(path, x=rng.normal(y[:, None], 0.3, (n, 3)).astype(np.float32), y=y, **more)
    return path


def metrics(*overrides: str) -> list[dict[str, Any]]:
    pipeline = build(load_job(None, [*SMALL, *overrides]))
    return [record for report in pipeline for record in report.metrics]


def test_npz_split_by_class_and_tested_by_experience(tmp_path: Path) -> None:
    train, test = npz(tmp_path / "train.npz"), npz(tmp_path / "test.npz", 20)
    records = metrics(
        f"source.path={train}",
        f"test.path={test}",
        "source.split.n_experiences=2",
        "source.split.class_order=[3, 1, 0, 2]",
        "source.split.return_task_id=true",
    )
    retention = [record for record in records if record["kind"] == "retention"]
    assert [record["after_experience"] for record in retention] == [0, 1]
    assert [record["rows"] for record in retention] == [20, 20]
    assert set(retention[-1]["accuracy_by_experience"]) == {0, 1}
    assert set(retention[-1]["by_class"]) == {0, 1, 2, 3}
    assert set(retention[0]["by_class"]) == {0, 1}  # the stream has shown two
    assert set(records[-3]["by_task"]) == {0, 1}


def test_held_out_rows_are_not_learned_from(tmp_path: Path) -> None:
    path = npz(tmp_path / "rows.npz")
    records = metrics(f"source.path={path}", "test.share=0.25", "test.first=40")
    assert records[0]["position"] == 70
    assert [record["kind"] for record in records[-2:]] == ["retention", "buffer"]
    assert records[-2]["rows"] == 10


def test_a_test_file_of_lines(tmp_path: Path) -> None:
    rows = "".join(f'{{"x": [{i % 3}], "y": "c{i % 3}"}}\n' for i in range(60))
    (tmp_path / "train.jsonl").write_text(rows)
    (tmp_path / "test.jsonl").write_text("".join(rows.splitlines(keepends=True)[:9]))
    overrides = [f"source.path={tmp_path}/train.jsonl", f"test.path={tmp_path}/test.jsonl"]
    records = metrics(*overrides, "test.every=24")
    assert [r["position"] for r in records if r["kind"] == "retention"] == [24, 48, 60]


def test_the_columns_of_a_test_file_are_matched_by_name(tmp_path: Path) -> None:
    rows = [{"a": i % 2, "b": 9, "y": i % 2} for i in range(60)]
    turned = [dict(reversed(row.items())) for row in rows]
    for name, some in (("train", rows), ("same", rows[:9]), ("other", turned[:9])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)))
    for more in ([], ["source.split.n_experiences=2"], ["source.features=['a', 'b']"]):
        same, other = (
            metrics(f"source.path={tmp_path}/train.jsonl", f"test.path={tmp_path}/{name}", *more)
            for name in ("same.jsonl", "other.jsonl")
        )
        assert [r for r in same if r["kind"] == "retention"]
        assert same == other


def test_standard_input_is_not_read_twice() -> None:
    with pytest.raises(ConfigError, match=r"test.path: standard input is the source already"):
        metrics("source.path=-", "test.path=-", "source.format=jsonl")


def test_fields_are_renamed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("1.5;cat;7\n2.5;dog;8\n")
    source = ["source.label=1", "source.id=2", "source.header=false"]
    pipeline = build(load_job(None, [f"source.path={path}", "source.delimiter=;", *source]))
    (batch,) = list(pipeline.source or ())
    assert batch.x.tolist() == [[1.5], [2.5]]
    assert batch.id is not None
    assert batch.id.tolist() == ["7", "8"]
    np.savez(tmp_path / "rows.npz", a=np.zeros((2, 2)), b=np.array(["u", "v"]))
    renamed = ["source.features=['a']", "source.label=b"]
    pipeline = build(load_job(None, [f"source.path={tmp_path}/rows.npz", *renamed]))
    (batch,) = list(pipeline.source or ())
    assert batch.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["test.path=t.npz", "test.share=0.1"],
            "test: give either path (a file) or share (of the source's rows), got both",
        ),
        (["source.split.n_experiences=5"], "source: n_experiences must be 1 to 4"),
        (["source.split.n_experiences=2", "source.split.class_order=[1]"], "source: class_order"),
        (
            ["source.features=['a', 'b']"],
            "source.features: an .npz file has one array of features, got ['a', 'b']",
        ),
        (["source.label=klass"], "rows.npz: y is array 'klass', but the file has x, y"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, overrides: list[str], message: str) -> None:
    path = npz(tmp_path / "rows.npz")
    with pytest.raises(ConfigError) as error:
        build(load_job(None, [f"source.path={path}", *overrides]))
    assert str(error.value).startswith(message)


def test_a_test_class_that_the_split_source_lacks(tmp_path: Path) -> None:
    train = npz(tmp_path / "train.npz")
    np.savez(tmp_path / "test.npz", x=np.zeros((2, 3), np.float32), y=np.array([0, 9]))
    with pytest.raises(ConfigError, match="test: class 9 is not among those of the source"):
        metrics(
            f"source.path={train}", f"test.path={tmp_path}/test.npz", "source.split.n_experiences=2"
        )


def test_seeds_are_of_each_stage(tmp_path: Path) -> None:
    """A stage keeps its random numbers when another one goes."""
    path = npz(tmp_path / "rows.npz")
    with_buffer = build(load_job(None, [*SMALL, f"source.path={path}"]))
    without = build(load_job(None, [*SMALL, f"source.path={path}", "buffer.kind=none"]))
    first = [next(iter(each)).scored for each in (with_buffer, without)]
    assert first[0] is not None
    assert first[1] is not None
    np.testing.assert_array_equal(first[0].probability, first[1].probability)
    assert without["buffer"].max_size == 0
