"""Writes the records that could not be read to the folder's log."""

from __future__ import annotations

from typing import Any, final

from streamreplay.log.lines import dump_line
from streamreplay.run.folder import RunFolder
from streamreplay.state import State, whole

MOST_BYTES = 64 << 20
"""Bytes of dead letters after which further ones are written without their text."""

_TEXT = ("raw", "raw_cut", "raw_bytes")


@final
class RejectedRecords:
    """Records that could not be read.

    A source that is read whole meets them before there is a folder: they are kept until then.

    Parameters
    ----------
    keep : bool
        Whether there will be a folder.
    most_bytes : int
        Bytes after which further ones are written without their text.
    """

    def __init__(self, *, keep: bool, most_bytes: int = MOST_BYTES) -> None:
        self._keep = keep
        self._most_bytes = most_bytes
        self._folder: RunFolder | None = None
        self._early: list[bytes] = []
        self._bytes = 0  # of letters with their text
        self._bare = 0  # letters without it

    def add(self, letter: dict[str, Any]) -> None:
        """Take a record as a source describes it, see `streamreplay.ingest.DeadLetters`."""
        if not self._keep:
            return
        if self._bytes < self._most_bytes:
            line = dump_line(letter)
            self._bytes += len(line)
        else:
            line = dump_line({key: value for key, value in letter.items() if key not in _TEXT})
            self._bare += 1
        if self._folder is not None:
            self._folder.dead_letters.write(line)
        else:
            self._early.append(line)

    def write_to(self, folder: RunFolder) -> None:
        """Write records to a folder from now on, and those so far."""
        self._folder = folder
        folder.dead_letters.write(b"".join(self._early))
        self._early.clear()

    def message(self) -> str:
        """Return how many were written without their text, for people; "" if none was."""
        if not self._bare:
            return ""
        return (
            f"{self._bare:,} of those put aside are in dead_letters.jsonl without their text, as "
            f"it has {self._bytes / 2**20:,.0f} MiB of others"
        )

    def state_dict(self) -> State:
        """Return the counts."""
        return {"bytes": self._bytes, "bare": self._bare}

    def load_state_dict(self, state: State) -> None:
        """Load a state; the records so far are in its log."""
        self._early.clear()
        self._bytes, self._bare = (whole(name, state[name]) for name in ("bytes", "bare"))
