"""The lines of a log, for tests that look into the files of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamreplay.log.lines import number_lines

__all__ = ["log_lines"]


def log_lines(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the whole lines of a log; none if it does not exist."""
    return (line for _, _, line in number_lines(folder, name, missing_ok=True))
