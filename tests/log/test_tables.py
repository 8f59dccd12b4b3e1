"""Tables say what the logs say, number by number."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.log import lines as log_format
from streamreplay.log.rotation import JsonLines
from streamreplay.log.tables import export
from streamreplay.log.tables.export import export_logs
from streamreplay.reading.run import Run
from tests.log.log_lines import log_lines
from tests.run.jobs import JOBS

LOGS = ("metrics", "predictions", "dead_letters", "timings")


def lines_of(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_lines(run, name)]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all that is no object, by dotted names; slow and obvious."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def rows_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


def alike(cell: Any, value: Any) -> bool:
    """Whether a cell has a value: one that names a class may be written another way."""
    if isinstance(cell, str) and value is not None:
        return cell in (str(value), json.dumps(value))
    return bool(cell == value)


@pytest.mark.parametrize("job", JOBS)
def test_every_number_of_the_logs_is_in_the_tables(
    runs: dict[str, Path], job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_PART", 7)  # several parts
    monkeypatch.setattr(export, "_GROUP_PART", 50)
    written = export_logs(runs[job], tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    tables = {path.stem: rows_of(path) for path in written}
    assert {path: len(tables[path.stem]) for path in written} == written
    groups = iter(tables.pop("groups", []))
    for name in LOGS:
        by_table: dict[str, list[Any]] = {}
        for line in lines_of(runs[job], name):
            by_table.setdefault(line["kind"] if name == "metrics" else name, []).append(line)
            for key, value in line.items():
                if "by_" in key and isinstance(value, dict):
                    for group, entry in value.items():
                        alone = {key.split("_by_")[0]: entry}
                        for field, number in leaves(entry if isinstance(entry, dict) else alone):
                            row = next(groups)
                            assert row == {
                                **{k: line.get(k) for k in ("kind", "position", "learner")},
                                "by": key.rpartition("by_")[2],
                                "group": group,
                                "field": field,
                                "value": number,
                            }
        for table, lines in by_table.items():
            for row, line in zip(tables.pop(table), lines, strict=True):
                flat = {k: v for k, v in leaves(line) if "by_" not in k.split(".")[0]}
                for column, value in flat.items():
                    assert alike(row.get(column), value), (table, column)
                assert all(row[column] is None for column in row.keys() - flat.keys())
    assert next(groups, None) is None
    assert not tables


def test_columns_have_the_types_of_the_format(runs: dict[str, Path], tmp_path: Path) -> None:
    """Also where a run has nothing but nulls in one."""
    run = tmp_path / "run"
    run.mkdir()
    for name in LOGS:  # of each kind the first, in which there is no earlier round, ...
        firsts = {
            line.get("kind"): line for line in reversed(lines_of(runs["classes, tested"], name))
        }
        lines = firsts.values() if name == "metrics" else lines_of(runs["classes, tested"], name)
        (run / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tmp_path = tmp_path / "to"
    export_logs(run, tmp_path)
    types = {
        path.stem: {field.name: str(field.type) for field in parquet.read_schema(path)}
        for path in tmp_path.iterdir()
    }
    assert rows_of(tmp_path / "retention.parquet")[0]["forgetting"] is None
    assert types["retention"]["forgetting"] == "double"
    assert types["prequential"]["position"] == "int64"
    assert types["prequential"]["experience_end"] == "bool"
    assert types["predictions"]["label"] == types["predictions"]["prediction"] == "string"
    assert types["buffer"]["ages.edges"].startswith("list<")
    assert types["timings"]["stages.learner.p99_ms"] == "double"
    empty = tmp_path / "empty"
    export_logs(runs["nothing stored"], empty)
    stored = parquet.read_schema(empty / "buffer.parquet").names
    assert "ages" not in stored
    assert "acceptance" in stored


def test_class_names_are_those_of_the_log(runs: dict[str, Path], tmp_path: Path) -> None:
    """1 and "1" are two classes, told apart in the same way in both tables."""
    export_logs(runs["classes"], tmp_path)
    groups = {row["group"] for row in rows_of(tmp_path / "groups.parquet") if row["by"] == "class"}
    predictions = rows_of(tmp_path / "predictions.parquet")
    labels = {row["label"] for row in predictions} - {None}
    assert groups == labels == {"1", '"1"', "cat"}
    assert {row["prediction"] for row in predictions} - {None} <= groups


@pytest.mark.parametrize("job", ["classes, tested", "labels", "several"])
def test_csv_says_the_same(runs: dict[str, Path], job: str, tmp_path: Path) -> None:
    export_logs(runs[job], tmp_path / "parquet")
    written = export_logs(runs[job], tmp_path / "csv", "csv")
    for path, rows in written.items():
        with path.open(newline="", encoding="utf-8") as file:
            told = list(csv.DictReader(file))
        exact = rows_of(tmp_path / "parquet" / f"{path.stem}.parquet")
        assert len(told) == len(exact) == rows
        for cells, values in zip(told, exact, strict=True):
            assert [*cells] == [*values]
            for name, cell in cells.items():
                value = values[name]
                if value is None:
                    assert cell == ""
                elif isinstance(value, str):
                    assert cell == value
                else:
                    assert json.loads(cell) == value


def test_a_log_in_several_files_is_one_table(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    lines = [*log_lines(runs["classes"], "metrics")]
    for name, part in (("000001.", lines[:3]), ("000002.", lines[3:4]), ("", lines[4:])):
        (run / f"metrics.{name}jsonl").write_bytes(b"".join(part))
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind":"prequential","posi')  # as it is being written
    export_logs(run, tmp_path / "cut")
    export_logs(runs["classes"], tmp_path / "whole")
    for name in ("prequential", "buffer", "groups"):
        cut, whole = (rows_of(tmp_path / each / f"{name}.parquet") for each in ("cut", "whole"))
        assert cut == whole


def test_a_log_that_grows_is_read_as_it_was(tmp_path: Path) -> None:
    active = tmp_path / "metrics.jsonl"
    active.write_bytes(b'{"kind":"x","a":1}\n{"kind":"x","a":2}\n{"kind":"x","a"')
    with ExitStack() as stack:
        log = export._Snapshot(stack, tmp_path, "metrics")
        assert [line["a"] for line in log] == [1, 2]
        with active.open("ab") as file:
            file.write(b':3}\n{"kind":"x","a":4}\n')
        active.rename(tmp_path / "metrics.000001.jsonl")
        assert [line["a"] for line in log] == [1, 2]


def test_columns_that_come_late(tmp_path: Path) -> None:
    """A metric, an object in place of null, a float among ints: found before all is written."""
    base = {"kind": "retention", "v": 1}
    lines: list[dict[str, Any]] = [
        {**base, "position": 1, "stability_gap": None, "x": 1},
        {**base, "position": 2, "stability_gap": {"since": 1, "depth": 0.5}, "x": 0.5},
        {**base, "position": 3, "stability_gap": None, "x": None, "metrics": {"MacroF1": None}},
    ]
    text = "\n".join(map(json.dumps, lines))
    (tmp_path / "metrics.jsonl").write_text(text + "\n")
    export_logs(tmp_path, tmp_path / "to")
    rows = rows_of(tmp_path / "to" / "retention.parquet")
    assert [row["x"] for row in rows] == [1.0, 0.5, None]
    assert [row["stability_gap.depth"] for row in rows] == [None, 0.5, None]
    assert "stability_gap" not in rows[0]
    assert [row["metrics.MacroF1"] for row in rows] == [None, None, None]


def test_a_damaged_line_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "drift", "position": 1}\n{"kind":\n')
    with pytest.raises(RunFolderError, match=r"metrics.jsonl:2: the line is damaged"):
        export_logs(tmp_path, tmp_path / "to")
    (tmp_path / "metrics.jsonl").write_text("7\n")
    with pytest.raises(RunFolderError, match=r"metrics.jsonl:1: the line is damaged: it is no "):
        export_logs(tmp_path, tmp_path / "to")
    assert [*(tmp_path / "to").iterdir()] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"position": 1}', r"metrics.jsonl:1: .* kind must be small letters and _, got None"),
        ('{"kind": "../../escaped"}', r"metrics.jsonl:1: .*, got '../../escaped'"),
        ('{"kind": "drift\\n"}', r"metrics.jsonl:1: .* kind must be"),
        ('{"kind": "drift", "v": 2}', r"metrics.jsonl:1: is of version 2 of the log"),
    ],
)
def test_a_line_that_cannot_be_known_is_refused(tmp_path: Path, line: str, message: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(RunFolderError, match=message):
        export_logs(run, tmp_path / "to", "csv")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []
    assert [*(tmp_path / "to").iterdir()] == []
    with pytest.raises(RunFolderError, match=message):
        Run(run).learners()


def test_a_log_that_rotates_while_it_is_opened_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its files is looked at first, whatever is put aside in between."""

    def rotating(*arguments: Any, find: Callable[..., Any] = log_format.rotated_files) -> Any:
        if next(rounds, None) is None:
            return find(*arguments)
        before = find(*arguments)
        log.write(b"".join(map(dump_drift, (6, 7, 8))))
        log.flush()
        return find(*arguments) if late else before

    for late in (False, True):
        run = tmp_path / str(late)
        run.mkdir()
        log = JsonLines(run / "metrics.jsonl", 50)  # a line in each file
        log.write(b"".join(map(dump_drift, range(1, 6))))
        log.flush()
        for read in (snapshot, lines_of):
            rounds = iter([1])
            with monkeypatch.context() as patch:
                patch.setattr(log_format, "rotated_files", rotating)
                found = [line["position"] for line in read(run, "metrics")]
            whole = [line["position"] for line in lines_of(run, "metrics")]
            assert found == whole[: len(found)]
            assert len(found) >= 5
        log.close()


def dump_drift(position: int) -> bytes:
    return log_format.dump_line({"kind": "drift", "v": 1, "position": position})


def snapshot(run: Path, name: str) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        return [*export._Snapshot(stack, run, name)]


def test_files_that_are_deleted_meanwhile_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(dump_drift(2))
    gone = {1: tmp_path / "metrics.000001.jsonl"}
    monkeypatch.setattr(log_format, "rotated_files", lambda _: gone)
    for read in (snapshot, lines_of):
        assert [line["position"] for line in read(tmp_path, "metrics")] == [2]


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is no run folder: there are no logs here"):
        export_logs(tmp_path, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_without_pyarrow(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"needs PyArrow: pip install 'streamreplay\[parquet\]'"):
        export_logs(runs["classes"], tmp_path)
    assert export_logs(runs["classes"], tmp_path, "csv")
