"""Records as the metrics of an MLflow run."""

from __future__ import annotations

import json
import os
import queue
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamreplay.config.job import Job
from streamreplay.errors import ConfigError
from streamreplay.regular_files import exists, read_file, replace_file
from streamreplay.run.sinks.base import Outcome, scalars

_FILE = "mlflow.json"
_MOST_BYTES = 1 << 16  # of that file
_MOST_WAITING = 1000  # records
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # in one request
_PATIENCE = 30.0  # seconds for what is left at the end
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_ENVIRONMENT = {  # where the user does not say otherwise
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for our lines
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # by default a server that is gone takes minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class MlflowSink:
    """Sends each record, as metrics at the step of its position, from a thread of its own.

    With several learners a metric's name begins with the learner's.

    Parameters
    ----------
    uri : str
        Of the tracking server, or of whatever else MLflow can track with.
    experiment : str
        Made if it is not there.
    job : Job
        Its settings are the parameters of the run.
    folder : Path, optional
        The run folder: keeps which MLflow run it is.
    resume : bool
        Go on with that run.

    Raises
    ------
    ConfigError
        MLflow is missing, or cannot be reached.
    """

    name = "MLflow"

    def __init__(
        self, uri: str, experiment: str, job: Job, *, folder: Path | None, resume: bool
    ) -> None:
        for key, value in _ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        try:
            from mlflow import entities  # noqa: PLC0415 - slow, an extra
            from mlflow.tracking import MlflowClient  # noqa: PLC0415
        except ImportError:
            raise ConfigError(
                "run.mlflow: needs MLflow: pip install 'streamreplay[mlflow]'"
            ) from None
        self._entities: Any = entities
        self._records: queue.Queue[Mapping[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._error: Exception | None = None
        self._gave_up = False  # its thread hangs
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
            self._run = self._find(uri, experiment, job, folder, resume=resume)
        except Exception as error:  # any: what MLflow raises depends on what it tracks with
            raise ConfigError(f"run.mlflow: {uri} cannot be used: {error}") from error
        self._thread = threading.Thread(target=self._send_all, name="mlflow", daemon=True)
        self._thread.start()

    def _find(
        self, uri: str, experiment: str, job: Job, folder: Path | None, *, resume: bool
    ) -> str:
        """Return the id of the run to write to."""
        if folder is None:
            return self._create(experiment, job, None)
        kept = folder / _FILE
        if resume and exists(kept):
            saved = json.loads(read_file(kept, _MOST_BYTES))
            if saved["tracking_uri"] == uri:
                self._client.update_run(saved["run_id"], status="RUNNING")
                return str(saved["run_id"])
        name = self._create(experiment, job, folder.name)
        replace_file(kept, json.dumps({"tracking_uri": uri, "run_id": name}).encode() + b"\n")
        return name

    def _create(self, experiment: str, job: Job, title: str | None) -> str:
        """Begin a run with the job's settings, and return its id."""
        found = self._client.get_experiment_by_name(experiment)
        place = found.experiment_id if found else self._client.create_experiment(experiment)
        name = str(self._client.create_run(place, run_name=title).info.run_id)
        params = [self._entities.Param(key, value) for key, value in _params(job).items()]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(name, params=params[start : start + _MOST_PARAMS])
        return name

    def write(self, record: Mapping[str, Any]) -> None:
        """Take a record.

        Raises
        ------
        Exception
            An earlier one could not be sent, or too many are waiting.
        """
        if self._error is not None:
            raise self._error
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._gave_up = True
            raise TimeoutError(f"{_MOST_WAITING:,} records are waiting to be sent") from None

    def close(self, outcome: Outcome) -> None:
        """Send what is left, and end the MLflow run.

        Raises
        ------
        Exception
            Something could not be sent, or not in time.
        """
        with suppress(queue.Full):  # then its thread hangs, or has failed
            self._records.put(None, timeout=0.1)
        patience = 0.0 if self._gave_up else _PATIENCE  # learning waits meanwhile
        self._thread.join(patience)
        if self._error is not None:
            raise self._error
        if self._thread.is_alive():
            raise TimeoutError(f"not all was sent within {patience:.0f} s")
        self._client.set_terminated(self._run, _STATUS[outcome])

    def _send_all(self) -> None:
        """Send what comes, as much at a time as there is."""
        try:
            while (record := self._records.get()) is not None:
                metrics = self._metrics(record)
                while len(metrics) < _MOST_METRICS and not self._records.empty():
                    following = self._records.get()
                    if following is None:
                        self._send(metrics)
                        return
                    metrics += self._metrics(following)
                self._send(metrics)
        except Exception as error:  # noqa: BLE001 - it is told of by the next write
            self._error = error

    def _metrics(self, record: Mapping[str, Any]) -> list[Any]:
        now, step = time.time_ns() // 1_000_000, int(record["position"])
        prefix = f"{_escape(str(record['learner']))}/" if "learner" in record else ""
        return [
            self._entities.Metric(prefix + name, value, now, step)
            for name, value in scalars(record, _escape).items()
        ]

    def _send(self, metrics: list[Any]) -> None:
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + _MOST_METRICS])


def _escape(part: str) -> str:
    """Write other characters than MLflow's names may have as their number behind a colon.

    Examples
    --------
    >>> _escape("C++ / 2"), _escape("été"), _escape("."), _escape("")
    ('C:2b:2b :2f 2', 'été', ':2e', ':')
    """
    if not part.strip(".") or part[:1] == ".":
        return f":{'2e' if part else ''}{part[1:]}"
    return re.sub(r"[^\w.\- ]", lambda found: f":{ord(found[0]):02x}", part)


def _params(job: Job) -> dict[str, str]:
    """Return what a job says about learning, by dotted keys; how it is run may change."""
    found: dict[str, str] = {}

    def visit(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                visit(inner, f"{key}.{_escape(str(name))}" if key else str(name))
        elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
            for place, inner in enumerate(value):
                visit(inner, f"{key}.{place}")
        else:
            found[key] = value if isinstance(value, str) else json.dumps(value)

    visit(job.model_dump(mode="json", exclude_none=True, exclude={"run"}), "")
    return found
