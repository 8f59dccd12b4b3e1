"""Files of run folders, and whether two folders hold the same."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from pathlib import Path

from benchmarks.same_output.job import Same


def unlike(folder: Path, same: Same) -> Iterator[str]:
    """Yield the files of two run folders of a job that must not differ and do."""
    one, other = (_chosen(folder / name, same) for name in (same.one, same.other))
    for name in sorted({*one, *other}):
        if one.get(name) != other.get(name):
            yield f"{same.other}/{name} is not {same.one}/{name}"


def _chosen(folder: Path, same: Same) -> dict[str, bytes]:
    """Return the files of a run folder that must be the same in both, by name."""

    def match(name: str, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(name, each) for each in patterns)

    found = {str(path.relative_to(folder)): path for path in files_of(folder)}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if match(name, same.files) and not match(name, same.without)
    }


def files_of(folder: Path) -> list[Path]:
    """Return all files of a folder and its subfolders, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
