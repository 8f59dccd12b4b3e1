"""A run as a live table on standard output: what `tail` shows, without a run folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.live import Live

from streamreplay.plain_text import visible, wrapped
from streamreplay.reading.live.state import StreamState
from streamreplay.reading.live.view import Heading, View, open_console, print_view
from streamreplay.reading.status import RunPhase
from streamreplay.run.progress import Rate, Scores, say

_MOVING = 0.25  # seconds between two views of a terminal that can move its cursor
_DUMB = 10.0  # of another one


class LiveTable:
    """Shows the present state of a run, below what the run says.

    Parameters
    ----------
    console : Console, optional
        By default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = open_console() if console is None else console
        self._apart = not sys.stderr.isatty()  # messages go elsewhere
        self._state = StreamState()
        self._name = ""
        self._rate = Rate()
        self._next = 0.0
        self._live: Live | None = None
        self._is_open = False

    def open(self, name: str, total: int | None) -> None:
        """Begin to show a run of this name; ``total`` is the number of its rows, if known."""
        self._name, self._state.total, self._is_open = name, total, True
        if self._console.is_dumb_terminal:
            self._next = time.monotonic() + _DUMB
            return
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stderr=not self._apart
        )
        self._live.start()
        self._console.show_cursor(show=True)  # which a killed run could not show again
        self._show("running", "waiting for the first row")

    def record(self, records: Iterable[dict[str, Any]], timing: dict[str, Any] | None) -> None:
        """Take log records as they are made, and the line of the timings, if one fell due."""
        for record in records:
            self._state.add(record)
        if timing is not None:
            self._state.time(timing)

    def show(
        self,
        position: int,
        scores: Scores,  # noqa: ARG002 - the records say more
        buffered: int | None,  # noqa: ARG002
    ) -> None:
        """Show the present state, if it is time to."""
        self._rate.start(position)
        self._state.position = position
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (_DUMB if self._live is None else _MOVING)
            self._state.rows_per_s = self._rate.update(position)
            self._show("running")

    def say(self, message: str) -> None:
        """Write a line that stays, above the table."""
        if self._apart or self._live is None:
            say(message)
        else:
            text = visible(f"streamreplay: {message}", keep="\n")
            self._console.print(wrapped(text, self._console.width), soft_wrap=True)

    def close(self, outcome: RunPhase) -> None:
        """Leave the last state on the screen; what is said from now on follows it."""
        if not self._is_open:
            return
        self._is_open = False
        if self._live is not None:
            self._live.transient = True
            self._live.stop()
            self._live = None
        if self._state.position:
            print_view(self._console, self._view(outcome))

    def _show(self, phase: RunPhase, *notes: str) -> None:
        view = self._view(phase, *notes)
        if self._live is None:
            print_view(self._console, view)
        else:
            self._live.update(view, refresh=True)

    def _view(self, phase: RunPhase, *notes: str) -> View:
        return View(self._state, Heading(self._name, phase, notes), time.time())
