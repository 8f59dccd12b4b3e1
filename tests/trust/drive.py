"""Run commands in this process, as a shell would, and watch what they do."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from streamreplay.commands import main

__all__ = ["READERS", "Done", "command", "contents", "read"]

READERS = ("tail", "inspect", "report", "compare", "export")
"""The commands that read the logs of a run."""

_PATIENCE = 60  # seconds


class _Hung(BaseException):
    """A command has not ended in time."""


@dataclass(frozen=True)
class Done:
    """What a command has done.

    Attributes
    ----------
    code : int
        What it exited with; -1 for an exception that it let through.
    out, err : str
    fault : str
        The traceback of that exception; "" without.
    """

    code: int
    out: str
    err: str
    fault: str = ""

    @property
    def refused(self) -> bool:
        """Whether it has ended with one line of its own, and exit code 1."""
        lines = [line for line in self.err.splitlines() if "streamreplay: error: " in line]
        return self.code == 1 and not self.fault and len(lines) == 1


def command(*arguments: object, patience: int = _PATIENCE) -> Done:
    """Run the command line with some arguments; return how it ended."""
    code, fault = 0, ""
    with _captured() as (out, err):
        try:
            with _arguments([str(each) for each in arguments]), _limited(patience):
                main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
            code, fault = -1, traceback.format_exc()
    out.seek(0)
    err.seek(0)
    with out, err:
        shown = [each.read().decode(errors="replace") for each in (out, err)]
    return Done(code, shown[0], shown[1], fault)


def read(name: str, run: Path) -> Done:
    """Read a run with one of `READERS`."""
    more = {
        "report": ("--out", run.parent / "page.html"),
        "compare": (run, "--resamples", 100),
        "export": ("--format", "csv", "--to", run.parent / "tables"),
        "tail": ("--once",),
    }
    return command(name, run, *more.get(name, ()))


def contents(folder: Path) -> dict[str, object]:
    """Return what is in a folder: the bytes of files, where links lead, by path."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = None
    return found


@contextmanager
def _arguments(given: Sequence[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, ["streamreplay", *given]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Hung(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _captured() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Send what goes to the descriptors 1 and 2 into files."""
    files = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed by `command`
    streams = sys.stdout, sys.stderr
    for stream in streams:
        stream.flush()
    kept = [os.dup(number) for number in (1, 2)]
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (
        os.fdopen(os.dup(number), "w", encoding="utf-8", errors="backslashreplace")
        for number in (1, 2)
    )
    try:
        yield files
    finally:
        for own in (sys.stdout, sys.stderr):
            own.close()
        sys.stdout, sys.stderr = streams
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
