"""The files of a stream, one after the other."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from streamreplay.errors import SourceError
from streamreplay.ingest.connect.byte_stream import source_name
from streamreplay.ingest.connect.rotation import rotated_files
from streamreplay.ingest.connect.text import TextDecoder
from streamreplay.ingest.connect.text_stream import TextStream
from streamreplay.ingest.decode.lines import Position
from streamreplay.state import State

Paths: TypeAlias = "str | Path | Sequence[str | Path]"
"""Files, folders and glob patterns; a string or a path, or several in order."""


def files_of(paths: Paths) -> list[str]:
    """Return the files of a stream: those of a folder or a pattern in the order of their names.

    Hidden files in a folder are left out.

    Raises
    ------
    SourceError
        A folder has no files, or a pattern matches none; or no path is given.

    Examples
    --------
    >>> files_of("rows.csv"), files_of(["a.csv", "-"])
    (['rows.csv'], ['a.csv', '-'])
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    found = [file for path in given for file in _files(path)]
    if not found:
        raise SourceError("source.path: give at least one file, got none")
    return found


def _files(given: str | Path) -> list[str]:
    path = given if isinstance(given, str) else str(given)
    if os.path.isdir(path):  # noqa: PTH112 - names may be no UTF-8, as they are
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))  # noqa: PTH208
        files = [os.path.join(path, name) for name in names]  # noqa: PTH118
        files = [file for file in files if not os.path.isdir(file)]  # noqa: PTH112
        if not files:
            raise SourceError(f"{path}: is a folder without files")
        return files
    if glob.has_magic(path) and not os.path.lexists(path):
        files = sorted(glob.glob(path, recursive=True))  # noqa: PTH207
        if not files:
            raise SourceError(f"{path}: matches no file")
        return files
    return [path]


def source_names(paths: Paths) -> str:
    """Return what messages call the files of a stream.

    Examples
    --------
    >>> source_names("a/rows.csv"), source_names(["a.csv", "b.csv", "-"])
    ('rows.csv', 'a.csv and 2 more')
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    more = f" and {len(given) - 1} more" if len(given) > 1 else ""
    return source_name(given[0]) + more


class SourceFiles:
    """The files of a stream, opened in order, and compared with those that were learned from.

    Standard input before the last place is a pipe that has ended.

    Parameters
    ----------
    paths : str or Path, or sequence of str or Path
    new_text : callable
        Returns what turns the bytes of a file into text.
    """

    def __init__(self, paths: Paths, new_text: Callable[[], TextDecoder]) -> None:
        self._given = paths
        self.paths = files_of(paths)
        self.rotated: dict[int, str] = {}  # files that no longer have their names, by their place
        self._new_text = new_text
        self._ends: list[Position] = []  # up to where files must be the same as before

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, file: int) -> str:
        """Return what messages call a file."""
        return source_name(self.paths[min(file, len(self) - 1)])

    def find_more(self) -> bool:
        """Take in new files of folders and patterns; return whether there were any.

        Raises
        ------
        SourceError
            One comes before others, which may have been read.
        """
        known = [path for place, path in enumerate(self.paths) if place not in self.rotated]
        try:
            found = files_of(self._given)
        except SourceError:
            return False  # the only file is being renamed
        if found == known[:-1]:
            return False  # so is the last one
        if found[: len(known)] != known:
            pairs = zip(found, known, strict=False)
            new = next((new for new, old in pairs if new != old), "none")
            raise SourceError(
                f"{self.paths[-1]}: is file {len(self)}, and files before it have changed: "
                f"found {new}"
            )
        more = found[len(known) :]
        self._check_not_rotated(known, more)
        self.paths += more
        return bool(more)

    def _check_not_rotated(self, known: Sequence[str], more: Sequence[str]) -> None:
        old = {name: path for path in known if more for name in rotated_files(path)}
        for name in more:
            if name in old:
                raise SourceError(
                    f"{name}: was rotated from {old[name]}, and would be read again with its "
                    "folder: follow the file by its name"
                )

    def turn_over(self, file: int, now: str, behind: Sequence[str]) -> None:
        """Read a file from where it is now, then others, and last what has its name.

        Parameters
        ----------
        file : int
            It, or one that was rotated, followed by others up to the file with the name.
        now : str
            The path that it has.
        behind : sequence of str
            The paths of files that were rotated after it.
        """
        path = self.paths[-1]
        self.paths[file:] = [now, *behind, path]
        places = range(file, len(self) - 1)
        self.rotated = {place: name for place, name in self.rotated.items() if place < file}
        self.rotated |= {place: self.paths[place] for place in places}

    def restore(self, rotated: Iterable[tuple[int, str]]) -> None:
        """Put files that no longer have their names into their places, as a state has them."""
        self.rotated = {int(place): str(path) for place, path in rotated}
        for place, path in sorted(self.rotated.items()):
            self.paths.insert(place, path)

    def has_ended(self, file: int) -> bool:
        """Return whether a file is a pipe that cannot be read any more."""
        return self.paths[file] == "-" and file < len(self) - 1

    def compare_up_to(self, end: State) -> None:
        """Compare files, when they are opened, with those read to the state of a source."""
        self._ends = [*positions(end["files"]), Position.of(end)]

    def check_before(self, at: Position, read: Sequence[Position], names: Sequence[str]) -> None:
        """Compare the files before a position with those that were learned from.

        Raises
        ------
        SourceError
            One is missing, or differs.
        """
        for file, (name, to) in enumerate(zip(names, read, strict=True)):
            if file >= len(self) or self.name(file) != name:
                found = "none" if file >= len(self) else self.name(file)
                raise SourceError(
                    f"{name}: was learned from as file {file + 1}, but that is {found} now"
                )
            if self.paths[file] != "-" and file not in self.rotated:
                self._check(file, to)
        if at.file >= len(self):
            raise SourceError(f"{at.file + 1} files were learned from, and there are {len(self)}")

    def open_unread(self, file: int) -> TextStream:
        """Open a file at its beginning."""
        return self.open(os.devnull if self.has_ended(file) else self.paths[file])

    def open(self, path: str) -> TextStream:
        """Open a file that is of the stream by its path."""
        return TextStream(path, self._new_text)

    def go_to(self, stream: TextStream, file: int, at: Position) -> None:
        """Go to a position in an opened file, and compare what is before it."""
        stream.go_to(at, self._ends[file] if file < len(self._ends) else None)

    def _check(self, file: int, to: Position) -> None:
        stream = self.open_unread(file)
        if stream.bytes.reopens:
            stream.go_to(to, None)
            while not stream.ended:
                if stream.decode(stream.bytes.read()):
                    raise SourceError(
                        f"{stream.name}: has grown since it was learned from to its end"
                    )
        stream.bytes.close()


def positions(states: Iterable[State]) -> list[Position]:
    """Return the positions at the ends of files, as a state has them."""
    return [Position.of(state) for state in states]
