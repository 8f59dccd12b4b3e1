"""A stream that is paused at its end, or at a limit, passes through the states of a longer one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.errors import SourceError
from streamreplay.features.schema import Schema
from streamreplay.ingest import CsvSource, JsonlSource, LineSource
from streamreplay.ingest.connect import line_reader
from streamreplay.ingest.decode import rows as pending_rows
from tests.ingest.test_resume import CSV_CASE, JSONL_CASE

Write = Callable[..., Path]
Exact = Callable[[Any], Any]
CASES = [JSONL_CASE, CSV_CASE]


def paused(source: LineSource) -> list[Any]:
    source.whole_batches = True
    batches = list(source)
    source.whole_batches = False
    return batches


def first_row() -> dict[str, Any]:
    """Return options for kinds that the first row decides."""
    return {"schema": Schema(infer_rows=1)}


def old(path: Path) -> Path:
    """Make a file look as if nobody wrote to it any more."""
    os.utime(path, (1, 1))
    return path


@settings(deadline=None)
@pytest.mark.parametrize("case", CASES)
@given(data=st.data(), size=st.integers(1, 4))
def test_a_file_read_too_early_and_completed_later(
    tmp_path_factory: pytest.TempPathFactory, exact: Exact, case: Any, data: Any, size: int
) -> None:
    make, lines, head = case
    content = head + b"\n".join(data.draw(st.lists(lines, max_size=14)))
    path = tmp_path_factory.mktemp("whole") / "rows"
    path.write_bytes(content)
    letters: list[Any] = []
    # kinds that only the end of the stream decides may be others when there is more
    want = [exact(batch) for batch in make(old(path), size, on_dead=letters.append, **first_row())]
    end = data.draw(st.integers(len(head), len(content)))
    path.write_bytes(content[:end])
    early: list[Any] = []
    first = make(old(path), size, on_dead=early.append, **first_row())
    found = [exact(batch) for batch in paused(first)]
    state, told = first.state_dict(), len(early)
    tail = [exact(batch) for batch in first]
    whole = make(path, size, **first_row())
    assert found + tail == [exact(batch) for batch in whole]
    assert exact(first.state_dict()) == exact(whole.state_dict())
    path.write_bytes(content)
    again = make(old(path), size, on_dead=early.append, **first_row())
    again.load_state_dict(state)
    del early[told:]
    assert found + [exact(batch) for batch in again] == want
    assert early == letters


@settings(deadline=None)
@pytest.mark.parametrize("case", CASES)
@given(data=st.data(), size=st.integers(1, 4), limit=st.integers(0, 14))
def test_a_limit_that_is_lifted_later(
    tmp_path_factory: pytest.TempPathFactory,
    exact: Exact,
    case: Any,
    data: Any,
    size: int,
    limit: int,
) -> None:
    make, lines, head = case
    path = tmp_path_factory.mktemp("limit") / "rows"
    path.write_bytes(head + b"\n".join(data.draw(st.lists(lines, max_size=14))))
    want = [exact(batch) for batch in make(old(path), size)]
    first = make(path, size, limit=limit)
    found = [exact(batch) for batch in paused(first)]
    state = first.state_dict()
    rows = first.position + sum(map(len, first))
    assert rows == min(limit, make(path, size).position + sum(map(len, make(path, size))))
    again = make(path, size)
    again.load_state_dict(state)
    assert found + [exact(batch) for batch in again] == want


@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("case", CASES)
@given(data=st.data(), size=st.integers(1, 5), sparse=st.integers(60, 400))
def test_lines_without_rows_end_a_batch_wherever_the_stream_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    exact: Exact,
    case: Any,
    data: Any,
    size: int,
    sparse: int,
) -> None:
    make, lines, head = case
    content = head + b"\n".join(data.draw(st.lists(lines | st.just(b""), max_size=30)))
    path = tmp_path_factory.mktemp("sparse") / "rows"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending_rows, "SPARSE", sparse)
        source = make(old(path), size)
        batches, states = [], [source.state_dict()]
        for batch in source:
            batches.append(exact(batch))
            states.append(source.state_dict())
        for cut, state in enumerate(states):
            again = make(path, size)
            again.load_state_dict(state)
            assert [exact(batch) for batch in again] == batches[cut:]


def test_a_batch_ends_before_lines_without_rows(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_rows, "SPARSE", 3 * 64)  # three blank lines
    few, many = ["1,a", "", "", "", "2,b"], ["1,a", "", "", "", "", "2,b"]
    assert [len(batch) for batch in CsvSource(old(write(["x,y", *few])))] == [2]
    assert [len(batch) for batch in CsvSource(old(write(["x,y", *many])))] == [1, 1]


MEMORY = """
import resource, sys
from streamreplay.ingest import CsvSource, JsonlSource
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = {"csv": CsvSource, "jsonl": JsonlSource}[sys.argv[2]](sys.argv[1], batch_size=64)
rows = sum(map(len, source))
print(rows, source.dead, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.parametrize("pad", [b"\n", b"  \n", b"bad\n", b"x" * 900 + b"\n"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_memory_is_bounded_whatever_comes_behind_a_row(
    tmp_path: Path, kind: str, pad: bytes
) -> None:
    head = {"csv": b"a,y\n1,k\n", "jsonl": b'{"a": 1, "y": "k"}\n'}[kind]
    path = tmp_path / f"rows.{kind}"
    n = 4_000_000 // (len(pad) + 10)
    path.write_bytes(head + pad * n + head.splitlines()[-1] + b"\n")
    command = [sys.executable, "-c", MEMORY, str(path), kind]
    rows, dead, megabytes = map(int, subprocess.check_output(command).split())
    assert (rows, dead) == (2, 0 if pad.isspace() else n)
    assert megabytes < 40


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the end of a last line, as outside of tests."""
    monkeypatch.setattr(line_reader, "SETTLED", 1.0)


@pytest.mark.usefixtures("waits")
def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("u,v,y\n1,2,11\n7,7.5,1")

    def write_on() -> None:
        time.sleep(0.3)
        with path.open("a") as file:
            file.write("2\n")

    thread = threading.Thread(target=write_on)
    thread.start()
    source = CsvSource(path)
    (batch,) = source
    thread.join()
    assert (batch.x.tolist(), source.labels.names) == ([[1.0, 2.0], [7.0, 7.5]], [11, 12])


@pytest.mark.usefixtures("waits")
def test_waiting_for_a_file_can_be_stopped(write: Write) -> None:
    path = write(b'{"x": [1]}\n{"x": [2]}')
    source = JsonlSource(path, stop=lambda: True)
    assert list(source) == []
    source.options = JsonlSource(path).options
    assert sum(map(len, source)) == 2


@pytest.mark.parametrize("at", [3, 40, 77])
def test_any_changed_byte_of_what_was_learned_is_noticed(write: Write, at: int) -> None:
    lines = [f"{i},{i}.5,k{i % 3}" for i in range(10, 30)]
    path = old(write(["a,b,y", *lines]))
    source = CsvSource(path, batch_size=16)
    next(iter(source))
    state = source.state_dict()
    data = bytearray(path.read_bytes())
    data[at] = ord("8") if data[at] != ord("8") else ord("9")
    path.write_bytes(bytes(data))
    again = CsvSource(path, batch_size=16)
    again.load_state_dict(state)
    with pytest.raises(SourceError, match=r"^rows: not the file that was learned from: it differs"):
        list(again)


def test_a_pipe_that_ended_without_a_line_end_continues_with_a_line(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    source = JsonlSource(fifo(first, b'{"x": [1]}\n{"x": [2]}'), batch_size=4)
    assert paused(source) == []
    rest = JsonlSource(fifo(second, b'{"x": [3]}\n'), batch_size=4)
    rest.load_state_dict(source.state_dict())
    rest.continue_from_here = True
    assert [batch.x.tolist() for batch in rest] == [[[1.0], [2.0], [3.0]]]


def fifo(path: Path, data: bytes) -> Path:
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(data,), daemon=True).start()
    return path
