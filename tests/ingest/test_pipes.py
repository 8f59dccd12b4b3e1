"""Sources that cannot be rewound, and compressed ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streamreplay.errors import SourceError
from streamreplay.ingest import CsvSource, JsonlSource

Write = Callable[..., Path]
NewPipe = Callable[[], Any]
PACKS = [gzip.compress, zstandard.compress, bz2.compress, lzma.compress]


def line(i: int) -> bytes:
    return b'{"x": [%d], "y": "c%d"}\n' % (i, i % 3)


ROWS = b"".join(map(line, range(10)))


def rows(source: Any) -> list[float]:
    return [row[0] for batch in source for row in batch.x.tolist()]


def test_a_slow_pipe_is_not_held_up_for_a_full_batch(new_pipe: NewPipe) -> None:
    pipe = new_pipe()
    batches = iter(JsonlSource(pipe.path, batch_size=4, max_wait=0.05))
    for i in range(3):
        pipe.write(line(i))
        assert next(batches).x.tolist() == [[float(i)]]
    pipe.write(line(3) + line(4)[:-3])
    assert next(batches).x.tolist() == [[3.0]]
    pipe.write(line(4)[-3:] + line(5))
    pipe.end()
    assert next(batches).x.tolist() == [[4.0], [5.0]]
    assert list(batches) == []


@pytest.mark.parametrize("max_wait", [None, math.inf, 60])
def test_a_batch_waits_as_long_as_it_may(new_pipe: NewPipe, max_wait: float | None) -> None:
    pipe = new_pipe()
    source = JsonlSource(pipe.path, batch_size=3, max_wait=max_wait)

    def produce() -> None:
        for i in range(7):
            pipe.write(line(i))
            time.sleep(0.01)
        pipe.end()

    thread = threading.Thread(target=produce)
    thread.start()
    assert [b.t.tolist() for b in source] == [[0, 1, 2], [3, 4, 5], [6]]
    thread.join()


@pytest.mark.parametrize("block", [1 << 18, 60])
def test_a_slow_reader_still_gets_full_batches(
    new_pipe: NewPipe, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", block)
    pipe = new_pipe()
    pipe.write(b"".join(map(line, range(5))))
    source = JsonlSource(pipe.path, batch_size=4, max_wait=0.01)
    batches = iter(source)
    assert len(next(batches)) == 4
    pipe.write(b"".join(map(line, range(5, 9))))
    time.sleep(0.03)  # the row left over has waited long enough, but more are there
    assert next(batches).t.tolist() == [4, 5, 6, 7]
    pipe.end()
    assert next(batches).t.tolist() == [8]


def test_a_bad_line_in_a_slow_pipe_is_told_at_once(new_pipe: NewPipe) -> None:
    pipe = new_pipe()
    letters: list[Any] = []
    stop = [False, False, True]
    source = JsonlSource(
        pipe.path, max_wait=0.01, on_dead=letters.append, stop=lambda: bool(letters) and stop.pop()
    )
    pipe.write(b"broken\n\n")
    assert list(source) == []
    assert (len(letters), source.dead, source.state_dict()["lines"]) == (1, 1, 2)


def stopped_with_two_rows_waiting(pipe: Any) -> tuple[JsonlSource, Any]:
    calls: list[None] = []

    def stop() -> bool:
        calls.append(None)
        return len(calls) > 3

    source = JsonlSource(pipe.path, batch_size=3, max_wait=None, stop=stop)
    pipe.write(b"".join(map(line, range(5))) + line(5)[:4])
    started = time.monotonic()
    assert rows(source) == [0.0, 1.0, 2.0]
    assert time.monotonic() - started < 5
    state = source.state_dict()
    assert (state["rows"], state["labels"]) == (3, {"names": ["c0", "c1", "c2"]})
    assert state["carry"].tobytes() == line(3) + line(4) + line(5)[:4]
    return source, state


def test_stopping_leaves_rows_that_were_not_yielded_for_the_same_object(new_pipe: NewPipe) -> None:
    pipe = new_pipe()
    source, _ = stopped_with_two_rows_waiting(pipe)
    source.options = JsonlSource("-", batch_size=3).options
    pipe.write(line(5)[4:] + line(6))
    pipe.end()
    assert rows(source) == [3.0, 4.0, 5.0, 6.0]


def test_a_pipe_continues_from_what_was_read_ahead(new_pipe: NewPipe) -> None:
    pipe = new_pipe()
    _, state = stopped_with_two_rows_waiting(pipe)
    source = JsonlSource(pipe.path, batch_size=3)
    source.load_state_dict(state)
    source.continue_from_here = True
    assert source.state_dict()["carry"].tobytes() == state["carry"].tobytes()
    pipe.write(line(5)[4:] + line(6))
    pipe.end()
    assert rows(source) == [3.0, 4.0, 5.0, 6.0]
    assert source.state_dict()["bytes"] == sum(len(line(i)) for i in range(7))


def test_what_lines_decide_is_saved_once_they_are_consumed(new_pipe: NewPipe) -> None:
    def stopped(data: bytes, kind: Any) -> Any:
        pipe, answers = new_pipe(), [False, False, True]
        pipe.write(data)
        source = kind(pipe.path, max_wait=None, stop=lambda: answers.pop(0))
        assert list(source) == []
        source._decode_next(9)
        assert source.feature_names is not None
        return source.state_dict()

    csv = stopped(b"a,b,y\n1,2,k\n", CsvSource)
    assert (csv["layout"], csv["lines"]) == (None, 0)
    assert csv["schema"] is None
    jsonl = stopped(line(0), JsonlSource)
    assert (jsonl["choice"], jsonl["feature_shape"], jsonl["lines"]) == (None, None, 0)
    table = stopped(b'{"a": 1, "b": "red"}\n', JsonlSource)
    assert (table["choice"], table["schema"], table["lines"]) == (None, None, 0)


def test_a_pipe_brings_the_same_stream_from_its_start(new_pipe: NewPipe) -> None:
    _, state = stopped_with_two_rows_waiting(new_pipe())
    pipe = new_pipe()
    pipe.write(ROWS[:50])
    source = JsonlSource(pipe.path, batch_size=3, max_wait=None)
    source.load_state_dict(state)
    batches = iter(source)
    pipe.write(ROWS[50:])
    assert next(batches).x.tolist() == [[3.0], [4.0], [5.0]]
    pipe.end()
    assert rows(batches) == [6.0, 7.0, 8.0, 9.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROWS.replace(b"[1]", b"[7]"), "standard input|: not the stream that was learned from"),
        (ROWS[:30], "ends at byte 30, but 66 bytes were learned from"),
        (b"", "ends at byte 0, but 66 bytes were learned from"),
    ],
)
def test_a_pipe_with_another_stream_is_refused(
    new_pipe: NewPipe, content: bytes, message: str
) -> None:
    _, state = stopped_with_two_rows_waiting(new_pipe())
    pipe = new_pipe()
    pipe.write(content)
    pipe.end()
    source = JsonlSource(pipe.path, batch_size=3)
    source.load_state_dict(state)
    for _ in range(2):
        with pytest.raises(SourceError, match=message):
            list(source)
    assert source.state_dict()["carry"].tobytes() == state["carry"].tobytes()


def test_stopping_while_the_learned_part_goes_by(new_pipe: NewPipe, exact: Any) -> None:
    _, state = stopped_with_two_rows_waiting(new_pipe())
    pipe = new_pipe()
    pipe.write(ROWS[:30])
    answers = [False, True]
    source = JsonlSource(pipe.path, batch_size=3, stop=lambda: bool(answers) and answers.pop(0))
    source.load_state_dict(state)
    assert list(source) == []
    assert exact(source.state_dict()) == exact(state)
    pipe.write(ROWS[30:])
    pipe.end()
    assert rows(source) == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


@pytest.mark.parametrize("header", [b"a,b,y\n", b""])
def test_a_csv_pipe_continues_with_or_without_its_header(new_pipe: NewPipe, header: bytes) -> None:
    first, second = new_pipe(), new_pipe()
    first.write(b"a,b,y\n1,2,k\n3,4,l\n")
    first.end()
    source = CsvSource(first.path, limit=1)
    assert rows(source) == [1.0]
    rest = CsvSource(second.path)
    rest.load_state_dict(source.state_dict())
    rest.continue_from_here = True
    second.write(header + b"5,6,k\n")
    second.end()
    assert rows(rest) == [3.0, 5.0]
    assert (rest.labels.names, rest.dead) == (["k", "l"], 0)


@pytest.mark.parametrize("pack", [*PACKS, bytes])
def test_a_compressed_pipe_one_byte_at_a_time(
    new_pipe: NewPipe, pack: Callable[[bytes], bytes]
) -> None:
    pipe = new_pipe()
    data = pack(line(0)) + pack(line(1))
    thread = threading.Thread(target=lambda: ([pipe.write(bytes([b])) for b in data], pipe.end()))
    thread.start()
    assert rows(JsonlSource(pipe.path)) == [0.0, 1.0]
    thread.join()


@pytest.mark.parametrize("pack", PACKS)
def test_a_compressed_file_cut_short_gives_its_rows_first(
    write: Write, pack: Callable[[bytes], bytes]
) -> None:
    data = pack(ROWS) + pack(line(10))[:-5]
    source = JsonlSource(write(data), batch_size=4)
    with pytest.raises(SourceError, match=f"^rows: .* end too early, at byte {len(data)}$"):
        list(source)
    with pytest.raises(SourceError, match="end too early"):
        list(source)
    assert source.position in (10, 11)  # the last line may be whole before the cut
    broken = JsonlSource(write(pack(ROWS) + pack(ROWS)[:4] + b"\xff" * 60), batch_size=4)
    with pytest.raises(SourceError, match=r"^rows: broken compressed data at or after byte \d+"):
        list(broken)
    assert broken.position == 10


@pytest.mark.parametrize("pack", PACKS)
def test_a_fault_behind_unreadable_lines_is_not_swallowed(
    write: Write, pack: Callable[[bytes], bytes]
) -> None:
    source = JsonlSource(write(pack(b"bad\n") + pack(b"bad\n")[:-5]))
    with pytest.raises(SourceError, match="end too early"):
        list(source)
    assert source.dead >= 1


@pytest.mark.parametrize("pack", PACKS)
def test_highly_compressed_data_are_decompressed_bit_by_bit(
    write: Write, pack: Callable[[bytes], bytes]
) -> None:
    size = 40_000_000
    source = JsonlSource(write(pack(b" " * size + b"\n" + line(0))), max_line_bytes=size // 2)
    assert rows(source) == [0.0]
    assert (source.dead, source.state_dict()["bytes"]) == (1, size + 1 + len(line(0)))


def test_text_that_begins_as_compressed_data_do_is_text(write: Write, new_pipe: NewPipe) -> None:
    source = CsvSource(write(b"BZh9,y\n1,a\n"))
    assert (rows(source), source.feature_names) == ([1.0], ["BZh9"])
    pipe = new_pipe()
    pipe.write(b"BZh91AY\n1\n")
    pipe.end()
    assert rows(CsvSource(pipe.path, label=False)) == [1.0]


PROGRAM = """
import sys
from streamreplay.ingest import JsonlSource
source = JsonlSource("-", batch_size=4, limit=int(sys.argv[1]))
for batch in source:
    print(*batch.x[:, 0].astype(int))
print(source.name, source.state_dict()["carry"].size)
"""


def test_standard_input_as_a_pipe_and_as_a_file(write: Write) -> None:
    path = write(gzip.compress(ROWS), "rows.jsonl.gz")
    for limit, out in [("99", "0 1 2 3\n4 5 6 7\n8 9\n"), ("5", "0 1 2 3\n4\n")]:
        command = [sys.executable, "-c", PROGRAM, limit]
        carry = sum(len(line(i)) for i in range(5, 10)) if limit == "5" else 0
        expected = f"{out}standard input {carry}\n".encode()
        assert subprocess.check_output(command, input=path.read_bytes()) == expected
        with path.open("rb") as file:
            assert subprocess.check_output(command, stdin=file) == expected
