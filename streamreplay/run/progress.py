"""Show the progress of a job: on standard error, or as a table that a command brings along."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from streamreplay.config.job import Emit
from streamreplay.plain_text import counted, visible, wrapped, wrapped_for
from streamreplay.run.sinks.base import Outcome

Scores: TypeAlias = Mapping[str, float]
"""How good each learner is so far (accuracy, MAE, ...), by the name to show."""


class Progress(Protocol):
    """Shows how far a run is."""

    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        """Show the present state, if it is time to."""

    def record(self, records: Iterable[dict[str, Any]], timing: dict[str, Any] | None) -> None:
        """Take log records as they are made, and the line of the timings, if one fell due."""

    def say(self, message: str) -> None:
        """Write a line that stays."""

    def close(self, outcome: Outcome) -> None:
        """Leave the terminal as it was; messages may follow."""


class RunView(Progress, Protocol):
    """Shows the state of a run on standard output, which then gets nothing else."""

    def open(self, name: str, total: int | None) -> None:
        """Begin to show a run of this name; ``total`` is the number of its rows, if known."""


def make_progress(*, quiet: bool, total: int | None = None, emits: bool = False) -> Progress:
    """Return a moving line on a terminal, plain lines elsewhere, nothing but messages if quiet.

    Parameters
    ----------
    quiet : bool
    total : int, optional
        Rows of the stream, if known.
    emits : bool
        Whether lines go to standard output. Unless that is a file, they may come to the same
        terminal, perhaps through a pipe, and would tear a moving line.
    """
    if quiet:
        return _Quiet()
    return _Live(total) if sys.stderr.isatty() and (_is_file(1) or not emits) else _Plain()


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def choose_output(
    emit: Emit, table: RunView | None, *, quiet: bool, name: str, total: int | None
) -> tuple[Emit, Progress]:
    """Return what goes to standard output, and what shows the progress.

    Parameters
    ----------
    emit : {"auto", "predictions", "metrics", "none"}
        What the job wants; "auto" is the table, if there is one, and metrics otherwise.
    table : RunView or None
        Given where standard output is a terminal. A quiet run does not open it.
    quiet : bool
    name : str
        What the table calls the run.
    total : int or None
        Rows of the stream, if known.
    """
    if emit == "auto" and table is not None:
        if not quiet:
            table.open(name, total)
            return "none", table
        emit = "none"
    elif emit == "auto":
        emit = "metrics"
    return emit, make_progress(quiet=quiet, total=total, emits=emit != "none")


def say(message: str) -> None:
    """Write a message to standard error, on lines that fit a terminal."""
    text = wrapped_for(2, visible(f"streamreplay: {message}", keep="\n"))
    # not sys.stderr, which keeps what it could not write and fails again when Python ends
    with suppress(OSError):  # nobody reads on, or a full disk: no reason to stop learning
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))


class _Quiet:
    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        """Show nothing."""

    def record(self, records: Iterable[dict[str, Any]], timing: dict[str, Any] | None) -> None:
        """Show nothing."""

    def say(self, message: str) -> None:
        say(message)

    def close(self, outcome: Outcome) -> None:
        """Nothing is open."""


class _Plain(_Quiet):
    """A line each ten seconds."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._rate = Rate()
        self._next = time.monotonic() + seconds

    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        self._rate.start(position)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            self.say(_describe(position, self._rate.update(position), scores, buffered))


class _Live(_Quiet):
    """One line that moves."""

    def __init__(self, total: int | None) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415

        self._console = Console(stderr=True)
        columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}")]
        columns += [BarColumn(20)] if total else []
        self._bar = Bar(
            *columns, TimeElapsedColumn(), console=self._console, auto_refresh=False, transient=True
        )
        self._task = self._bar.add_task("waiting for the first row", total=total)
        self._bar.start()
        self._console.show_cursor(show=True)  # which a killed run could not show again
        self._rate = Rate()
        self._next = 0.0

    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        self._rate.start(position)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.2
            text = _describe(position, self._rate.update(position), scores, buffered)
            self._bar.update(self._task, completed=position, description=text, refresh=True)

    def say(self, message: str) -> None:
        text = visible(f"streamreplay: {message}", keep="\n")
        text = wrapped(text, self._console.width)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self, outcome: Outcome) -> None:  # noqa: ARG002 - the summary tells it
        self._bar.stop()


class Rate:
    """Rows per second, smoothed."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._position = 0
        self._rate = 0.0

    def start(self, position: int) -> None:
        """Count from a position, if nothing was counted yet."""
        if self._time is None:
            self._time, self._position = time.monotonic(), position

    def update(self, position: int) -> float:
        """Return the rate up to a position."""
        now = time.monotonic()
        if self._time is not None and now > self._time:
            rate = (position - self._position) / (now - self._time)
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        self._time, self._position = now, position
        return self._rate


def _describe(position: int, rate: float, scores: Scores, buffered: int | None) -> str:
    parts = [counted(position, "row"), f"{rate:,.0f} rows/s"]
    parts += [f"{name} {score:.3f}" for name, score in scores.items()]
    if buffered is not None:
        parts.append(f"buffer {buffered:,}")
    return ", ".join(parts)
