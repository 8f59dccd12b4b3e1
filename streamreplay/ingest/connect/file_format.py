"""A file format that a job may name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreplay.ingest.connect.compression import SUFFIXES
from streamreplay.stage import Source


@dataclass(frozen=True)
class FileFormat:
    """How files of a format are opened, and known by their names.

    Attributes
    ----------
    open : callable
        Given a path, and as keywords those that it takes of the keys of a job's ``[source]`` and
        of ``on_dead``, ``stop``, ``strict`` and ``limit``. A class, whose sources read rows as they
        need them, or a function that reads all rows and returns an `ArraySource`.
    suffixes : tuple of str
        Ends of the names of such files, before ``.gz``, ``.zst``, ``.bz2`` or ``.xz``.
    shows : callable, optional
        Returns whether data that begin with some bytes, decompressed, are of this format; None if
        more bytes are needed. Left out: files are of this format if their names say so.
    """

    open: Callable[..., Source]
    suffixes: tuple[str, ...]
    shows: Callable[[bytes], bool | None] | None = None

    def matches(self, path: str) -> bool:
        """Return whether a file has one of the suffixes."""
        return bare_name(path).endswith(self.suffixes)

    @property
    def streams(self) -> bool:
        """Whether rows are read as they are needed; otherwise all are read when it is opened."""
        return isinstance(self.open, type)

    def taken(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of some keywords that ``open`` takes.

        Examples
        --------
        >>> def open_rows(path: str, *, limit: int | None = None) -> ArraySource: ...
        >>> FileFormat(open_rows, (".rows",)).taken({"limit": 5, "strict": True})
        {'limit': 5}
        """
        parameters = inspect.signature(self.open).parameters
        return {key: value for key, value in options.items() if key in parameters}


def bare_name(path: str) -> str:
    """Return the name of a file in lower case, without what says that it is compressed."""
    name = Path(path).name.lower()
    return next((name.removesuffix(each) for each in SUFFIXES if name.endswith(each)), name)
