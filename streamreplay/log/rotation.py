"""Logs of JSON lines that rotate, and that can be cut back to where they were at a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from streamreplay.errors import RunFolderError
from streamreplay.log.lines import rotated_files
from streamreplay.regular_files import exists, fsync_folder, open_to_append, open_to_read

_BLOCK = 1 << 20  # bytes read at a time to find a line's end


class Mark(NamedTuple):
    """A place in a log.

    Attributes
    ----------
    rotated : int
        Number of finished files before it.
    size : int
        Bytes in the next file.
    """

    rotated: int = 0
    size: int = 0


class JsonLines:
    """A log to which lines are appended, in one file or, with a size limit, in several.

    When the next line would exceed the limit, ``metrics.jsonl`` is renamed to
    ``metrics.000001.jsonl`` and a new ``metrics.jsonl`` is created. Where files end depends only on
    the lines, not on the calls of `write`. A line longer than the limit gets a file of its own.

    Parameters
    ----------
    path : Path
        Created if it does not exist.
    max_bytes : int
        Size limit of a file; 0 for none.

    Raises
    ------
    RunFolderError
        By any method: the file cannot be written.

    Attributes
    ----------
    end : Mark
        The place of the next line, whether or not the lines before it are on disk.
    """

    def __init__(self, path: Path, max_bytes: int = 0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        with self._named_errors():
            self._open(max(rotated_files(path), default=0))

    def _open(self, rotated: int) -> None:
        self._file = open_to_append(self.path)
        self.end = Mark(rotated, os.fstat(self._file.fileno()).st_size)

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
        """Return how many bytes fit into the active file; 0 if it has to be rotated."""
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
        """Make all written lines visible to other processes."""
        with self._named_errors():
            self._file.flush()

    def sync(self) -> Mark:
        """Write everything to disk, and return the place of the end."""
        with self._named_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self.end

    def cut(self, mark: Mark) -> None:
        """Delete everything after a mark.

        The file of the mark becomes the active one again. Later files are deleted, newest first, so
        that the log can be cut again if the process dies in between.

        Raises
        ------
        RunFolderError
            The log ends before the mark.
        """
        if mark > self.end:
            raise RunFolderError(
                f"{self.path}: has {_place_text(self.end)}, "
                f"the checkpoint was made at {_place_text(mark)}"
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
        size = was_active.lstat().st_size if exists(was_active) else -1
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
        """Delete an unfinished last line, which a full disk or a power failure may leave."""
        with self._named_errors(), open_to_read(self.path) as file:
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
        """Delete the finished files with numbers up to `upto`."""
        with self._named_errors():
            for number, path in rotated_files(self.path).items():
                if number <= upto:
                    path.unlink()

    def close(self) -> None:
        """Flush and close. Errors are ignored, since no checkpoint depends on the last lines."""
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


def _place_text(mark: Mark) -> str:
    return f"{mark.size} bytes" + (f" behind file {mark.rotated}" if mark.rotated else "")
