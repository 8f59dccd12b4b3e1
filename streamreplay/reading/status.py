"""Whether a run is running, and how it ended otherwise."""

from __future__ import annotations

import fcntl
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamreplay.errors import RunFolderError
from streamreplay.regular_files import open_to_read, read_tail

RunPhase = Literal["not begun", "running", "finished", "stopped", "failed", "killed", "unknown"]

_TAIL = 1 << 16  # bytes read from the end of events.log
_ENDS: dict[str, RunPhase] = {
    "end of the stream at row ": "finished",
    "the run is complete: ": "finished",
    "stopped by ": "stopped",
    "standard output was closed": "stopped",
    "failed: ": "failed",
}
_CHECKPOINT = re.compile(
    r"(?:checkpoint at|resume at|end of the stream at) row (\d{1,18})", re.ASCII
)


@dataclass(frozen=True)
class Status:
    """The state of a run.

    Attributes
    ----------
    state : str
        ``unknown`` if its lock cannot be tested and its events do not tell how it ended.
    message : str
        The event that ended it; "" if there is none.
    checkpoint : int or None
        Row of the last checkpoint in its events.
    """

    state: RunPhase
    message: str = ""
    checkpoint: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has reached the end of its stream."""
        return self.state == "finished"


def run_status(run: Path) -> Status:
    """Return the state of a run, by its lock and its last events.

    A process that dies releases its lock, so that a killed run does not count as running. The lock
    is tested by a shared lock that is released at once.

    Raises
    ------
    RunFolderError
        The events are not in a regular file, or cannot be read.
    """
    locked, events = _is_locked(run / ".lock"), _read_events(run / "events.log")
    checkpoint = next((int(m[1]) for e in reversed(events) if (m := _CHECKPOINT.match(e))), None)
    if locked:
        return Status("running", checkpoint=checkpoint)
    if not events:
        return Status("not begun")
    ended = _last_end(events)
    if ended is not None:
        return Status(*ended, checkpoint)
    return Status("killed" if locked is False else "unknown", checkpoint=checkpoint)


def _last_end(events: list[str]) -> tuple[RunPhase, str] | None:
    """Return how the last start of the run ended, and its event; None if it did not say."""
    for event in reversed(events):
        for beginning, state in _ENDS.items():
            if event.startswith(beginning):
                return state, event
        if event == "start" or event.startswith("resume at row "):
            break
    return None


def _is_locked(path: Path) -> bool | None:
    """Return whether a process holds the lock; None if that cannot be tested."""
    try:
        with open_to_read(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def _read_events(path: Path) -> list[str]:
    """Return the last events, without their times."""
    try:
        end, whole = read_tail(path, _TAIL)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from None
    lines = end.decode(errors="replace").split("\n")
    return [line.partition(" ")[2] for line in lines[0 if whole else 1 :] if line]
