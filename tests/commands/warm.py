"""The command line in processes forked from one that has imported everything already.

Starting Python and importing torch takes most of the time of a test that starts a process. A
process from here is a real one, with a pid, descriptors and signals of its own; only its imports
were done before. What a fresh interpreter does at its start or end is for `subprocess` to test.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from threading import Thread
from typing import IO, Any, NoReturn

__all__ = ["WarmProcess"]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_context: ForkServerContext | None = None
_path = [*sys.path]  # before a test that runs a job in this process adds its folder


class WarmProcess:
    """Run the command line in a process, with the interface of `subprocess.Popen`.

    Parameters
    ----------
    args : sequence of str
        Of the command line, without the program's name.
    cwd : Path
    env : mapping of str to str
    stdin, stdout, stderr : int, file or None
        As for `subprocess.Popen`: None inherits.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        self.args = ["streamreplay", *args]
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        theirs: list[int] = []
        for number, (name, given) in enumerate(
            (("stdin", stdin), ("stdout", stdout), ("stderr", stderr))
        ):
            descriptor, ours = _open(given, number)
            theirs.append(descriptor)
            setattr(self, name, ours)
        context = _warm_context()
        files = [_Descriptor(each) for each in theirs]
        self._process = context.Process(
            target=_run, args=(list(args), str(cwd), dict(env), _path, files), daemon=True
        )
        self._process.start()
        for each in theirs:
            os.close(each)

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the signal's number of one that was killed; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process as ``kill -9`` does."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def communicate(
        self, input: bytes | None = None, timeout: float | None = None
    ) -> tuple[bytes, bytes]:
        """Write to standard input and close it, read the outputs, wait for the end."""
        outputs: dict[str, bytes] = {"stdout": b"", "stderr": b""}

        def read(name: str, pipe: IO[bytes]) -> None:
            with pipe:
                outputs[name] = pipe.read()

        readers = [
            Thread(target=read, args=(name, pipe), daemon=True)
            for name, pipe in (("stdout", self.stdout), ("stderr", self.stderr))
            if pipe is not None and not pipe.closed
        ]
        for reader in readers:
            reader.start()
        if self.stdin is not None and not self.stdin.closed:
            try:
                self.stdin.write(input or b"")
                self.stdin.close()
            except BrokenPipeError:
                pass
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(timeout)
        return outputs["stdout"], outputs["stderr"]


class _Descriptor:
    """A descriptor that arrives in the new process as one of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _detach, (DupFd(self._descriptor),)


def _detach(descriptor: Any) -> int:
    number: int = descriptor.detach()
    return number


def _open(given: int | IO[bytes] | None, number: int) -> tuple[int, IO[bytes] | None]:
    """Return the child's descriptor, and our end of the pipe if there is one."""
    if given == subprocess.PIPE:
        reader, writer = os.pipe()
        if number == 0:
            return reader, open(writer, "wb")  # noqa: PTH123 - as Popen does
        return writer, open(reader, "rb")  # noqa: PTH123
    if given == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if given is None:
        given = number
    return os.dup(given if isinstance(given, int) else given.fileno()), None


def _warm_context() -> ForkServerContext:
    """Start the process that others are forked from, once."""
    global _context  # noqa: PLW0603 - one a session
    if _context is None:
        _context = get_context("forkserver")
        _context.set_forkserver_preload([__name__])
        before = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(dict.fromkeys(THREADS, "1"))
        os.environ["STREAMREPLAY_TESTS_PRELOAD"] = "1"
        try:
            from multiprocessing.forkserver import ensure_running  # noqa: PLC0415

            ensure_running()
        finally:
            del os.environ["STREAMREPLAY_TESTS_PRELOAD"]
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
    return _context


def _run(
    args: list[str], cwd: str, env: dict[str, str], path: list[str], files: list[int]
) -> NoReturn:
    """Become the command line."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
        errors="backslashreplace",
        line_buffering=True,
    )
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv, sys.path = ["streamreplay", *args], path
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from streamreplay.commands import main  # noqa: PLC0415

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if os.environ.get("STREAMREPLAY_TESTS_PRELOAD"):  # in the process that others are forked from
    from importlib import import_module

    for _module in (
        "streamreplay.commands",
        "streamreplay.run.driver",
        "streamreplay.run.folder",
        "streamreplay.learners",
        "streamreplay.config.building.learners",
        "streamreplay.config.building.methods",
        "torch",
        "river.base",
    ):
        import_module(_module)
