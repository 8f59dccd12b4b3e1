"""``streamreplay tail``: the state of a run in the terminal, until the run or the user ends it."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamreplay.errors import ConfigError
from streamreplay.plain_text import visible
from streamreplay.reading.live.state import RunState
from streamreplay.reading.live.view import Heading, View, open_console, print_view
from streamreplay.run.messages import resume_command, resume_how
from streamreplay.run.signals import StopSignals

_POLL = 0.1  # seconds between checks for signals and for the size of the terminal
_LEAST = 0.1  # seconds
# files that exist before a run has begun
_BEFORE_START = {".lock", "job.toml.tmp", "format.json", "format.json.tmp"}
_RESUMABLE = ("stopped", "failed", "killed")


def show_once(run: Path, console: Console | None = None) -> int:
    """Print the current state of a run; return the exit code.

    Raises
    ------
    RunFolderError
        There is no such run, or a log is damaged.
    """
    state = RunState(run)
    state.update()
    print_view(console or open_console(), view_run(state, time.time()))
    return 0


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
    console = open_console()
    if not console.is_terminal:
        return show_once(run, console)
    with StopSignals() as signals:
        last = _watch(run, interval, console, signals)
    if last is not None:
        print_view(console, view_run(last, time.time()))
    return 0 if signals.exit_code == 130 else signals.exit_code


def _watch(run: Path, interval: float, console: Console, signals: StopSignals) -> RunState | None:
    state = None
    waiting = Text(visible(f"waiting for a run to begin in {run}"), style="dim", overflow="fold")
    with Live(waiting, console=console, screen=True, auto_refresh=False) as live:
        live.refresh()
        while not signals.requested():
            if state is None:
                state = _begun(run)
            if state is not None:
                state.update()
                live.update(view_run(state, time.time(), moving=True), refresh=True)
                if state.status.is_over:
                    break
            _wait(interval, live, signals)
    return state


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


def view_run(state: RunState, now: float, *, moving: bool = False) -> View:
    """Return the view of a run, with how to resume it if it has stopped.

    Parameters
    ----------
    state : RunState
    now : float
        Seconds since 1970.
    moving : bool
        As for `View`.
    """
    status, job, folder = state.status, state.run.job, state.run.folder
    notes, command = [status.message], ""
    if job is not None and status.state in _RESUMABLE:
        command = resume_command(job, folder)
        row = "" if status.checkpoint is None else f"continues from row {status.checkpoint:,}; "
        notes = [status.message.partition("; resume with")[0], f"{row}{resume_how(job)}:"]
    heading = Heading(
        name=folder.resolve().name,
        phase=status.state,
        notes=[*filter(None, notes)],
        command=command,
        recorded=state.stream.timing.get("time"),
    )
    return View(state.stream, heading, now, moving=moving)
