"""Streams from NumPy's ``.npz`` files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.arrays import ArraySource
from streamreplay.ingest.labels import Labels

__all__ = ["open_npz"]

_OPTIONAL = ("task", "experience", "id", "time")


def open_npz(  # noqa: PLR0913 - keywords, each an array of its own
    path: str | Path,
    *,
    x: str = "x",
    y: str | None = "y",
    task: str = "task",
    experience: str = "experience",
    id: str = "id",
    time: str = "time",
    batch_size: int = 32,
    limit: int | None = None,
    labels: Labels | None = None,
    allow_nan: bool = False,
) -> ArraySource:
    """Open the arrays in an ``.npz`` file as a stream. See `ArraySource` for what each may hold.

    Parameters
    ----------
    path : str or Path
    x : str
        The name of the features' array.
    y : str or None
        The name of the labels' array; None or "" if there is none.
    task, experience, id, time : str
        Names of further arrays. Each may be absent if it is called what it is for.
    batch_size, limit, labels, allow_nan
        As in `ArraySource`.

    Raises
    ------
    ConfigError
        An array that was asked for is not there, or the arrays do not fit one another.
    SourceError
        The file cannot be read.
    """
    names = {"x": x, "task": task, "experience": experience, "id": id, "time": time}
    if y:
        names["y"] = y
    arrays = _read(Path(path), names)
    try:
        return ArraySource(
            **arrays, batch_size=batch_size, limit=limit, labels=labels, allow_nan=allow_nan
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{Path(path).name}: {error}") from None


def _read(path: Path, names: dict[str, str]) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as raw:  # opened here: NumPy leaves it open if it is damaged
            if not zipfile.is_zipfile(raw):  # NumPy would take it for a pickle, and advise so
                raise SourceError(
                    f"{path.name}: not a readable .npz file (no zip archive, or cut short)"
                )
            raw.seek(0)
            file = np.load(raw, allow_pickle=False)
            return {key: file[name] for key, name in _wanted(path, file.files, names).items()}
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{path.name}: not a readable .npz file ({error})") from None


def _wanted(path: Path, present: list[str], names: dict[str, str]) -> dict[str, str]:
    wanted = {key: name for key, name in names.items() if name in present}
    for key, name in names.items():
        if key not in wanted and not (key in _OPTIONAL and key == name):
            raise ConfigError(
                f"{path.name}: {key} is array {name!r}, but the file has "
                f"{', '.join(present) or 'none'}"
            )
    return wanted
