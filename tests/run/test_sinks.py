"""What TensorBoard and MLflow have of a run, read back with their own tools."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from streamreplay.config import load_job
from streamreplay.errors import ConfigError
from streamreplay.reading.status import run_status
from streamreplay.run import RunOptions, run_job
from streamreplay.run.sinks import Sinks, open_sinks
from streamreplay.run.sinks.base import Outcome, scalars
from streamreplay.run.sinks.mlflow import MlflowSink
from tests.log.log_lines import log_lines
from tests.run.jobs import settings_of

SERVER = os.environ.get("MLFLOW_SERVER")
"""The program `mlflow` of an environment that has all of MLflow, to test with its server."""


def run(folder: Path, *settings: str, job: str = "classes", resume: bool = False) -> Path:
    out = folder / "out"
    loaded = load_job(None, [*settings_of(job, folder), *settings])
    assert run_job(loaded, RunOptions(out, quiet=True, resume=resume)) == 0
    return out


def points(out: Path, learner: str | None = None) -> dict[str, list[tuple[int, float]]]:
    """Return what the log says, by tag: position and value."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in log_lines(out, "metrics"):
        record = json.loads(line)
        if record.get("learner") == learner:
            for tag, value in scalars(record).items():
                found.setdefault(tag, []).append((record["position"], value))
    return found


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    tools: Any = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    reader = tools.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    tags = reader.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in tags}


def test_scalars_are_the_numbers_of_a_record() -> None:
    record = {
        "learner": "a",
        "kind": "retention",
        "v": 1,
        "position": 5,
        "experience_end": True,
        "accuracy": 0.5,
        "forgetting": None,
        "by_class": {"cat": {"rows": 3, "accuracy": None}},
        "edges": [1, 2],
    }
    assert scalars(record) == {"retention/accuracy": 0.5, "retention/by_class/cat/rows": 3.0}
    fired = {"kind": "drift", "name": "watch", "level": "warning", "position": 3, "on": "error"}
    assert scalars({**fired, "value": 0.25}) == {"drift/watch/warning": 0.25}
    assert scalars({**fired, "value": None}) == {"drift/watch/warning": 1.0}


@pytest.mark.parametrize("job", ["classes, tested", "numbers, tested", "labels"])
def test_tensorboard_has_every_number(tmp_path: Path, job: str) -> None:
    out = run(tmp_path, "run.tensorboard=true", job=job)
    found, expected = events(out / "tensorboard"), points(out)
    assert set(found) == set(expected)
    for tag, values in expected.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in values]
        assert [v for _, v in found[tag]] == pytest.approx([v for _, v in values], rel=1e-6)


def test_tensorboard_has_a_run_for_each_learner(tmp_path: Path) -> None:
    where = tmp_path / "boards"
    out = run(tmp_path, f"run.tensorboard={where}", job="several")
    for learner in ("learner1", "learner2"):
        assert set(events(where / learner)) == set(points(out, learner))


def test_tensorboard_takes_back_what_is_behind_the_checkpoint(tmp_path: Path) -> None:
    """A process that died behind its last checkpoint has written what comes again."""
    short = ("run.tensorboard=true", "run.limit=160")
    out = run(tmp_path, *short)
    job = load_job(None, [*settings_of("classes", tmp_path), *short])
    lost = open_sinks(job, out, 160, print)
    lost.write([{"kind": "prequential", "position": 180, "accuracy": -1.0}])
    lost.close()
    assert (180, -1.0) in events(out / "tensorboard")["prequential/accuracy"]
    run(tmp_path, "run.tensorboard=true", resume=True)
    found, expected = events(out / "tensorboard"), points(out)
    for tag, values in expected.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in values], tag


def test_tensorboard_without_a_folder(tmp_path: Path) -> None:
    job = load_job(None, [*settings_of("classes", tmp_path), "run.tensorboard=true"])
    with pytest.raises(ConfigError, match=r"run.tensorboard = true needs --out"):
        run_job(job, RunOptions(None, quiet=True))


@pytest.mark.parametrize(
    ("setting", "modules", "message"),
    [
        (
            "run.tensorboard=true",
            ("torch.utils.tensorboard", "tensorboard"),
            r"run.tensorboard: needs TensorBoard: pip install 'streamreplay\[tensorboard\]'",
        ),
        (
            "run.mlflow=file:x",
            ("mlflow",),
            r"run.mlflow: needs MLflow: pip install 'streamreplay\[mlflow\]'",
        ),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    modules: tuple[str, ...],
    message: str,
) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, setting)


# -- MLflow --------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "server"])
def tracking(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A place to track to: a folder, which MLflow still allows, or its own server."""
    if request.param == "folder":
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield (tmp_path / "mlruns").as_uri()
        return
    if SERVER is None:
        pytest.skip("MLFLOW_SERVER names no program `mlflow`")
    yield from _serve(tmp_path)


def _serve(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(SERVER), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.sqlite'}"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + 180
        while not _answers(port):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, "MLflow's server does not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def mlflow_runs(uri: str, experiment: str = "streamreplay") -> list[Any]:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


def history(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415

    client = MlflowClient(tracking_uri=uri)
    return [(m.step, m.value) for m in client.get_metric_history(run_id, key)]


def test_mlflow_has_every_number_and_goes_on(tmp_path: Path, tracking: str) -> None:
    settings = (f"run.mlflow={tracking}", "run.mlflow_experiment=ours")
    out = run(tmp_path, *settings, "run.limit=160", job="classes, tested")
    (first,) = mlflow_runs(tracking, "ours")
    assert first.info.status == "FINISHED"
    assert first.info.run_name == "out"
    assert json.loads((out / "mlflow.json").read_text())["run_id"] == first.info.run_id
    assert first.data.params["buffer.max_size"] == "40"
    assert first.data.params["source.label"] == "y"
    assert not any(key.startswith("run.") for key in first.data.params)
    run(tmp_path, *settings, job="classes, tested", resume=True)
    (again,) = mlflow_runs(tracking, "ours")
    assert (again.info.run_id, again.info.status) == (first.info.run_id, "FINISHED")
    expected = {tag.replace('"1"', ":221:22"): values for tag, values in points(out).items()}
    assert set(again.data.metrics) == set(expected)
    for key in ("prequential/accuracy", "retention/by_class/:221:22/accuracy", "buffer/ages/q75"):
        found = history(tracking, again.info.run_id, key)
        # the server makes one of equal points of one millisecond, and deletes none: the record of
        # the end of the first run, which the log of the whole run lacks, stays
        assert {point for point in found if point[0] != 160} == set(expected[key]), key
        assert 160 not in dict(expected[key]), key


def test_mlflow_names_learners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    run(tmp_path, f"run.mlflow={uri}", job="several")
    (found,) = mlflow_runs(uri)
    assert {"learner1/prequential/accuracy", "learner2/buffer/rows"} <= set(found.data.metrics)
    assert "learner.1.module" in found.data.params


def test_mlflow_that_does_not_answer_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r"run.mlflow: http://127.0.0.1:9 cannot be used: "):
        run(tmp_path, "run.mlflow=http://127.0.0.1:9")


def test_a_run_that_cannot_start_its_sinks_has_failed(tmp_path: Path) -> None:
    job = load_job(None, [*settings_of("classes", tmp_path), f"run.tensorboard={tmp_path}/file"])
    (tmp_path / "file").touch()
    with pytest.raises((ConfigError, OSError)):
        run_job(job, RunOptions(tmp_path / "out", quiet=True))
    assert run_status(tmp_path / "out").state == "failed"


def test_mlflow_that_stops_answering_does_not_stop_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def gone(*_: object) -> None:
        raise ConnectionError("the server\nis gone")

    monkeypatch.setattr(MlflowSink, "_send", gone)
    out = run(tmp_path, f"run.mlflow={(tmp_path / 'mlruns').as_uri()}")
    told = capfd.readouterr().err
    assert told.count("warning: MLflow: the server is gone; ") == 1
    assert "warning: MLflow" in (out / "events.log").read_text()
    assert len([*log_lines(out, "metrics")]) > 8


def test_mlflow_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    answered = threading.Event()
    monkeypatch.setattr(MlflowSink, "_send", lambda *_: answered.wait())
    joined: list[float | None] = []
    join = threading.Thread.join

    def note(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "mlflow":
            joined.append(timeout)
            timeout = 0.0
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", note)
    job = load_job(None, settings_of("classes", tmp_path))
    uri = (tmp_path / "mlruns").as_uri()
    sink = MlflowSink(uri, "x", job, folder=None, resume=False)
    told: list[str] = []
    sinks = Sinks([sink], told.append)
    for position in range(3000):  # more than are sent at once, and wait
        sinks.write([{"kind": "prequential", "position": position, "accuracy": 0.5}])
    answered.set()
    assert told == [
        "warning: MLflow: 1,000 records are waiting to be sent; it gets no more records of this run"
    ]
    assert joined == [0.0]


class Failing:
    """A sink that fails at a record, or at its end."""

    name = "failing"

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0
        self.outcomes: list[Outcome] = []

    def write(self, _record: Mapping[str, Any]) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise ValueError

    def close(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self.at == 0:
            raise OSError("no")


def test_one_that_fails_is_let_go_of_and_the_others_go_on() -> None:
    told: list[str] = []
    first, second = Failing(2), Failing(0)
    sinks = Sinks([first, second], told.append)
    for _ in range(4):
        sinks.write([{"kind": "prequential"}])
    assert (first.seen, second.seen) == (2, 4)
    sinks.outcome = "finished"
    sinks.close()
    assert (first.outcomes, second.outcomes) == (["failed"], ["finished"])
    assert told == [
        "warning: failing: ValueError; it gets no more records of this run",
        "warning: failing: no; it may lack the last records",
    ]
