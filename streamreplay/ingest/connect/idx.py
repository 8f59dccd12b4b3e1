"""Streams from IDX files, as MNIST comes in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.byte_stream import open_bytes, source_name
from streamreplay.labels import Labels

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def open_idx(
    images: str | Path,
    labels: str | Path | bool | None = None,  # noqa: FBT001 - false stands for "none"
    *,
    batch_size: int = 32,
    limit: int | None = None,
    names: Labels | None = None,
) -> ArraySource:
    """Open images and their labels as a stream. The files may be compressed.

    Parameters
    ----------
    images : str or Path
        ``uint8[n, height, width]`` as a rule.
    labels : str or Path or False, optional
        Left out: the file next to the images whose name has ``labels-idx1`` for ``images-idx3``.
        False if there are none.
    batch_size, limit
        As in `ArraySource`.
    names : Labels, optional
        Label names known from the start.

    Raises
    ------
    SourceError
        A file cannot be read, is not IDX, or is cut short.
    ConfigError
        The label file's name cannot be told, or it has another number of labels.

    Examples
    --------
    ::

        stream = split_by_class(open_idx("train-images-idx3-ubyte.gz"), 5)
    """
    path = Path(images)
    x = _read(images)
    if x.ndim < 2:
        raise SourceError(f"{path.name}: holds no images, but an array of shape {list(x.shape)}")
    y = None
    if labels is not False:
        label_path = _labels_next_to(path) if labels is None or labels is True else Path(labels)
        y = _read(label_path)
        if y.shape != x.shape[:1]:
            raise ConfigError(
                f"{label_path.name}: holds labels of shape {list(y.shape)} for {len(x)} images"
            )
    try:
        return ArraySource(x, y, batch_size=batch_size, limit=limit, labels=names)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{Path(path).name}: {error}") from None


def shows_idx(first: bytes) -> bool | None:
    """Return whether data that begin with some bytes are IDX; None: more are needed."""
    if len(first) < 4:
        return None if b"\0\0".startswith(first[:2]) else False
    return first[:2] == b"\0\0" and first[2] in _TYPES and 0 < first[3] < 9


def _labels_next_to(images: Path) -> Path:
    if "images-idx3" not in images.name:
        raise ConfigError(
            f"{images.name}: give the file with its labels: without 'images-idx3' in the name it "
            "cannot be told"
        )
    return images.with_name(images.name.replace("images-idx3", "labels-idx1"))


def _read(path: str | Path) -> NDArray[Any]:
    data, name = _bytes(path), source_name(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or not data[3]:
        raise SourceError(
            f"{name}: not an IDX file: byte 0 should begin 00 00, a type and a number of "
            f"dimensions, got {data[:4].hex(' ') or 'nothing'}"
        )
    dtype, dims = np.dtype(_TYPES[data[2]]), data[3]
    start = 4 + 4 * dims
    if len(data) < start:
        raise SourceError(f"{name}: ends at byte {len(data)}, inside its header of {start}")
    shape = tuple(np.frombuffer(data, ">u4", dims, 4).tolist())
    end = start + math.prod(shape) * dtype.itemsize
    if len(data) != end:
        raise SourceError(
            f"{name}: ends at byte {len(data)}, but its header {list(shape)} promises {end}"
        )
    values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _bytes(path: str | Path) -> bytearray:
    stream = open_bytes(path)
    try:
        data = bytearray()  # arrays over it can be written to, which torch wants
        while (part := stream.read()) is not None:
            data += part
        return data
    finally:
        stream.close()
