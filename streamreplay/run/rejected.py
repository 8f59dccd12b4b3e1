"""Counts the records that could not be read, and writes them to the folder's log."""

from __future__ import annotations

from typing import Any, final

from streamreplay.log.lines import dump_line
from streamreplay.run.folder import RunFolder


@final
class RejectedRecords:
    """Records that could not be read.

    A source that is read whole meets them before there is a folder: they are kept until then.

    Parameters
    ----------
    keep : bool
        Whether there will be a folder.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._folder: RunFolder | None = None
        self._early: list[bytes] = []
        self._count = 0
        self._first: dict[str, Any] = {}

    def add(self, letter: dict[str, Any]) -> None:
        """Take a record as a source describes it, see `streamreplay.ingest.DeadLetters`."""
        self._count += 1
        self._first = self._first or letter
        if self._folder is not None:
            self._folder.dead_letters.write(dump_line(letter))
        elif self._keep:
            self._early.append(dump_line(letter))

    def write_to(self, folder: RunFolder, *, early: bool) -> None:
        """Write records to a folder from now on, those so far as well if ``early`` is true."""
        self._folder = folder
        if early:
            folder.dead_letters.write(b"".join(self._early))

    def message(self) -> str:
        """Return their number and the first of them for people; "" if there are none."""
        if not self._count:
            return ""
        line, reason = self._first.get("line"), self._first.get("reason")
        return f"{self._count:,} put aside (the first, line {line}: {reason})"
