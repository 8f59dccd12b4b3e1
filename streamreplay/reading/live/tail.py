"""``streamreplay tail``: a run's present state in the terminal, until it ends or is left."""

from __future__ import annotations

import io
import sys
import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.reading.job import read_job
from streamreplay.reading.live.state import RunState
from streamreplay.reading.live.view import View
from streamreplay.run.messages import how_to_resume
from streamreplay.run.signals import StopSignals

__all__ = ["show_once", "tail_run"]

_GLANCE = 0.1  # seconds between looks at signals and at the terminal's size
_LEAST = 0.1
_FIRST = {".lock", "job.toml.tmp"}  # what is there before a run has begun
_MAY_GO_ON = ("stopped", "failed", "killed")


def show_once(run: Path, console: Console | None = None) -> None:
    """Print the present state of a run.

    Raises
    ------
    RunFolderError
        There is no such run, or its log is damaged.
    """
    present = RunState(run)
    present.update()
    (console or _console()).print(_view(present))


def tail_run(run: Path, interval: float = 1.0) -> int:
    """Show a run in the terminal until it has finished or a signal comes; return the exit code.

    A run that stopped may be resumed, so it is watched on. Where standard output is no terminal the
    present state is printed once.

    Raises
    ------
    ConfigError
        The interval is too short.
    RunFolderError
        The folder is of something else, or a log is damaged.
    """
    if not interval >= _LEAST:
        raise ConfigError(f"--interval: must be at least {_LEAST}, got {interval}")
    console = _console()
    if not console.is_terminal:
        show_once(run, console)
        return 0
    with StopSignals() as signals:
        last = _watch(run, interval, console, signals)
    if last is not None:
        console.print(last)
    return 0 if signals.exit_code == 130 else signals.exit_code


def _watch(run: Path, interval: float, console: Console, signals: StopSignals) -> View | None:
    present, shown = None, None
    waiting = Text(f"waiting for a run to begin in {run}", style="dim", overflow="fold")
    with Live(waiting, console=console, screen=True, auto_refresh=False) as live:
        live.refresh()
        while not signals.requested():
            if present is None:
                present = _begun(run)
            if present is not None:
                present.update()
                shown = _view(present)
                live.update(shown, refresh=True)
                if present.status.is_over:
                    break
            _wait(interval, live, signals)
    return shown


def _begun(run: Path) -> RunState | None:
    """Return the run once it is there; a folder of something else is an error."""
    if not run.exists() or (run.is_dir() and {each.name for each in run.iterdir()} <= _FIRST):
        return None
    return RunState(run)


def _wait(interval: float, live: Live, signals: StopSignals) -> None:
    end, size = time.monotonic() + interval, live.console.size
    while (left := end - time.monotonic()) > 0 and not signals.requested():
        time.sleep(min(left, _GLANCE))
        if live.console.size != size:
            size = live.console.size
            live.refresh()


def _view(present: RunState) -> View:
    resume = ""
    if present.status.state in _MAY_GO_ON and "resume with" not in present.status.message:
        with suppress(ConfigError, RunFolderError):
            resume = how_to_resume(read_job(present.run), present.run)
        if resume and present.status.checkpoint is not None:
            resume = f"goes on at row {present.status.checkpoint:,}; {resume}"
    return View(present, time.time(), resume)


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a class may be called what cannot be shown
    return Console(file=sys.stdout, highlight=False, markup=False)
