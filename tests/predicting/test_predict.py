"""What ``streamreplay predict`` writes, says and leaves alone."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from streamreplay import (
    CheckpointError,
    ConfigError,
    RunFolderError,
    StreamReplayError,
    latest_checkpoint,
    load_job,
    save_checkpoint,
)
from streamreplay.config.write import to_toml
from streamreplay.predicting import PredictOptions, export_model, predict_rows, trained
from streamreplay.run import RunOptions, run_job
from tests.predicting.conftest import (
    Predict,
    Record,
    Train,
    as_csv,
    as_jsonl,
    numbers,
    table,
    trained_run,
    without,
    write,
)

ROWS = table(40, seed=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("trained"), as_csv(table(300)))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write(tmp_path / "b.csv", as_csv(ROWS))


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def out_of(run: Path, capfd: pytest.CaptureFixture[str], *files: Path, **options: object) -> str:
    capfd.readouterr()
    assert predict_rows(run, PredictOptions([*map(str, files)], **options)) == 0  # type: ignore[arg-type]
    return capfd.readouterr().out


def test_csv_has_the_same_as_json_lines(
    run: Path, rows: Path, predict: Predict, capfd: pytest.CaptureFixture[str]
) -> None:
    _, lines, _ = predict(run, rows, proba=True)
    text = out_of(run, capfd, rows, proba=True, format="csv")
    table = [*csv.DictReader(io.StringIO(text))]
    assert list(table[0]) == [
        "position", "prediction", "probability",
        *(f"probabilities.{name}" for name in lines[0]["probabilities"]),
    ]  # fmt: skip
    for cells, line in zip(table, lines, strict=True):
        assert cells["prediction"] == line["prediction"]
        assert float(cells["probability"]) == line["probability"]
        shares = {name: float(cells[f"probabilities.{name}"]) for name in line["probabilities"]}
        assert shares == line["probabilities"]
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert max(shares, key=lambda name: shares[name]) == line["prediction"]


def test_parquet_has_the_same_with_types(
    run: Path, rows: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    options = PredictOptions([str(rows)], proba=True, format="parquet", keep=["weight", "key"])
    assert predict_rows(run, options) == 0
    (tmp_path / "out.parquet").write_bytes(capfdbinary.readouterr().out)
    found = parquet.read_table(tmp_path / "out.parquet")
    assert [str(field.type) for field in found.schema] == [
        "int64", "string", "double", *["double"] * 3, "string", "string",
    ]  # fmt: skip
    assert found.column("key").to_pylist() == [row["key"] for row in ROWS]
    assert found.column("position").to_pylist() == [*range(40)]


def test_parquet_of_json_has_its_types(
    run: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = write(tmp_path / "b.jsonl", as_jsonl([{**r, "n": [i]} for i, r in enumerate(ROWS)]))
    options = PredictOptions([str(rows)], format="parquet", keep=["weight", "size", "n"])
    assert predict_rows(run, options) == 0
    (tmp_path / "out.parquet").write_bytes(capfdbinary.readouterr().out)
    found = parquet.read_table(tmp_path / "out.parquet")
    assert [str(found.schema.field(name).type) for name in ("weight", "size", "n")] == [
        "int64", "double", "string",
    ]  # fmt: skip
    assert found.column("size").to_pylist() == [row["size"] for row in ROWS]


def test_parquet_of_many_rows_keeps_its_first_types(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:  # fmt: skip
    monkeypatch.setattr("streamreplay.predicting.output._PART", 10)
    mixed = [{**row, "n": i if i < 36 else "x", "m": "x" if i < 36 else i}
             for i, row in enumerate(ROWS)]  # fmt: skip
    rows = write(tmp_path / "b.jsonl", as_jsonl(mixed))
    assert predict_rows(run, PredictOptions([str(rows)], format="parquet", keep=["m"])) == 0
    (tmp_path / "out.parquet").write_bytes(capfdbinary.readouterr().out)
    found = parquet.ParquetFile(tmp_path / "out.parquet")
    assert found.num_row_groups == 2
    assert found.read().column("m").to_pylist() == ["x"] * 36 + ["36", "37", "38", "39"]
    with pytest.raises(Exception, match="column 'n' was int64 in the first rows"):
        predict_rows(run, PredictOptions([str(rows)], format="parquet", keep=["n"]))


@pytest.mark.parametrize("name", ["b.csv", "b.jsonl", "b.parquet"])
def test_kept_columns_are_those_of_the_row(
    name: str, run: Path, predict: Predict, tmp_path: Path
) -> None:
    """The label may be kept, an id that is no feature, and a row put aside shifts nothing."""
    more = [{**row, "note": f"n,{i}"} for i, row in enumerate(ROWS)]
    path = tmp_path / name
    if name == "b.csv":
        lines = as_csv(more).splitlines(keepends=True)
        path.write_text("".join([*lines[:3], "broken\n", *lines[3:]]))
    elif name == "b.jsonl":
        lines = as_jsonl(more).splitlines(keepends=True)
        path.write_text("".join([*lines[:3], "broken\n", *lines[3:]]))
    else:
        parquet.write_table(pa.Table.from_pylist(more), path)
    code, found, _ = predict(run, path, keep=["note", "y", "weight"])
    assert code == 0
    assert [line["note"] for line in found] == [row["note"] for row in more]
    assert [line["y"] for line in found] == [row["y"] for row in more]
    assert [int(line["weight"]) for line in found] == [row["weight"] for row in more]


def test_kept_cells_follow_a_header_in_the_middle(
    run: Path, predict: Predict, tmp_path: Path
) -> None:
    one, two = (
        as_csv(ROWS[:20]),
        as_csv(ROWS[20:], ["y", "key", "when", "weight", "colour", "size"]),
    )
    _, found, _ = predict(run, write(tmp_path / "b.csv", one + two), keep=["key"])
    assert [line["key"] for line in found] == [row["key"] for row in ROWS]


def test_a_column_to_keep_that_is_not_there(
    run: Path, rows: Path, predict: Predict, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"kept 'kye' is not a column \(nearest: 'key'\)"):
        predict(run, rows, keep=["kye"])
    parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "b.parquet")
    with pytest.raises(ConfigError, match=r"kept 'kye' is not a column \(nearest: 'key'\)"):
        predict(run, tmp_path / "b.parquet", keep=["kye"])
    named = write(tmp_path / "c.csv", as_csv([{**row, "position": 1} for row in ROWS]))
    with pytest.raises(ConfigError, match="'position' is the name of a column of predictions"):
        predict(run, named, keep=["position"])
    lines = write(tmp_path / "b.jsonl", as_jsonl(ROWS))
    _, found, err = predict(run, lines, keep=["kye"])
    assert {line["kye"] for line in found} == {None}
    assert "warning: no row has a value in 'kye'" in err


def test_records_that_cannot_be_read_are_shown_and_counted(
    run: Path, predict: Predict, tmp_path: Path
) -> None:
    lines = as_csv(ROWS).splitlines(keepends=True)
    few = write(tmp_path / "few.csv", "".join([*lines[:5], "a,b\n", *lines[5:]]))
    code, found, err = predict(run, few)
    assert code == 0
    assert len(found) == 40
    assert "warning: put aside: few.csv:6: line has 2 cells, expected 6" in err
    assert "1 of 41 rows put aside (2.4 %: line has N cells, expected N; the first, line 6)" in err
    many = write(tmp_path / "many.csv", "".join([*lines, *["a,b\n"] * 30]))
    code, found, err = predict(run, many)
    assert code == 3
    assert len(found) == 40
    assert err.count("put aside: many.csv") == 10
    assert (
        "exit code 3: 30 of 70 rows were put aside (42.9 %), more than source.max_bad_share" in err
    )
    code, _, err = predict(run, few, quiet=True)
    assert "predicted by" not in err
    assert "warning: 1 of 41 rows put aside" in err


def test_a_file_of_nothing_that_can_be_read(run: Path, predict: Predict, tmp_path: Path) -> None:
    path = write(tmp_path / "b.jsonl", "nothing\n" * 20)
    code, found, err = predict(run, path)
    assert code == 3
    assert not found
    assert "none of the 20 records can be used" in err


def test_an_empty_input_gives_the_header_alone(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    empty = write(tmp_path / "b.jsonl", "")
    text = out_of(run, capfd, empty, format="csv", keep=["key"])
    assert text == "position,prediction,probability,key\n"
    assert out_of(run, capfd, empty) == ""


def test_the_run_folder_is_not_touched(
    run: Path, rows: Path, predict: Predict, tmp_path: Path
) -> None:
    """It may be read-only, and its lock may be held by the run itself."""
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / ".lock").unlink(missing_ok=True)
    before = snapshot(copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    _, lines, _ = predict(copy, rows)
    assert snapshot(copy) == before
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    with FileLock(copy / ".lock"):
        assert predict(copy, rows)[1] == lines


def test_a_buffer_on_the_disk_is_not_touched(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", as_csv(table(200)))
    out = train(path, f"buffer.storage={tmp_path / 'mapped'}", "learner.method=ncm")
    shutil.rmtree(tmp_path / "mapped")
    code, lines, _ = predict(out, write(tmp_path / "b.csv", as_csv(ROWS)))
    assert code == 0
    assert len({line["prediction"] for line in lines}) > 1
    assert not (tmp_path / "mapped").exists()


def test_a_checkpoint_that_goes_away_while_it_is_read(
    run: Path, rows: Path, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on replaces its checkpoints: the newest is looked for again."""
    calls = []

    def racing(folder: Path) -> object:
        calls.append(folder)
        if len(calls) < 3:
            raise CheckpointError("state.json: is missing")
        return latest_checkpoint(folder)

    monkeypatch.setattr(trained, "latest_checkpoint", racing)
    code, lines, _ = predict(run, rows)
    assert (code, len(lines), len(calls)) == (0, 40, 3)

    def broken(folder: Path) -> object:
        raise CheckpointError(f"{folder}: is damaged")

    monkeypatch.setattr(trained, "latest_checkpoint", broken)
    with pytest.raises(CheckpointError, match="is damaged"):
        predict(run, rows)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = list(node.items()) if isinstance(node, dict) else []
    inner += [*enumerate(node[:2])] if isinstance(node, list) else []
    return [path, *(each for key, value in inner for each in places(value, (*path, key)))]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_crafted_state_makes_no_traceback(
    data: st.DataObject, run: Path, rows: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its checksums are right, and anything in it may be wrong."""
    folder = Path(shutil.copytree(run, tmp_path / "crafted", dirs_exist_ok=True))
    found = latest_checkpoint(run / "checkpoints")
    assert found is not None
    state = copy.deepcopy(found.state)
    parts = [p for p in places(state["pipeline"]) if p and p[0] in ("source", "learner")]
    *outer, last = data.draw(st.sampled_from(parts))
    node = state["pipeline"]
    for key in outer:
        node = node[key]
    node[last] = data.draw(st.sampled_from([None, -1, 3, 0.5, "x", [], {}, [1], True]))
    shutil.rmtree(folder / "checkpoints")
    save_checkpoint(folder / "checkpoints", state, position=300)
    with suppress(StreamReplayError):
        predict_rows(folder, PredictOptions([str(rows)], proba=True))
    capfd.readouterr()


def test_what_is_no_trained_run(run: Path, rows: Path, predict: Predict, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"is no run folder: there is no job.toml here"):
        predict(tmp_path, rows)
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(RunFolderError, match="the run has made no checkpoint yet"):
        predict(copy, rows)
    with pytest.raises(ConfigError, match="--learner: the run has one learner, got 'a'"):
        predict(run, rows, learner="a")
    toml = '[[learner]]\nname = "a"\n[[learner]]\nname = "b"\n'
    job = load_job(write(tmp_path / "job.toml", toml), [f"source.path={rows}", "run.emit=none"])
    run_job(job, RunOptions(out=tmp_path / "two", quiet=True))
    with pytest.raises(ConfigError, match="--learner: give one of the run's learners, a, b, got N"):
        predict(tmp_path / "two", rows)


def test_a_run_that_has_met_no_class_says_so(train: Train, predict: Predict, rows: Path) -> None:
    out = train(rows, "learner.method=gdumb")
    code, lines, err = predict(out, rows, proba=True)
    assert code == 0
    assert {line["prediction"] for line in lines} == {None}
    assert set(lines[0]["probabilities"].values()) == {0}
    assert "the run knows no class yet, so no row has a prediction" in err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("learner.module=my_code:make", "learner.module imports 'my_code:make'"),
        ("learner.loss=my_code:loss", "learner.loss imports 'my_code:loss'"),
        (
            'learner.augment=["noise(0.1)", "my_code:same"]',
            "learner.augment imports 'my_code:same'",
        ),
        ("learner.method=my-code:make", "learner.method imports 'my-code:make'"),
        ("buffer.selection=my_code:make", "buffer.selection imports 'my_code:make'"),
        ("backbone.module=my_code:make", "backbone.module imports 'my_code:make'"),
    ],
)
def test_code_of_the_job_is_not_run_without_trust(
    setting: str, said: str, run: Path, rows: Path, predict: Predict, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A run folder may come from anybody: its job is read, and what it imports is not."""
    copy = shutil.copytree(run, tmp_path / "copy")
    kind = ["buffer.kind=parametric"] if "selection" in setting else []
    (copy / "job.toml").write_text(to_toml(load_job(run / "job.toml", [setting, *kind])))
    for name in ("my_code", "my-code"):
        write(tmp_path / f"{name}.py", "from pathlib import Path\nPath('was_run').touch()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"job.toml: {re.escape(said)}.*--trust"):
        predict(copy, rows)
    with pytest.raises(ConfigError, match=r"job.toml: .* imports .*--trust"):
        export_model(copy, tmp_path / "model")
    assert not (tmp_path / "was_run").exists()


def test_a_pickle_is_not_loaded_without_trust(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", as_csv(numbers(60)))
    river = "learner.river=tree.HoeffdingTreeClassifier()"
    out = train(path, river, "learner.allow_pickle=true")
    with pytest.raises(CheckpointError, match=r"learner.model: is a pickle, .*--trust"):
        predict(out, path)
    assert predict(out, path, trust=True)[0] == 0


def test_numbers_have_no_probabilities(train: Train, predict: Predict, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", as_csv(without(numbers(100), "y")))
    out = train(path, "source.target=b")
    _, lines, _ = predict(out, path)
    assert set(lines[0]) == {"position", "prediction"}
    assert isinstance(lines[0]["prediction"], float)
    with pytest.raises(ConfigError, match="--proba: the run predicts numbers"):
        predict(out, path, proba=True)


def test_classes_that_are_numbers_stay_numbers(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    rows = [{**row, "y": {"no": 1, "yes": "1"}[str(row["y"])]} for row in numbers(200)]
    out = train(write(tmp_path / "a.jsonl", as_jsonl(rows)))
    _, lines, _ = predict(out, write(tmp_path / "b.jsonl", as_jsonl(rows[:50])), proba=True)
    assert {repr(line["prediction"]) for line in lines} == {"1", "'1'"}
    assert set(lines[0]["probabilities"]) == {"1", '"1"'}


def program(*args: object) -> list[str]:
    return [sys.executable, "-m", "streamreplay", *map(str, args)]


def test_a_pipe_is_predicted_row_by_row(run: Path, rows: Path, predict: Predict) -> None:
    """Rows go out within max_wait, long before the pipe ends; what reads them may stop."""
    _, lines, _ = predict(run, rows)
    header, *body = as_csv(ROWS).splitlines(keepends=True)
    with subprocess.Popen(
        program("predict", run), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write((header + "".join(body[:3])).encode())
        process.stdin.flush()
        first: list[Record] = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert [each["prediction"] for each in first] == [e["prediction"] for e in lines[:3]]
        process.stdin.write("".join(body[3:]).encode())
        process.stdin.close()
        rest = process.stdout.read().splitlines()
        err = process.stderr.read().decode()
        assert process.wait() == 0
    assert len(rest) == 37
    assert "40 rows predicted" in err


def test_nobody_reads_on(run: Path, tmp_path: Path) -> None:
    many = write(tmp_path / "many.csv", as_csv(table(3000)))
    command = " ".join(program("predict", run, many))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["position"] == 0
