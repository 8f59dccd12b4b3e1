"""Allocation of columns: in RAM, or in a file that the system pages in and out."""

from __future__ import annotations

import os
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def open_folder(storage: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder for the files of columns, created if necessary; None for RAM.

    Raises
    ------
    OSError
        It cannot be created or written to.
    """
    if storage is None:
        return None
    folder = Path(storage)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # fail now, not at the first row
        return folder


def allocate(folder: Path | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros; with a folder, in a file that no other process can see.

    The file has no name, so it is deleted with the array or the process, however that ends. Its
    blocks are reserved first, since a disk that fills up later would end the process.

    Raises
    ------
    OSError
        The disk does not have enough room.
    """
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if folder is None or not size:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS has none: nothing is reserved there
                file.truncate(size)
        except OSError as error:
            reason = f"storage: {size:,} bytes cannot be reserved: {error.strerror}"
            raise OSError(error.errno, reason, str(folder)) from None
        mapped = np.memmap(file, dtype, mode="r+", shape=shape)
    return mapped.view(np.ndarray)  # a plain array: memmap's own methods cost on every slice
