"""``streamreplay tail``: the state of a run in the terminal, until the run or the user ends it."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamreplay.errors import ConfigError
from streamreplay.reading.live.state import RunState
from streamreplay.reading.live.view import View
from streamreplay.run.messages import how_to_resume
from streamreplay.run.signals import StopSignals

_POLL = 0.1  # seconds between checks for signals and for the size of the terminal
_LEAST = 0.1  # seconds
_BEFORE_START = {".lock", "job.toml.tmp"}  # files that exist before a run has begun
_RESUMABLE = ("stopped", "failed", "killed")


def show_once(run: Path, console: Console | None = None) -> None:
    """Print the current state of a run.

    Raises
    ------
    RunFolderError
        There is no such run, or a log is damaged.
    """
    state = RunState(run)
    state.update()
    (console or _console()).print(_view(state))


def tail_run(run: Path, interval: float = 1.0) -> int:
    """Show a run in the terminal until it has finished or a signal arrives; return the exit code.

    A run that has stopped is still shown, since it may be resumed. If standard output is not a
    terminal, the current state is printed once.

    Raises
    ------
    ConfigError
        The interval is too short.
    RunFolderError
        The folder is not a run folder, or a log is damaged.
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
    state, shown = None, None
    waiting = Text(f"waiting for a run to begin in {run}", style="dim", overflow="fold")
    with Live(waiting, console=console, screen=True, auto_refresh=False) as live:
        live.refresh()
        while not signals.requested():
            if state is None:
                state = _begun(run)
            if state is not None:
                state.update()
                shown = _view(state)
                live.update(shown, refresh=True)
                if state.status.is_over:
                    break
            _wait(interval, live, signals)
    return shown


def _begun(run: Path) -> RunState | None:
    """Return the state of the run; None if it has not begun."""
    if not run.exists():
        return None
    if run.is_dir() and {each.name for each in run.iterdir()} <= _BEFORE_START:
        return None
    return RunState(run)


def _wait(interval: float, live: Live, signals: StopSignals) -> None:
    end, size = time.monotonic() + interval, live.console.size
    while (left := end - time.monotonic()) > 0 and not signals.requested():
        time.sleep(min(left, _POLL))
        if live.console.size != size:
            size = live.console.size
            live.refresh()


def _view(state: RunState) -> View:
    resume, status, job = "", state.status, state.run.job
    if job is not None and status.state in _RESUMABLE and "resume with" not in status.message:
        resume = how_to_resume(job, state.run.folder)
        if status.checkpoint is not None:
            resume = f"continues from row {status.checkpoint:,}; {resume}"
    return View(state, time.time(), resume)


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # names of classes may have letters that the terminal cannot show
    return Console(file=sys.stdout, highlight=False, markup=False)
