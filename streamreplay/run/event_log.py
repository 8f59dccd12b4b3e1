"""The log of events, which is written for people."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from streamreplay import __version__
from streamreplay.log.lines import each_line
from streamreplay.plain_text import visible
from streamreplay.regular_files import open_to_append, open_to_read

_TIME = len("2026-01-31T12:00:00.000Z ")
_ONCE = b"warning: column "


def installed() -> str:
    """Return the versions on which the results of a run depend."""
    others = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "river"))
    return f"streamreplay {__version__}, Python {python_version()}, {others}"


class EventLog:
    """What happened when, for people; one line each.

    A disk that takes no more must not hide the error that is being noted: such a line is lost.
    """

    def __init__(self, path: Path) -> None:
        # no buffer, in which a line that was refused would wait and be refused again
        self._file = open_to_append(path, buffering=0)
        self._path = path
        self._said: set[bytes] | None = None  # by starts before this one

    def write(self, message: str) -> None:
        """Append a line with the time; one about a column only if no earlier start has."""
        line = f"{visible(message)}\n".encode()
        if line.startswith(_ONCE) and line in self._written():
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with suppress(OSError):
            self._file.write(f"{now} ".encode() + line)

    def _written(self) -> set[bytes]:
        """Return the lines about columns that earlier starts of the run have written."""
        if self._said is None:
            with open_to_read(self._path) as file:
                lines = each_line(file, self._path)
                self._said = {line[_TIME:] for line in lines if line.startswith(_ONCE, _TIME)}
        return self._said

    def close(self) -> None:
        """Close the file."""
        self._file.close()
