"""Rows in memory-mapped files, and budgets in bytes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ReservoirSamplingBuffer,
)
from streamreplay.errors import ConfigError
from tests.contract.digest import plain

KINDS: list[Any] = [
    ReservoirSamplingBuffer,
    ClassBalancedBuffer,
    lambda size, seed, **more: DecayedReservoirBuffer(size, 20, seed, **more),
    lambda size, seed, **more: ClassBalancedBuffer(size, seed, ttl=60, **more),
]


def images(n: int, start: int = 0, **columns: Any) -> Batch:
    x = np.random.default_rng(start).integers(0, 256, (n, 2, 3), np.uint8)
    return Batch.from_arrays(x, np.arange(start, start + n) % 3, start=start, **columns)


def drive(buffer: ExemplarsBuffer) -> list[Any]:
    """Do everything that moves, widens or reallocates columns; return what could be seen."""
    seen = []
    for turn, n in enumerate([1, 5, 30, 1, 100, 40]):
        start = 1000 * turn
        ids = [f"{'x' * turn}{row}" for row in range(n)]
        time = np.arange(start, start + n) if turn > 2 else None
        for rehearsal in buffer([images(n, start, id=ids, time=time)]):
            seen += [plain(rehearsal.memory.stored), plain(rehearsal.memory.groups("class").order)]
        if turn == 2:
            buffer.forget(where=lambda rows: rows.t % 4 == 0)
        if turn in (3, 4):
            buffer.resize(15 + 10 * turn, refill=turn == 4)
        seen += [plain(buffer.state_dict()), buffer.nbytes]
        if len(buffer):
            seen.append(plain(buffer.sample(5, by="class")))
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_mapped_is_as_in_ram_bit_for_bit(tmp_path: Path, kind: Any) -> None:
    mapped = kind(20, 0, storage=tmp_path)
    assert drive(mapped) == drive(kind(20, 0))
    assert mapped.buffer.x.dtype == np.uint8
    fresh = kind(mapped.max_size, 1, storage=tmp_path)
    fresh.load_state_dict(mapped.state_dict())
    assert plain(fresh.state_dict()) == plain(mapped.state_dict())
    in_ram = kind(mapped.max_size, 1)
    in_ram.load_state_dict(mapped.state_dict())
    assert plain(in_ram.state_dict()) == plain(mapped.state_dict())


def test_it_is_in_a_file_there_that_nobody_can_see(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "for it"
    with mock.patch.object(np, "memmap", wraps=np.memmap) as made:
        buffer = ReservoirSamplingBuffer(20, storage=folder)
        buffer.update(images(50))
    assert made.call_count == len(buffer._store._columns) + len(buffer._store.extra)
    assert list(folder.iterdir()) == []
    assert type(buffer.buffer.x) is np.ndarray


def test_two_buffers_in_one_folder(tmp_path: Path) -> None:
    one, other = (ReservoirSamplingBuffer(20, seed, storage=tmp_path) for seed in (0, 1))
    for start in (0, 30, 60):
        one.update(images(30, start))
        other.update(images(30, start + 500))
    assert one.buffer.t.max() < 500 <= other.buffer.t.min()
    assert not np.shares_memory(one.buffer.x, other.buffer.x)


_CHILD = """
import sys, time
import numpy as np
from streamreplay.batch import Batch
from streamreplay.buffers import ReservoirSamplingBuffer
buffer = ReservoirSamplingBuffer(1000, storage=sys.argv[1])
buffer.update(Batch.from_arrays(np.ones((2000, 50)), [0] * 2000))
print("ready", flush=True)
time.sleep(60)
"""


def test_nothing_is_left_of_a_process_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(OSError, match="file"):
        ReservoirSamplingBuffer(5, storage=path)


def test_a_folder_in_which_nothing_can_be_made_is_refused_at_once(tmp_path: Path) -> None:
    """Said when the buffer is built, and not at the first row."""
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    with (
        mock.patch("tempfile.TemporaryFile", side_effect=refused),
        pytest.raises(OSError, match=r"Permission denied: .*" + tmp_path.name),
    ):
        ReservoirSamplingBuffer(5, storage=tmp_path)


def test_a_disk_without_room_is_an_error_and_not_a_killed_process(tmp_path: Path) -> None:
    buffer = ReservoirSamplingBuffer(50, storage=tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        mock.patch.object(os, "posix_fallocate", side_effect=full),
        pytest.raises(OSError, match=r"storage: 300 bytes cannot be reserved: No space left") as at,
    ):
        buffer.update(images(9))
    assert at.value.errno == errno.ENOSPC
    assert at.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []
    buffer.update(images(9))  # there is room again
    assert len(buffer) == 9


def test_a_system_that_cannot_reserve_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    buffer = ReservoirSamplingBuffer(20, 0, storage=tmp_path)
    plain_one = ReservoirSamplingBuffer(20, 0)
    for each in (buffer, plain_one):
        each.update(images(90))
    assert plain(buffer.state_dict()) == plain(plain_one.state_dict())


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("chunk", [1, 30])
def test_max_bytes_is_never_exceeded(tmp_path: Path, chunk: int, mapped: bool) -> None:
    """Also when ids become longer than they were at the first row, and columns are added."""
    buffer = ReservoirSamplingBuffer(max_bytes=5000, storage=tmp_path if mapped else None)
    assert buffer.max_size == 0
    sizes = []
    for start in range(0, 240, chunk):
        ids = [f"{row:0{1 + start // 10}}" for row in range(start, start + chunk)]
        time = np.arange(chunk) if start >= 120 else None
        buffer.update(images(chunk, start, id=ids, time=time))
        assert buffer.nbytes <= 5000
        sizes.append(buffer.max_size)
    assert sizes[0] > 50 > sizes[-1] > 10
    assert sizes == sorted(sizes, reverse=True)
    assert len(buffer) == buffer.max_size
    row = buffer.nbytes / buffer.max_size
    assert buffer.nbytes + row > 5000
    assert buffer.uniform_since == 0


def test_a_budget_that_holds_no_row() -> None:
    buffer = ReservoirSamplingBuffer(max_bytes=10)
    with pytest.raises(ConfigError, match=r"^max_bytes must hold a row of 54 bytes, got 10$"):
        buffer.update(images(3))
    with pytest.raises(
        ValueError, match=r"^exactly one of max_size and max_bytes must be given, got .* and .*$"
    ):
        ReservoirSamplingBuffer(5, max_bytes=10)
    with pytest.raises(ValueError, match=r"^max_bytes must be at least 1, got 0$"):
        ReservoirSamplingBuffer(max_bytes=0)


def test_a_budget_is_resumed() -> None:
    whole, resumed = (ReservoirSamplingBuffer(max_bytes=3000, seed=0) for _ in range(2))
    whole.update(images(200))
    resumed.load_state_dict(whole.state_dict())
    for buffer in (whole, resumed):
        buffer.update(images(100, 200))
    assert plain(whole.state_dict()) == plain(resumed.state_dict())
    assert resumed.nbytes <= 3000


@pytest.mark.parametrize("given", [[[1.0]], np.zeros((3, 2)), {"x": 1}, None])
def test_only_a_batch_can_be_offered(given: Any) -> None:
    name = type(given).__name__
    with pytest.raises(TypeError, match=f"^update takes a Batch, got {name}: build one with Batch"):
        ReservoirSamplingBuffer(5).update(given)
