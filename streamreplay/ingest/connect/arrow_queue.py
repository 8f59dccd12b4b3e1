"""Record batches that were read and are not consumed yet, and rows that are compared again."""

from __future__ import annotations

import zlib
from collections import deque
from typing import Any

from streamreplay.errors import SourceError
from streamreplay.ingest.decode.row_digest import RowDigest
from streamreplay.state import State


class RowQueue:
    """The rows of record batches, from the first that is not consumed on.

    Examples
    --------
    >>> import pyarrow as pa
    >>> queue = RowQueue()
    >>> queue.feed(pa.record_batch({"a": [1, 2, 3]}), 0, 5.0)
    >>> _ = queue.consume(1)
    >>> len(queue), queue.peek(1, 10)[0].to_pydict(), queue.arrival
    (2, {'a': [3]}, 5.0)
    """

    def __init__(self) -> None:
        self._parts: deque[tuple[Any, int, float]] = deque()  # each with its file, and when it came
        self._gone = 0  # rows of the first one that are consumed
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def arrival(self) -> float:
        """When the first row came."""
        return self._parts[0][2]

    def feed(self, rows: Any, file: int, now: float) -> None:
        """Append the rows of a record batch of a file that came at the time ``now``."""
        if rows.num_rows:
            self._parts.append((rows, file, now))
            self._rows += rows.num_rows

    def peek(self, start: int, most: int) -> list[Any]:
        """Return rows from row ``start`` on, at most so many, as they came."""
        return [rows for rows, _ in self.peek_with_files(start, most)]

    def peek_with_files(self, start: int, most: int) -> list[tuple[Any, int]]:
        """Return what `peek` does, each with its file."""
        found, skip = [], start + self._gone
        for rows, file, _ in self._parts:
            if most <= 0:
                break
            if skip >= rows.num_rows:
                skip -= rows.num_rows
                continue
            part = rows.slice(skip, most)
            found.append((part, file))
            most -= part.num_rows
            skip = 0
        return found

    def consume(self, n: int) -> list[tuple[Any, int]]:
        """Remove the first n rows; return them, each batch with its file."""
        found = self.peek_with_files(0, n)
        self._gone += n
        self._rows -= n
        while self._parts and self._gone >= self._parts[0][0].num_rows:
            self._gone -= self._parts.popleft()[0].num_rows
        return found


class RowCheck:
    """Compares the first rows of a stream with those that were learned from.

    Parameters
    ----------
    name : str
        What messages call the stream.
    rows, wanted : int
        How many were learned from, and the value of their `RowDigest`.
    """

    def __init__(self, name: str, rows: int, wanted: int) -> None:
        self._name = name
        self._rows = self._left = rows
        self._wanted = wanted
        self._digest = RowDigest()

    def over(self, rows: Any) -> Any:
        """Return those of the next rows that are behind the compared ones.

        Raises
        ------
        SourceError
            They are not those that were learned from.
        """
        if not self._left:
            return rows
        self._digest.add(rows.slice(0, self._left))
        self._left -= (gone := min(self._left, rows.num_rows))
        if not self._left and self._digest.value() != self._wanted:
            raise SourceError(
                f"{self._name}: not the rows that were learned from: they differ somewhere in the "
                f"first {self._rows}"
            )
        return rows.slice(gone)

    def end(self) -> None:
        """Raise `SourceError` if the stream has ended too early."""
        if self._left:
            raise SourceError(
                f"{self._name}: ends after {self._rows - self._left} rows, but {self._rows} rows "
                "were learned from: it is not the same stream from its start"
            )

    @property
    def done(self) -> bool:
        """Whether all rows were compared."""
        return not self._left


class LearnedRows:
    """The rows of each file that are consumed: how many, and their digest."""

    def __init__(self) -> None:
        self._files: list[tuple[int, RowDigest]] = []

    def add(self, rows: Any, file: int) -> None:
        """Add rows of a file: of the last one, or a later one."""
        while len(self._files) <= file:
            self._files.append((0, RowDigest()))
        n, digest = self._files[file]
        digest.add(rows)
        self._files[file] = n + rows.num_rows, digest

    def values(self) -> list[tuple[int, int]]:
        """Return for each file the number of rows and the value of their digest."""
        return [(n, digest.value()) for n, digest in self._files]

    def state_dict(self) -> State:
        """Return everything by file, and one number for all of it."""
        files = [
            {"rows": n, "crc": digest.value(), "digest": digest.state_dict()}
            for n, digest in self._files
        ]
        return {"crc": zlib.crc32(repr(self.values()).encode()), "files": files}

    def load_state_dict(self, state: State) -> None:
        """Load a state."""
        self._files = []
        for saved in state["files"]:
            self._files.append((int(saved["rows"]), RowDigest()))
            self._files[-1][1].load_state_dict(saved["digest"])
