"""A run's folder: its lock, its logs and checkpoints, and how a run resumes in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from streamreplay.checkpoint.folder import (
    Checkpoint,
    checkpoint_path,
    checkpoints_of,
    kept_positions,
    latest_checkpoint,
    load_checkpoint,
    remove_ended,
    save_checkpoint,
)
from streamreplay.config.dotted_keys import flatten
from streamreplay.config.job import Job
from streamreplay.config.parsing.inputs import with_more
from streamreplay.config.parsing.load import load_job, load_saved_job
from streamreplay.config.parsing.outside import reaches_out
from streamreplay.config.write import to_toml
from streamreplay.errors import CheckpointError, ConfigError, RunFolderError
from streamreplay.log.folder_format import FORMAT_FILE, check_format, write_format
from streamreplay.log.lines import MOST_JOB, rotated_files
from streamreplay.log.rotation import JsonLines, Mark
from streamreplay.regular_files import exists, open_to_read, read_file, replace_file
from streamreplay.run.event_log import EventLog
from streamreplay.state import State, whole

JOB_FILE = "job.toml"
_METRICS, _PREDICTIONS, _DEAD = "metrics.jsonl", "predictions.jsonl", "dead_letters.jsonl"
_CHECKPOINTS, _TIMINGS, _EVENTS, _LOCK = "checkpoints", "timings.jsonl", "events.log", ".lock"
_OURS = (JOB_FILE, _METRICS, _PREDICTIONS, _DEAD, _CHECKPOINTS, _TIMINGS, _EVENTS)
_PATIENCE = 0.1  # seconds: a reader that checks whether a run is alive holds the lock for a moment
_FREE = ("run",)  # sections that may change from one start to the next
_FREE_KEYS = ("source.max_bad_share", "source.max_classes", "features.on_change")


def choose_job(
    path: Path | None,
    overrides: list[str],
    out: Path | None,
    *,
    resume: bool,
    go_on: bool = False,
    trust: bool = False,
) -> Job:
    """Return the job of a command: the file's, or with ``--resume`` and none, the folder's.

    With ``go_on``, its files are read behind those of the folder's job. The folder's job may be
    somebody else's. Unless ``trust`` is true, it may not import code, nor write or send anything
    elsewhere; the file's job may.

    Raises
    ------
    ConfigError
        The job is not valid, is not the one that the folder's run was started with, or is not
        trusted.
    RunFolderError
        There is no run to take up.
    """
    saved = None if out is None else out / JOB_FILE
    if not resume or saved is None or not exists(saved):
        if resume and path is None and not overrides:
            raise RunFolderError(f"{out}: there is no run to resume here")
        return load_job(path, overrides)
    before = load_saved_job(saved)
    job = load_job(path, overrides) if path else load_saved_job(saved, overrides)
    if path is None and not trust:
        _check_trusted(job, overrides, saved)
    if job.source.format == "auto":
        job = job.with_source(format=before.source.format)
    if go_on:
        files = with_more(before.source.path, job.source.path)
        job = job.with_source(path=files)
    _compare(before, job, saved, (*_FREE_KEYS, "source.path") if go_on else _FREE_KEYS)
    return job


class RunFolder:
    """The folder of one run, locked while it is open.

    Parameters
    ----------
    path : Path
    job : Job
    resume : bool
        Whether a run that is there is taken up; otherwise there must be none.

    Raises
    ------
    RunFolderError
        Another process uses it, it holds a run already, or it cannot be written.
    """

    def __init__(self, path: Path, job: Job, *, resume: bool) -> None:
        self.path = path
        self.job = job
        self._resume = resume
        self._lock = FileLock(path / _LOCK)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError), open_to_read(path / _LOCK):
                pass  # a regular file: opening another one may do harm
            self._lock.acquire(timeout=_PATIENCE, poll_interval=0.02)
        except Timeout:
            raise RunFolderError(f"{path}: another process is running here") from None
        except OSError as error:
            what = error.filename or path
            raise RunFolderError(f"{what}: cannot be written: {error.strerror}") from None
        self._opened: list[JsonLines | EventLog] = []
        self._known: dict[int, dict[str, Mark]] = {}  # where logs ended, by checkpoint
        try:
            self._check(resume=resume)
            self._write_job()
            self._open_logs()
        except OSError as error:
            self.close()
            what = error.filename or path
            raise RunFolderError(f"{what}: cannot be written: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _check(self, *, resume: bool) -> None:
        checkpoints_of(self.path)
        check_format(self.path)
        if exists(self.path / JOB_FILE) and (resume or self._is_blank()):
            return
        found = [name for name in _OURS if exists(self.path / name)]
        if JOB_FILE in found:
            raise RunFolderError(
                f"{self.path}: holds a run already; go on with --resume, or give another --out"
            )
        if found:
            raise RunFolderError(f"{self.path}: is no run folder, but has a file {found[0]}")

    def _is_blank(self) -> bool:
        """Whether nothing of the run that was started here would be lost."""
        return not any(checkpoints_of(self.path).glob("ckpt-*")) and all(
            map(self._is_empty, (_METRICS, _PREDICTIONS, _DEAD))
        )

    def _is_empty(self, name: str) -> bool:
        """Return whether a log has no line yet."""
        log = self.path / name
        return not rotated_files(log) and not (exists(log) and log.lstat().st_size)

    def _write_job(self) -> None:
        """Write the format of the folder and the job as resolved, each whole or not at all."""
        if not exists(self.path / FORMAT_FILE):
            write_format(self.path)
        text = to_toml(self.job).encode()
        final = self.path / JOB_FILE
        if not exists(final) or read_file(final, MOST_JOB) != text:
            replace_file(final, text)

    def _open_logs(self) -> None:
        self.metrics = self._open(_METRICS)
        self.dead_letters = self._open(_DEAD)
        self.damaged: tuple[str, ...] = ()
        self.predictions: JsonLines | None = None
        if self.job.run.save_predictions or self.job.run.emit == "predictions":
            self.predictions = self._open(_PREDICTIONS)
        self.timings = self._open(_TIMINGS)
        self.events = EventLog(self.path / _EVENTS)
        self._opened.append(self.events)

    def _open(self, name: str) -> JsonLines:
        log = JsonLines(self.path / name, self.job.run.log_max_bytes)
        self._opened.append(log)
        return log

    @property
    def _logs(self) -> dict[str, JsonLines]:
        """The logs that the stream alone determines."""
        logs = {_METRICS: self.metrics, _DEAD: self.dead_letters}
        return logs if self.predictions is None else {**logs, _PREDICTIONS: self.predictions}

    def latest(self) -> Checkpoint | None:
        """Read the newest whole checkpoint from which a run that is resumed goes on, if any."""
        if not self._resume:
            return None
        return latest_checkpoint(checkpoints_of(self.path), ended=False)

    def ended(self) -> Checkpoint | None:
        """Read the checkpoint of an ended stream, if there is a whole one.

        `damaged` then has the reasons why newer ones could not be read.
        """
        try:
            found = latest_checkpoint(checkpoints_of(self.path))
        except CheckpointError:
            return None
        self.damaged = () if found is None else found.skipped
        return found if found is not None and found.state["finished"] else None

    def go_on(self) -> None:
        """Forget that the stream had ended: from now on the logs may differ from what they were."""
        remove_ended(checkpoints_of(self.path))

    def cut_logs(self, ends: dict[str, Mark]) -> None:
        """Take all logs back to where they ended at a checkpoint.

        What is in timings did happen, and stays, but for a last line that was not finished. Where
        there are predictions of an earlier start, they go on: a log has no gaps, and no rest of
        what is predicted again.
        """
        if self.predictions is None and (_PREDICTIONS in ends or not self._is_empty(_PREDICTIONS)):
            self.predictions = self._open(_PREDICTIONS)
        for name, log in self._logs.items():
            log.cut(ends.get(name, Mark()))
        self.timings.mend()

    def flush(self) -> None:
        """Flush the logs, so that readers see what was written."""
        for log in (*self._logs.values(), self.timings):
            log.flush()

    def save(self, state: State, *, position: int) -> None:
        """Bring the logs to the disk, then write a checkpoint that knows where they end."""
        ends = {name: log.sync() for name, log in self._logs.items()}
        self.timings.flush()
        logs = {name: mark._asdict() for name, mark in ends.items()}
        save_checkpoint(
            checkpoints_of(self.path),
            {**state, "logs": logs},
            position=position,
            keep=self.job.run.keep_checkpoints,
            ended=state["finished"],
        )
        self.events.write(f"checkpoint at row {position}")
        if not state["finished"]:
            self._known[position] = ends
        self._drop_old_logs()

    def _drop_old_logs(self) -> None:
        """Delete finished files of logs beyond those to keep, but none that a checkpoint needs.

        A run that goes on from a checkpoint ends with the files that it would have had, so the ones
        to keep are counted back from each.
        """
        keep = self.job.run.log_keep
        if not keep:
            return
        kept = kept_positions(checkpoints_of(self.path))
        self._known = {
            position: self._known[position] if position in self._known else self._read(position)
            for position in kept
        }
        for name, log in self._logs.items():
            marks = [ends[name] for ends in self._known.values() if name in ends]
            log.drop(min(marks).rotated - keep if marks else 0)
        self.timings.drop(self.timings.end.rotated - keep)

    def _read(self, position: int) -> dict[str, Mark]:
        """Return where logs ended at a checkpoint that another process made."""
        try:
            state, _ = load_checkpoint(checkpoint_path(checkpoints_of(self.path), position))
            return ends_of(state)
        except CheckpointError:
            return {}  # nobody can go on from it

    def close(self) -> None:
        """Close all files and let go of the lock."""
        for log in self._opened:
            log.close()
        self._lock.release()


def ends_of(state: State) -> dict[str, Mark]:
    """Return where the logs ended when a checkpoint was made.

    Raises
    ------
    CheckpointError
        It does not say.
    """
    match state:
        case {"logs": dict(logs)} if logs.keys() <= {_METRICS, _PREDICTIONS, _DEAD}:
            return {name: _mark(name, end) for name, end in logs.items()}
    raise CheckpointError("logs: must be the ends of the logs by name")


def _mark(name: str, saved: Any) -> Mark:
    """Read where a log ended, as a checkpoint has it: before there were limits, a size."""
    match saved:
        case {"rotated": rotated, "size": size, **more} if not more:
            return Mark(whole(f"logs.{name}", rotated), whole(f"logs.{name}", size))
        case _:
            return Mark(0, whole(f"logs.{name}", 0 if saved is None else saved))


def _check_trusted(job: Job, overrides: Sequence[str], place: Path) -> None:
    found = reaches_out(job, overrides)
    if found:
        raise ConfigError(
            f"{place}: {', '.join(found)}; if you know who made this folder, add --trust, or give "
            "the job file"
        )


def _compare(saved: Job, given: Job, place: Path, free: Sequence[str]) -> None:
    before, now = (flatten(job.model_dump(exclude=set(_FREE))) for job in (saved, given))
    for key in dict.fromkeys([*before, *now]):
        if key not in free and before.get(key) != now.get(key):
            raise ConfigError(
                f"{key}: {place} was started with {before.get(key)!r}, got {now.get(key)!r}; "
                "a run is resumed as it was started"
            )
