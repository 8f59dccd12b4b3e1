"""What docs/guides/log.md shows of reading a log is run, and gives what the log says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from streamreplay.log.tables.export import export_logs
from tests.log.log_lines import log_lines

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "log.md"


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return found


@pytest.fixture
def out(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(runs["classes, tested"], tmp_path / "out")
    export_logs(tmp_path / "out", tmp_path / "out" / "export")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "out"


def records(out: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log_lines(out, "metrics")]
    return [record for record in found if record["kind"] == kind]


def test_pandas_polars_and_duckdb(out: Path) -> None:
    with_pandas, with_polars, with_duckdb, tables = blocks("python")
    scores = [(r["position"], r["accuracy_window"]) for r in records(out, "prequential")]
    cat = [(r["position"], r["by_class"]["cat"]["accuracy"]) for r in records(out, "retention")]
    assert len(cat) > 3
    found: dict[str, Any] = {}
    exec(compile(with_pandas, "pandas", "exec"), found)  # noqa: S102 - our own examples
    assert found["scores"].index.tolist() == [position for position, _ in scores]
    assert found["scores"].tolist() == pytest.approx([value for _, value in scores], rel=1e-12)
    told = found["by_class"]["cat.accuracy"].tolist()
    assert told == pytest.approx([value for _, value in cat], rel=1e-12)  # its own way to read
    exec(compile(with_polars, "polars", "exec"), found)  # noqa: S102
    assert found["scores"].rows() == scores
    assert [each["accuracy"] for each in found["by_class"]["cat"]] == [value for _, value in cat]
    exec(compile(with_duckdb, "duckdb", "exec"), found)  # noqa: S102
    assert found["scores"].fetchall() == scores
    by_class = found["by_class"].fetchall()
    assert found["by_class"].columns == ["position", *records(out, "retention")[0]["by_class"]]
    assert [(row[0], row[-1]["accuracy"]) for row in by_class] == cat
    exec(compile(tables, "tables", "exec"), found)  # noqa: S102
    assert [
        *zip(found["wide"]["position"], found["wide"]["accuracy_window"], strict=True)
    ] == scores
    assert found["groups"].filter(group="cat", by="class").select("position", "value").rows() == cat
    assert found["cat"].fetchall() == cat


def test_a_log_in_several_files(out: Path) -> None:
    lines = (out / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (out / "metrics.000001.jsonl").write_bytes(b"".join(lines[:5]))
    (out / "metrics.jsonl").write_bytes(b"".join(lines[5:]))
    _, _, with_duckdb, _ = blocks("python")
    scores = [(r["position"], r["accuracy_window"]) for r in records(out, "prequential")]
    found: dict[str, Any] = {}
    text = with_duckdb.replace("metrics.jsonl", "metrics*.jsonl")
    exec(compile(text, "duckdb", "exec"), found)  # noqa: S102
    assert found["scores"].fetchall() == scores
    joined = subprocess.run(
        ["bash", "-c", "cat out/metrics*.jsonl"], capture_output=True, check=True
    )
    assert joined.stdout == b"".join(lines)


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")
def test_jq(out: Path) -> None:
    (text,) = blocks("sh")
    commands = [line for line in text.splitlines() if line.startswith("jq")]
    assert len(commands) == 4
    given = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=out.parent
        )
        given.append([json.loads(line) for line in done.stdout.splitlines()])
    scores, retained, stored, _ = given
    assert scores == [[r["position"], r["accuracy"]] for r in records(out, "prequential")]
    assert retained == [
        [r["position"], r["accuracy"], r["by_class"]] for r in records(out, "retention")
    ]
    assert stored == [
        {name: each["rows"] for name, each in r["by_class"].items()} for r in records(out, "buffer")
    ]
