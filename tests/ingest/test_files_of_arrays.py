"""`.npz` and IDX files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamreplay.ingest
from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest import open_dataset, open_idx, open_npz

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
DIGITS = np.array([7, 0, 7, 3], np.uint8)


def idx(array: Any, kind: int = 8) -> bytes:
    shape = array.shape
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + bytes(array.tobytes())


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, x=IMAGES, y=DIGITS, id=np.array(list("abcd")), experience=[0, 0, 1, 1])
    first, second = open_npz(path)
    assert first.x.tolist() == IMAGES[:2].tolist()
    assert (first.y.tolist(), second.y.tolist()) == ([0, 1], [0, 2])
    assert second.id is not None
    assert second.id.tolist() == ["c", "d"]


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.object_])
def test_minus_one_is_no_label(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "rows.npz"
    y: Any = np.array([-1, 1, -1, 0]).astype(dtype)
    if dtype is not np.object_:  # which would be a pickle
        np.savez(path, x=IMAGES, y=y)
        source = open_npz(path)
        assert [b.y.tolist() for b in source] == [[-1, 0, -1, 1]]
        assert source.labels.names == [1, 0]
    (batch,) = open_dataset([*zip(IMAGES.astype(np.float32), y, strict=True)])
    assert (batch.y.tolist(), batch.labels and batch.labels.names) == ([-1, 0, -1, 1], [1, 0])


def test_npz_arrays_may_be_renamed_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez_compressed(path, data=IMAGES, target=DIGITS)
    (batch,) = open_npz(path, x="data", y="target", limit=3)
    assert batch.y.tolist() == [0, 1, 0]
    (batch,) = open_npz(path, x="data", y=None)
    assert batch.y.tolist() == [-1] * 4
    with pytest.raises(
        ConfigError,
        match=r"^rows.npz: x is array 'x', but .* has data, target; set it with --features$",
    ):
        open_npz(path)
    with pytest.raises(ConfigError, match=r"^rows.npz: y is array 'y', but"):
        open_npz(path, x="data")
    with pytest.raises(ConfigError, match=r"^rows.npz: id is array 'key', but"):
        open_npz(path, x="data", y="target", id="key")


def test_npz_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with pytest.raises(SourceError, match=r"rows.npz: cannot be read: No such file"):
        open_npz(path)
    np.savez(path, x=IMAGES, y=DIGITS[:3])
    with pytest.raises(ConfigError, match=r"^rows.npz: y must have shape \(4,\)"):
        open_npz(path)
    np.savez(path, x=np.array([[1], ["a"]], object), y=DIGITS)
    with pytest.raises(SourceError, match=r"^rows.npz: not a readable .npz file"):
        open_npz(path)
    good = path.read_bytes()
    for content in (b"", b"text", good[: len(good) // 2]):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"^rows.npz: not a readable .npz file") as error:
            open_npz(path)
        assert "pickle" not in str(error.value)  # NumPy's advice is to load it unsafely
    with path.open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(SourceError, match=r"^rows.npz: not a readable .npz file"):
        open_npz(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "t-images-idx3-ubyte").write_bytes(pack(idx(IMAGES)))
    (tmp_path / "t-labels-idx1-ubyte").write_bytes(pack(idx(DIGITS)))
    source = open_idx(tmp_path / "t-images-idx3-ubyte", batch_size=3)
    batches = list(source)
    assert np.concatenate([b.x for b in batches]).tolist() == IMAGES.tolist()
    assert (batches[0].x.dtype, batches[0].x.flags.writeable) == (np.dtype(np.uint8), True)
    assert [b.y.tolist() for b in batches] == [[0, 1, 0], [2]]
    assert source.labels.names == [7, 0, 3]
    (batch,) = open_idx(tmp_path / "t-images-idx3-ubyte", False)
    assert batch.y.tolist() == [-1] * 4


def test_idx_of_other_types(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for kind, dtype in [(9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]:
        images.write_bytes(idx(IMAGES.astype(dtype), kind))
        (batch,) = open_idx(images, False)
        assert batch.x.dtype == np.float32
        assert batch.x.tolist() == IMAGES.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "images: not an IDX file: byte 0 .* got nothing"),
        (b"\x01\x00\x08\x03", "images: not an IDX file: byte 0 .* got 01 00 08 03"),
        (b"\x00\x00\x07\x03", "images: not an IDX file"),
        (idx(IMAGES)[:10], "images: ends at byte 10, inside its header of 16"),
        (idx(IMAGES)[:-1], r"images: ends at byte 39, but its header \[4, 2, 3\] promises 40"),
        (idx(IMAGES) + b"x", r"images: ends at byte 41, but its header \[4, 2, 3\] promises 40"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-4], "images: the compressed data end too early, at"),
        (idx(DIGITS), r"images: holds no images, but an array of shape \[4\]"),
    ],
)
def test_idx_files_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(SourceError, match=f"^{message}"):
        open_idx(tmp_path / "images", False)


def test_idx_labels_that_do_not_fit(tmp_path: Path) -> None:
    images, labels = tmp_path / "a-images-idx3-ubyte", tmp_path / "a-labels-idx1-ubyte"
    images.write_bytes(idx(IMAGES))
    with pytest.raises(SourceError, match="labels-idx1-ubyte: cannot be opened: No such file"):
        open_idx(images)
    labels.write_bytes(idx(DIGITS[:2]))
    with pytest.raises(ConfigError, match=r"labels of shape \[2\] for 4 images"):
        open_idx(images)
    with pytest.raises(ConfigError, match=r"^plain: give the file with its labels"):
        open_idx(images.rename(tmp_path / "plain"))


def test_the_public_names_are_sorted_and_there() -> None:
    names = streamreplay.ingest.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(streamreplay.ingest, name) for name in names)


def test_images_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    images = np.ones((4, 2, 3), ">f4")
    images[2, 1, 1] = np.nan
    (tmp_path / "x-images-idx3-float").write_bytes(idx(images, 0x0D))
    (tmp_path / "y").write_bytes(idx(DIGITS))
    with pytest.raises(ConfigError, match=r"x-images-idx3-float: x must be finite .* row 2 is not"):
        open_idx(tmp_path / "x-images-idx3-float", tmp_path / "y")
    np.savez(tmp_path / "rows.npz", x=images.astype(np.float32), y=DIGITS)
    with pytest.raises(ConfigError, match=r"rows\.npz: x must be finite .* row 2 is not"):
        open_npz(tmp_path / "rows.npz")


@pytest.mark.parametrize(("place", "value"), [(10, 99), (10, 14), (8, 1)])
def test_npz_that_zip_cannot_unpack(tmp_path: Path, place: int, value: int) -> None:
    """Of an unknown compression, of one that it is not, encrypted."""
    path = tmp_path / "rows.npz"
    np.savez_compressed(path, x=IMAGES, y=DIGITS)
    data = bytearray(path.read_bytes())
    at = -1
    for _ in ("x", "y"):
        at = data.index(b"PK\1\2", at + 1)  # an entry of the directory at the end
        data[at + place] = value
        local = int.from_bytes(data[at + 42 : at + 46], "little")
        data[local + place - 2] = value
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"rows\.npz: not a readable \.npz file"):
        list(open_npz(path))
