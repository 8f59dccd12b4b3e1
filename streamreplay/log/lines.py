"""The lines and files of the logs: their version, how to write, parse and read them in order.

A log may have several files: finished ones, ``metrics.000001.jsonl`` and so on, and the active
one, ``metrics.jsonl``. The oldest files may have been deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from streamreplay.errors import RunFolderError
from streamreplay.log.folder_format import check_format
from streamreplay.regular_files import exists, open_to_read

VERSION = 1
"""The version of the format of all four logs. It stays the same when a field or a kind of record is
added; such a field may be absent, so that older logs can be read. It goes up when a field is
removed, renamed, or changes its meaning; logs of the versions before are read all the same."""

JOB_FILE = "job.toml"
MOST_JOB = 1 << 22  # bytes
MOST_LINE = 1 << 26  # bytes of a record

NumberedLine = tuple[Path, int, bytes]
"""A file, the number of a line in it, 1 for the first, and the line."""

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_BUFFER = 1 << 20  # bytes read at a time
_KIND = re.compile("[a-z][a-z_]*")
_FIRST_FIELDS = re.compile(rb'\{(?:"learner":"[^"\\]*",)?"kind":"([^"\\]*)"')


def dump_line(record: dict[str, Any]) -> bytes:
    """Return a record as one line; NaN becomes null."""
    return orjson.dumps(record, option=_OPTIONS)


def rotated_files(active: Path) -> dict[int, Path]:
    """Return the finished files of a rotating log by number, oldest first.

    They are in the folder of the active file, as ``metrics.000001.jsonl`` next to
    ``metrics.jsonl``.
    """
    name = re.compile(rf"{re.escape(active.stem)}\.(\d{{6,}}){re.escape(active.suffix)}")
    found = {
        int(match[1]): path
        for path in active.parent.glob(f"{active.stem}.*{active.suffix}")
        if (match := name.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def segments(run: Path, name: str = "metrics") -> list[Path]:
    """Return the files of a log that exist: finished files in their order, then the active one.

    Parameters
    ----------
    run : Path
        A run folder.
    name : str
        ``metrics``, ``timings``, ``predictions`` or ``dead_letters``.
    """
    active = run / f"{name}.jsonl"
    return [*rotated_files(active).values(), *([active] if exists(active) else [])]


def number_lines(
    run: Path, name: str = "metrics", *, missing_ok: bool = False
) -> Iterator[NumberedLine]:
    """Yield the whole lines of a log, each with its file and line number.

    Raises
    ------
    RunFolderError
        There is no such folder or log, and it may not be missing.
    """
    if not missing_ok:
        check_run(run)
    full, active = open_log(run, name)
    if active is None and not full and not missing_ok:
        raise RunFolderError(f"{run}: has no {name}.jsonl")
    with nullcontext() if active is None else active:
        for path in full:
            file = open_segment(path)
            if file is not None:
                with file:
                    yield from _lines(file, path)
        if active is not None:
            yield from _lines(active, run / f"{name}.jsonl")


def open_log(run: Path, name: str) -> tuple[list[Path], BinaryIO | None]:
    """Return the finished files of a log in their order, and the active one, opened, if it exists.

    The active file is opened before the others are listed. If the log rotates in between, the open
    file is still the one with the last lines; it is left out of the list, and so are newer files.
    """
    active = open_segment(run / f"{name}.jsonl")
    full = rotated_files(run / f"{name}.jsonl").values()
    if active is None:
        return [*full], None
    return [*takewhile(lambda path: not _is_file(active, path), full)], active


def _is_file(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file is the one that has this name now."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    return False


def open_segment(path: Path) -> BinaryIO | None:
    """Open a file of a log; None if it was deleted, which can happen to the oldest at any time.

    Raises
    ------
    RunFolderError
        It is not a regular file, or cannot be read.
    """
    try:
        return open_to_read(path, _BUFFER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from None


def _lines(file: BinaryIO, path: Path) -> Iterator[NumberedLine]:
    for number, line in enumerate(each_line(file, path), 1):
        if line.endswith(b"\n"):
            yield path, number, line


def each_line(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file from where it is, the last one perhaps unfinished.

    Raises
    ------
    RunFolderError
        A line is longer than 64 MiB, which no record is.
    """
    while line := file.readline(MOST_LINE + 1):
        if len(line) > MOST_LINE:
            raise RunFolderError(f"{path}: is damaged: a line has more than {MOST_LINE:,} bytes")
        yield line


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Return the record of a line.

    Raises
    ------
    RunFolderError
        The line is not a JSON object, or of another version; the message names file and line.

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
    if type(version) is not int or not 1 <= version <= VERSION:
        raise RunFolderError(
            f"{path}:{number}: is of version {str(version)[:60]} of the log, this streamreplay "
            f"reads {VERSION}"
        )
    return record


def parse_metric(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Return the record of a line of metrics.jsonl, which must have a kind.

    Raises
    ------
    RunFolderError
        As by `parse_line`; or the kind is missing or not a valid name.

    Examples
    --------
    >>> parse_metric(b'{"kind": "../drift"}', Path("run/metrics.jsonl"), 3)
    Traceback (most recent call last):
    ...
    streamreplay.errors.RunFolderError: run/metrics.jsonl:3: the line is damaged: its kind must be \
small letters and _, got '../drift'
    """
    record = parse_line(line, path, number)
    kind = record.get("kind")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise RunFolderError(
            f"{path}:{number}: the line is damaged: its kind must be small letters and _, got "
            f"{kind!r}"
        )
    return record


def check_run(run: Path) -> None:
    """Raise an error unless a folder is a run folder.

    Raises
    ------
    RunFolderError
        The folder does not exist, has neither a job nor a log, or is of a later version.
    """
    if not run.is_dir():
        what = "is a file, not the folder of a run" if run.exists() else "there is no such folder"
        raise RunFolderError(f"{run}: {what}")
    check_format(run)
    if not exists(run / JOB_FILE) and not segments(run):
        raise RunFolderError(
            f"{run}: is no run folder: it has neither {JOB_FILE} nor metrics.jsonl"
        )


def is_cut(run: Path, name: str = "metrics") -> bool:
    """Return whether the oldest files of a log were deleted.

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

    An unfinished last line, which a running or killed run may leave, is skipped. Lines that are
    written after the call are not waited for.

    Raises
    ------
    RunFolderError
        There is no such folder or log.
    """
    return (line for _, _, line in number_lines(run, name))


def kind_of(line: bytes) -> str | None:
    """Return the kind of a line from its first bytes; None if it has to be parsed.

    Examples
    --------
    >>> kind_of(b'{"kind":"drift","v":1,"position":7}'), kind_of(b'{"position":7}')
    ('drift', None)
    """
    found = _FIRST_FIELDS.match(line)
    return None if found is None else found[1].decode(errors="replace")
