"""Whether a run is going on, and how it ended if it is not."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Status", "run_status"]

State = Literal["not begun", "running", "finished", "stopped", "failed", "killed", "unknown"]

_TAIL = 1 << 16  # bytes of events.log that are looked at
_ENDS: dict[str, State] = {
    "end of the stream at row ": "finished",
    "the run is complete: ": "finished",
    "stopped by ": "stopped",
    "standard output was closed": "stopped",
    "failed: ": "failed",
}
_CHECKPOINT = re.compile(r"(?:checkpoint at|resume at|end of the stream at) row (\d+)")


@dataclass(frozen=True)
class Status:
    """What a run is doing.

    Attributes
    ----------
    state : str
        ``unknown`` is a run whose lock cannot be asked for, and which has not said how it ended.
    message : str
        What it said about its end; "" if nothing.
    checkpoint : int or None
        Row of the last checkpoint that is mentioned.
    """

    state: State
    message: str = ""
    checkpoint: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has come to the end of its stream."""
        return self.state == "finished"


def run_status(run: Path) -> Status:
    """Tell what a run is doing, by its lock and by what it noted last.

    A process that dies lets go of its lock, however it dies: a run that was killed does not look
    alive. The lock is only asked for, by a shared lock that is let go at once.
    """
    locked = _is_locked(run / ".lock")
    events = _events(run / "events.log")
    checkpoint = next((int(m[1]) for e in reversed(events) if (m := _CHECKPOINT.match(e))), None)
    if locked:
        return Status("running", checkpoint=checkpoint)
    for event in reversed(events):
        for beginning, state in _ENDS.items():
            if event.startswith(beginning):
                return Status(state, event, checkpoint)
        if event == "start" or event.startswith("resume at row "):
            break
    if not events:
        return Status("not begun")
    return Status("killed" if locked is False else "unknown", checkpoint=checkpoint)


def _is_locked(path: Path) -> bool | None:
    """Tell whether a process holds the lock; None where that cannot be known."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _events(path: Path) -> list[str]:
    """Return the last lines of the log of events, without their times."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        lines = file.read().decode(errors="replace").splitlines()
        whole = lines if size <= _TAIL else lines[1:]
        return [line.partition(" ")[2] for line in whole]
    return []
