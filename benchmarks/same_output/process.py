"""Run the command line in this process."""

from __future__ import annotations

import os
import runpy
import sys
import threading
from contextlib import suppress
from pathlib import Path


class redirected:  # noqa: N801 - reads as the function that it is
    """Standard output and error into files, and a file's bytes through a pipe to standard input."""

    def __init__(self, out: int, err: int, stdin: Path) -> None:
        self._targets = {1: out, 2: err}
        self._stdin = stdin
        self._saved: dict[int, int] = {}

    def __enter__(self) -> None:
        self._saved = {descriptor: os.dup(descriptor) for descriptor in (0, 1, 2)}
        reading, writing = os.pipe()
        os.dup2(reading, 0)
        os.close(reading)
        self._feeder = threading.Thread(target=self._feed, args=(writing,), daemon=True)
        self._feeder.start()
        for descriptor, target in self._targets.items():
            os.dup2(target, descriptor)

    def _feed(self, writing: int) -> None:
        with suppress(BrokenPipeError), open(writing, "wb", buffering=0) as file:
            file.write(self._stdin.read_bytes())

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        self._feeder.join()


def main_in_process(argv: list[str]) -> int:
    """Do as ``python -m streamreplay`` does; return the exit code."""
    sys.argv = ["streamreplay", *argv]
    try:
        runpy.run_module("streamreplay", run_name="__main__", alter_sys=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - as the interpreter would
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0
