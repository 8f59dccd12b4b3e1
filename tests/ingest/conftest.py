"""What the tests of all sources share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file: lines to be joined, or bytes as they are."""

    def write_file(content: Iterable[str] | bytes, name: str = "rows") -> Path:
        path = tmp_path / name
        if not isinstance(content, bytes):
            content = "".join(f"{line}\n" for line in content).encode()
        path.write_bytes(content)
        return path

    return write_file


class Pipe:
    """A pipe with a path to read it from."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.path = f"/dev/fd/{self.reader}"

    def write(self, data: bytes) -> None:
        os.write(self.writer, data)

    def end(self) -> None:
        os.close(self.writer)
        self.writer = -1

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def new_pipe() -> Iterator[Callable[[], Pipe]]:
    pipes: list[Pipe] = []

    def make() -> Pipe:
        pipes.append(Pipe())
        return pipes[-1]

    yield make
    for pipe in pipes:
        pipe.close()


def plain(value: Any) -> Any:
    """Turn a batch or a state into something that `==` compares exactly."""
    if isinstance(value, Batch):
        return {name: plain(column) for name, column in value.columns().items()}
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


@pytest.fixture(scope="session")
def exact() -> Callable[[Any], Any]:
    return plain
