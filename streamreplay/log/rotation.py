"""Logs of JSON lines that can be taken back to where they were at a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from streamreplay.checkpoint import fsync_folder
from streamreplay.errors import RunFolderError
from streamreplay.log.lines import rotated_files

__all__ = ["JsonLines", "Mark"]

_BLOCK = 1 << 20  # bytes read at a time to find a line's end


class Mark(NamedTuple):
    """A place in a log.

    Attributes
    ----------
    rotated : int
        Files that were finished before it.
    size : int
        Bytes in the file after them.
    """

    rotated: int = 0
    size: int = 0


class JsonLines:
    """A log that grows at its end only, in one file or, with a limit, in one after the other.

    A file that the next line would take over the limit is finished: ``metrics.jsonl`` becomes
    ``metrics.000001.jsonl``, and a new ``metrics.jsonl`` begins. Where files end depends on the
    bytes written alone, never on how they came. A line longer than the limit has a file of its own.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    max_bytes : int
        Limit of a file; 0 for none.

    Raises
    ------
    RunFolderError
        From any method: the disk refuses.

    Attributes
    ----------
    end : Mark
        Where the next line goes, be those before it on the disk yet or not.
    """

    def __init__(self, path: Path, max_bytes: int = 0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        with self._named_errors():
            self._open(max(rotated_files(path), default=0))

    def _open(self, rotated: int) -> None:
        self._file = self.path.open("ab")
        self.end = Mark(rotated, self.path.stat().st_size)

    def write(self, lines: bytes) -> None:
        """Append whole lines."""
        with self._named_errors():
            while lines:
                n = self._fitting(lines)
                if n:
                    self._file.write(lines[:n])
                    self.end = Mark(self.end.rotated, self.end.size + n)
                    lines = lines[n:]
                else:
                    self._rotate()

    def _fitting(self, lines: bytes) -> int:
        """Return how many bytes go into the present file; 0 if it is finished."""
        room = self.max_bytes - self.end.size
        if not self.max_bytes or len(lines) <= room:
            return len(lines)
        n = lines.rfind(b"\n", 0, max(room, 0)) + 1
        if n or self.end.size:
            return n
        return lines.find(b"\n") + 1 or len(lines)

    def _rotate(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        number = self.end.rotated + 1
        self.path.rename(self._numbered(number))
        self._open(number)
        fsync_folder(self.path.parent)

    def flush(self) -> None:
        """Show what was written to other processes."""
        with self._named_errors():
            self._file.flush()

    def sync(self) -> Mark:
        """Bring everything to the disk, and return where it ends."""
        with self._named_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self.end

    def cut(self, mark: Mark) -> None:
        """Drop everything after a mark.

        The file that was written to then is written to again; those after it are deleted, the
        newest first: whoever dies meanwhile leaves what can be cut again.

        Raises
        ------
        RunFolderError
            The log ends before it.
        """
        if mark > self.end:
            raise RunFolderError(
                f"{self.path}: has {_say(self.end)}, the checkpoint was made at {_say(mark)}"
            )
        with self._named_errors():
            self._file.flush()
            if mark == Mark():
                self._file.truncate(0)
                for path in reversed(rotated_files(self.path).values()):
                    path.unlink()
            elif mark.rotated < self.end.rotated:
                self._take_back(mark)
            self._file.truncate(mark.size)
        self.end = mark

    def _take_back(self, mark: Mark) -> None:
        was_active = self._numbered(mark.rotated + 1)
        size = was_active.stat().st_size if was_active.exists() else -1
        if size < mark.size:
            raise RunFolderError(
                f"{was_active}: {f'has {size} bytes' if size >= 0 else 'is missing'}, "
                f"the checkpoint was made at {mark.size} bytes"
            )
        self._file.close()
        self.path.unlink()
        for number in range(self.end.rotated, mark.rotated + 1, -1):
            self._numbered(number).unlink(missing_ok=True)
        was_active.rename(self.path)
        fsync_folder(self.path.parent)
        self._open(mark.rotated)

    def mend(self) -> None:
        """Drop a last line that was not finished, as a full disk or lost power leaves it."""
        with self._named_errors(), self.path.open("rb") as file:
            self._file.flush()
            end = self.end.size
            while end:
                start = max(end - _BLOCK, 0)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                end = start + found + 1
                if found >= 0:
                    break
            if end < self.end.size:
                self._file.truncate(end)
                self.end = Mark(self.end.rotated, end)

    def drop(self, upto: int) -> None:
        """Delete the finished files with numbers up to one."""
        with self._named_errors():
            for number, path in rotated_files(self.path).items():
                if number <= upto:
                    path.unlink()

    def close(self) -> None:
        """Flush and close; what a full disk does not take was not promised by a checkpoint."""
        with suppress(OSError):
            self._file.close()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.{number:06d}{self.path.suffix}")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written: {error.strerror}") from error


def _say(mark: Mark) -> str:
    return f"{mark.size} bytes" + (f" behind file {mark.rotated}" if mark.rotated else "")
