"""Following a log while it is being written."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

from streamreplay.log.checked import read_record
from streamreplay.log.lines import MOST_LINE, check_run, each_line, kind_of, open_log, open_segment

_TAIL = 256  # last bytes read, kept to find out whether the log was cut back
_BLOCK = 1 << 20


class Follower:
    """Reads the new records of a log at each call, also after the log has rotated.

    Parameters
    ----------
    run : Path
        A run folder; the log need not exist yet.
    name : str
        Which log.
    kinds : collection of str, optional
        Read only records of these kinds.
    most_bytes : int, optional
        Start at most so many bytes before the end of the log, which may be larger than memory.

    Raises
    ------
    RunFolderError
        There is no such folder.

    Attributes
    ----------
    restarted : bool
        Whether the last call of `read` started again from the beginning, since a resumed run had
        cut its log back. The records read before are not valid then.
    """

    def __init__(
        self,
        run: Path,
        name: str = "metrics",
        *,
        kinds: Collection[str] | None = None,
        most_bytes: int | None = None,
    ) -> None:
        check_run(run)
        self.restarted = False
        self._run = run
        self._name = name
        self._kinds = None if kinds is None else frozenset(kinds)
        self._most_bytes = most_bytes
        self._at: tuple[int, int] | None = None  # device and inode of the last file
        self._offset = self._number = 0  # bytes and lines read of it
        self._tail = b""  # the last of these bytes

    def read(self) -> list[dict[str, Any]]:
        """Return the records that were written since the last call, without an unfinished line.

        Raises
        ------
        RunFolderError
            A line is damaged, or of a later version of the log.
        """
        records: list[dict[str, Any]] = []
        full, active = open_log(self._run, self._name)
        with ExitStack() as stack:
            files: list[tuple[Path, BinaryIO | None]] = [(path, None) for path in full]
            if active is not None:
                files.append((self._run / f"{self._name}.jsonl", stack.enter_context(active)))
            start = self._find(files)
            self.restarted = start is None and self._at is not None
            if start is None:
                start = self._begin(files)
            for path, file in files[start:]:
                with _opened(path, file) as opened:
                    if opened is not None:
                        records.extend(self._read_on(path, opened))
        return records

    def _find(self, files: list[tuple[Path, BinaryIO | None]]) -> int | None:
        """Return the index of the last file read; None if it was deleted or cut back."""
        for place, (path, file) in enumerate(files):
            if self._at is not None and _identity(path, file) == self._at:
                with _opened(path, file) as opened:
                    if opened is None:
                        return None
                    opened.seek(self._offset - len(self._tail))
                    return place if opened.read(len(self._tail)) == self._tail else None
        return None

    def _begin(self, files: list[tuple[Path, BinaryIO | None]]) -> int:
        """Return the index of the file to start with, and set the position in it."""
        self._enter(None)
        if self._most_bytes is None:
            return 0
        after = 0
        for place in reversed(range(len(files))):
            with _opened(*files[place]) as opened:
                if opened is not None:
                    size = os.fstat(opened.fileno()).st_size
                    if after + size > self._most_bytes:
                        self._skip(opened, size - (self._most_bytes - after))
                        return place
                    after += size
        return 0

    def _skip(self, file: BinaryIO, least: int) -> None:
        """Set the position to the first line that starts after so many bytes."""
        self._enter(_identity(Path(), file))
        file.seek(0)
        while self._offset < least - 1:
            block = file.read(min(_BLOCK, least - 1 - self._offset))
            self._take(block, block.count(b"\n"))
        rest = file.readline(MOST_LINE)
        self._take(rest, rest.count(b"\n"))

    def _enter(self, identity: tuple[int, int] | None) -> None:
        self._at = identity
        self._offset = self._number = 0
        self._tail = b""

    def _take(self, data: bytes, lines: int) -> None:
        self._offset += len(data)
        self._number += lines
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]

    def _read_on(self, path: Path, file: BinaryIO) -> Iterator[dict[str, Any]]:
        identity = _identity(path, file)
        if identity != self._at:
            self._enter(identity)
        file.seek(self._offset)
        for line in each_line(file, path):
            if not line.endswith(b"\n"):
                return
            self._take(line, 1)
            kind = kind_of(line)
            if self._kinds is None or kind is None or kind in self._kinds:
                record = read_record(line, path, self._number, self._name)
                if self._kinds is None or record.get("kind") in self._kinds:
                    yield record


def _identity(path: Path, file: BinaryIO | None) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        found = path.lstat() if file is None else os.fstat(file.fileno())
        return found.st_dev, found.st_ino
    return None


def _opened(path: Path, file: BinaryIO | None) -> AbstractContextManager[BinaryIO | None]:
    """Open a file unless it is open; None if it was deleted."""
    if file is not None:
        return nullcontext(file)
    return open_segment(path) or nullcontext()
