"""The sinks of a run: one that fails is let go of, and the stream goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamreplay.config.job import Job
from streamreplay.errors import ConfigError
from streamreplay.regular_files import check_folder
from streamreplay.run.sinks.base import Outcome, Sink, Warn


class Sinks:
    """Hands every record to each sink.

    Parameters
    ----------
    sinks : iterable of Sink
    warn : callable
        Told once of a sink that fails, which gets nothing from then on.

    Examples
    --------
    >>> class Broken:
    ...     name = "broken"
    ...
    ...     def write(self, record):
    ...         raise OSError("the disk is full")
    ...
    ...     def close(self, outcome):
    ...         pass
    >>> sinks = Sinks([Broken()], print)
    >>> sinks.write([{"kind": "prequential"}])
    warning: broken: the disk is full; it gets no more records of this run
    >>> sinks.write([{"kind": "prequential"}])
    """

    def __init__(self, sinks: Iterable[Sink], warn: Warn) -> None:
        self._sinks = list(sinks)
        self._warn = warn
        self.outcome: Outcome = "failed"
        """How the run has ended, for `close`."""

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Hand on some records."""
        for sink in list(self._sinks):
            try:
                for record in records:
                    sink.write(record)
            except Exception as error:  # noqa: BLE001 - whatever it is, learning goes on
                self._sinks.remove(sink)
                with suppress(Exception):
                    sink.close("failed")
                self._tell(sink, error, "it gets no more records of this run")

    def close(self) -> None:
        """Finish with all of them."""
        for sink in self._sinks:
            try:
                sink.close(self.outcome)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell(sink, error, "it may lack the last records")
        self._sinks.clear()

    def _tell(self, sink: Sink, error: Exception, what: str) -> None:
        said = " ".join(str(error).split()) or type(error).__name__
        self._warn(f"warning: {sink.name}: {said}; {what}")


def open_sinks(job: Job, folder: Path | None, position: int | None, warn: Warn) -> Sinks:
    """Start the sinks that a job asks for.

    Parameters
    ----------
    job : Job
    folder : Path or None
        The run folder, if there is one.
    position : int or None
        Where a run goes on; None where it begins.
    warn : callable

    Raises
    ------
    ConfigError
        One cannot be started.
    """
    sinks: list[Sink] = []
    if job.run.tensorboard:
        from streamreplay.run.sinks.tensorboard import TensorBoardSink  # noqa: PLC0415 - slow

        sinks.append(TensorBoardSink(_tensorboard_folder(job, folder), job, position))
    if job.run.mlflow is not None:
        from streamreplay.run.sinks.mlflow import MlflowSink  # noqa: PLC0415 - slow

        resume = position is not None
        uri, experiment = job.run.mlflow, job.run.mlflow_experiment
        sinks.append(MlflowSink(uri, experiment, job, folder=folder, resume=resume))
    return Sinks(sinks, warn)


def _tensorboard_folder(job: Job, folder: Path | None) -> Path:
    if isinstance(job.run.tensorboard, str):
        return Path(job.run.tensorboard)
    if folder is None:
        raise ConfigError("run.tensorboard = true needs --out: it writes into the run folder")
    own = folder / "tensorboard"
    try:
        check_folder(own)
    except OSError as error:
        raise ConfigError(f"run.tensorboard: {own}: {error.strerror}") from None
    return own
