"""Find the files next to a log that were rotated from it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_NUMBERED = r"[.-]\d[\d.T:_-]*(\.(gz|zst|bz2|xz))?"


def rotated_files(path: str) -> list[str]:
    """Return the files next to a log that were rotated from it, the one written last at the end.

    Their names are the log's with a number or a date behind: ``app.log.1``, ``app.log-20260131``;
    they may be compressed.
    """
    log = Path(path)
    pattern = re.compile(re.escape(log.name) + _NUMBERED)
    with os.scandir(log.parent) as entries:
        found = [entry for entry in entries if pattern.fullmatch(entry.name) and entry.is_file()]
    return [each.path for each in sorted(found, key=lambda each: each.stat().st_mtime_ns)]


def written_after(path: str, other: os.stat_result) -> list[str]:
    """Return the files rotated from a log that were written after another one of them, in order."""
    found = []
    for name in rotated_files(path):
        status = Path(name).stat()
        same = (status.st_dev, status.st_ino) == (other.st_dev, other.st_ino)
        if status.st_mtime_ns > other.st_mtime_ns and not same:
            found.append(name)
    return found
