"""The logs of a run folder as lines and as records, in order, whatever their size.

A log may be in several files: ``metrics.000001.jsonl`` and so on hold what came first, and
``metrics.jsonl`` what comes now. The oldest may have been deleted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from streamreplay.errors import RunFolderError
from streamreplay.log import lines
from streamreplay.log.lines import NumberedLine, log_segments, open_log, parse_line

__all__ = [
    "JOB_FILE",
    "NumberedLine",
    "check_run",
    "is_cut",
    "kind_of",
    "number_lines",
    "open_log",
    "parse_line",
    "read_lines",
    "read_records",
    "segments",
]

JOB_FILE = "job.toml"
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
    if not (run / JOB_FILE).exists() and not segments(run):
        raise RunFolderError(
            f"{run}: is no run folder: it has neither {JOB_FILE} nor metrics.jsonl"
        )


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


def number_lines(run: Path, name: str = "metrics") -> Iterator[NumberedLine]:
    """Yield the whole lines of a log, each with its file and its number in it.

    Raises
    ------
    RunFolderError
        There is no such folder or log.
    """
    check_run(run)
    yield from lines.number_lines(run, name)
