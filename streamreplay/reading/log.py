"""The logs of a run folder as lines and as records, in order, whatever their size.

A log may be in several files: ``metrics.000001.jsonl`` and so on hold what came first, and
``metrics.jsonl`` what comes now. The oldest may have been deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from streamreplay.config import Job, load_job
from streamreplay.errors import RunFolderError
from streamreplay.run.logs import log_segments, rotated_files

__all__ = [
    "VERSION",
    "NumberedLine",
    "check_run",
    "is_cut",
    "is_file",
    "kind_of",
    "number_lines",
    "open_log",
    "parse_line",
    "read_job",
    "read_lines",
    "read_records",
    "segments",
]

VERSION = 1
"""The latest version of the log's format that can be read."""

NumberedLine = tuple[Path, int, bytes]
"""A file, the number of a line in it, 1 for the first, and the line."""

_JOB = "job.toml"
_BUFFER = 1 << 20  # bytes read at a time
_KIND = re.compile(rb'\{(?:"learner":"[^"\\]*",)?"kind":"([^"\\]*)"')


def check_run(run: Path) -> None:
    """See that a folder is one of a run.

    Raises
    ------
    RunFolderError
        It is not there, or has neither a job nor a log.
    """
    if not run.is_dir():
        what = "is a file, not the folder of a run" if run.exists() else "there is no such folder"
        raise RunFolderError(f"{run}: {what}")
    if not (run / _JOB).exists() and not segments(run):
        raise RunFolderError(f"{run}: is no run folder: it has neither {_JOB} nor metrics.jsonl")


def segments(run: Path, name: str = "metrics") -> list[Path]:
    """Return the files of a log: those that are full in their order, then the active one.

    Parameters
    ----------
    run : Path
        A run folder.
    name : str
        ``metrics``, ``timings``, ``predictions`` or ``dead_letters``.

    Returns
    -------
    list of Path
        Those that exist.
    """
    return log_segments(run, name)


def is_cut(run: Path, name: str = "metrics") -> bool:
    """Tell whether the oldest files of a log are gone: the first that is left has a number above 1.

    Parameters
    ----------
    run : Path
    name : str
        Which log.
    """
    files = segments(run, name)
    return bool(files) and files[0].name not in (f"{name}.jsonl", f"{name}.000001.jsonl")


def read_lines(run: Path, name: str = "metrics") -> Iterator[bytes]:
    """Yield the whole lines of a log, one at a time, each with its line break.

    A last line that is not finished, as a run that is going on or was killed may leave it, is left
    out. What is written after the start is not waited for.

    Raises
    ------
    RunFolderError
        There is no such folder or log.
    """
    return (line for _, _, line in number_lines(run, name))


def read_records(
    run: Path, *, kinds: Collection[str] | None = None, name: str = "metrics"
) -> Iterator[dict[str, Any]]:
    """Yield the records of a log; lines of other kinds are passed over by their first bytes.

    Parameters
    ----------
    run : Path
    kinds : collection of str, optional
        Such as ``("retention", "drift")``; by default all, also records that have no kind.
    name : str
        Which log.

    Raises
    ------
    RunFolderError
        There is no such folder or log, a line is damaged, or is of a later version of the log.
    """
    wanted = None if kinds is None else frozenset(kinds)
    for path, number, line in number_lines(run, name):
        if wanted is None or (kind := kind_of(line)) is None or kind in wanted:
            record = parse_line(line, path, number)
            if wanted is None or record.get("kind") in wanted:
                yield record


def kind_of(line: bytes) -> str | None:
    """Tell a line's kind by its first bytes; None where only parsing can tell.

    Examples
    --------
    >>> kind_of(b'{"kind":"drift","v":1,"position":7}'), kind_of(b'{"position":7}')
    ('drift', None)
    """
    found = _KIND.match(line)
    return None if found is None else found[1].decode()


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Return the record of a line.

    Raises
    ------
    RunFolderError
        It is no JSON object, or of a later version; the message names file and line.

    Examples
    --------
    >>> parse_line(b'{"v": 2}', Path("run/metrics.jsonl"), 3)
    Traceback (most recent call last):
    ...
    streamreplay.errors.RunFolderError: run/metrics.jsonl:3: is of version 2 of the log, this \
streamreplay reads 1
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RunFolderError(f"{path}:{number}: the line is damaged: {error}") from None
    if not isinstance(record, dict):
        raise RunFolderError(f"{path}:{number}: the line is damaged: it is no JSON object")
    version = record.get("v", VERSION)
    if version != VERSION:
        raise RunFolderError(
            f"{path}:{number}: is of version {version} of the log, this streamreplay reads "
            f"{VERSION}"
        )
    return record


def read_job(run: Path) -> Job:
    """Return the job of a run.

    Raises
    ------
    RunFolderError
        There is no such folder, or no job in it.
    ConfigError
        The job is of another version, or was changed.
    """
    check_run(run)
    if not (run / _JOB).exists():
        raise RunFolderError(f"{run}: has no {_JOB}")
    return load_job(run / _JOB)


def number_lines(run: Path, name: str = "metrics") -> Iterator[NumberedLine]:
    """Yield the whole lines of a log, each with its file and its number in it.

    Raises
    ------
    RunFolderError
        There is no such folder or log.
    """
    check_run(run)
    full, active = open_log(run, name)
    if active is None and not full:
        raise RunFolderError(f"{run}: has no {name}.jsonl")
    with nullcontext() if active is None else active:
        for path in full:
            file = _open(path)
            if file is not None:  # else it was deleted meanwhile, as the oldest may be
                with file:
                    yield from _lines(file, path)
        if active is not None:
            yield from _lines(active, run / f"{name}.jsonl")


def open_log(run: Path, name: str) -> tuple[list[Path], BinaryIO | None]:
    """Return the full files of a log in their order, and the active one, opened, if there is one.

    It is opened before the others are looked for. If it is put aside in between, the handle is
    still on the lines that come last, and they are not read a second time under the new name.
    """
    active = _open(run / f"{name}.jsonl")
    full = [*rotated_files(run / f"{name}.jsonl").values()]
    if active is not None:
        full = [path for path in full if not is_file(active, path)]
    return full, active


def is_file(file: BinaryIO, path: Path) -> bool:
    """Tell whether an open file is the one of that name now."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _lines(file: BinaryIO, path: Path) -> Iterator[NumberedLine]:
    for number, line in enumerate(file, 1):
        if line.endswith(b"\n"):
            yield path, number, line


def _open(path: Path) -> BinaryIO | None:
    with suppress(FileNotFoundError):
        return path.open("rb", buffering=_BUFFER)
    return None
