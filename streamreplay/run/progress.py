"""Show the progress of a job on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

Scores: TypeAlias = Mapping[str, float]
"""How good each learner is so far (accuracy, MAE, ...), by the name to show."""


class Progress(Protocol):
    """Shows how far a run is."""

    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        """Show the present state, if it is time to."""

    def say(self, message: str) -> None:
        """Write a line that stays."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make_progress(*, quiet: bool, total: int | None = None) -> Progress:
    """Return a moving line on a terminal, plain lines elsewhere, nothing but messages if quiet."""
    if quiet:
        return _Quiet()
    return _Live(total) if sys.stderr.isatty() else _Plain()


class _Quiet:
    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        """Show nothing."""

    def say(self, message: str) -> None:
        # not sys.stderr, which keeps what it could not write and fails again when Python ends
        with suppress(OSError):  # nobody reads on, or a full disk: no reason to stop learning
            os.write(2, f"streamreplay: {message}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Nothing is open."""


class _Plain(_Quiet):
    """A line each ten seconds."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._rate = _Rate()
        self._next = time.monotonic() + seconds

    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        self._rate.start(position)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            self.say(_describe(position, self._rate.update(position), scores, buffered))


class _Live:
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
        self._rate = _Rate()
        self._next = 0.0

    def show(self, position: int, scores: Scores, buffered: int | None) -> None:
        self._rate.start(position)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.2
            text = _describe(position, self._rate.update(position), scores, buffered)
            self._bar.update(self._task, completed=position, description=text, refresh=True)

    def say(self, message: str) -> None:
        text = f"streamreplay: {message}"  # not wrapped, so that a command in it can be copied
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._bar.stop()


class _Rate:
    """Rows per second, smoothed."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._position = 0
        self._rate = 0.0

    def start(self, position: int) -> None:
        """Count from here, if nothing was counted yet."""
        if self._time is None:
            self._time, self._position = time.monotonic(), position

    def update(self, position: int) -> float:
        now = time.monotonic()
        if self._time is not None and now > self._time:
            rate = (position - self._position) / (now - self._time)
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        self._time, self._position = now, position
        return self._rate


def _describe(position: int, rate: float, scores: Scores, buffered: int | None) -> str:
    parts = [f"{position:,} rows", f"{rate:,.0f} rows/s"]
    parts += [f"{name} {score:.3f}" for name, score in scores.items()]
    if buffered is not None:
        parts.append(f"buffer {buffered:,}")
    return ", ".join(parts)
