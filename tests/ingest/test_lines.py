"""Lines and positions, against bytes.split."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.ingest.decode.lines import LineBuffer

LONGEST = 6


def blocks_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


STREAM = st.lists(st.sampled_from([b"\n", b"ab", b"c", b"\r", b"0123456789"]), max_size=25).map(
    b"".join
)


@given(STREAM, st.lists(st.integers(0, 99), max_size=6), st.lists(st.integers(1, 4), min_size=30))
def test_lines_and_positions_do_not_depend_on_blocks(
    data: bytes, cuts: list[int], steps: list[int]
) -> None:
    whole = data.split(b"\n")
    if not whole[-1]:
        whole.pop()
    ends = [len(b"\n".join(whole[: i + 1])) for i in range(len(whole))]
    ends = [min(end + 1, len(data)) for end in ends]  # with the line end, if it has one
    buffer, blocks = LineBuffer(LONGEST), blocks_of(data, cuts)
    done = 0
    for step in steps:
        while len(buffer) < step and blocks is not None:
            if blocks:
                buffer.feed(blocks.pop(0))
            else:
                buffer.finish()
                break
        n = min(step, len(buffer))
        expected = whole[done : done + n]
        found = buffer.peek(0, n)
        assert [line[: LONGEST + 1] for line in found] == [e[: LONGEST + 1] for e in expected]
        starts = [0, *ends]
        assert buffer.starts(range(done, done + n)) == [
            (starts[i], len(whole[i])) for i in range(done, done + n)
        ]
        if not n:
            break
        buffer.consume(n)
        done += n
        at = buffer.position
        start = ends[done - 2] if done > 1 else 0
        assert (at.lines, at.bytes, at.last_start) == (done, ends[done - 1], start)
        assert at.crc == zlib.crc32(data[: at.bytes])
        assert at.last_crc == zlib.crc32(data[start : at.bytes])
    assert done == min(len(whole), sum(steps))


def test_a_long_line_takes_bounded_memory() -> None:
    buffer = LineBuffer(100)
    buffer.feed(b"first\n")
    for _ in range(1000):
        buffer.feed(b"x" * 1000)
    assert buffer.unread().nbytes == len("first\n") + 101
    buffer.feed(b"\nlast\n")
    assert list(map(len, buffer.peek(0, 9))) == [5, 101, 4]
    buffer.consume(2)
    assert buffer.position.bytes == 6 + 1_000_000 + 1


def test_unread_is_all_that_was_not_consumed() -> None:
    buffer = LineBuffer(100)
    buffer.feed(b"a\n\nb\r\nc")
    buffer.consume(1)
    assert buffer.unread().tobytes() == b"\nb\r\nc"
    buffer.finish()
    assert buffer.unread().tobytes() == b"\nb\r\nc"
    buffer.consume(3)
    assert buffer.unread().tobytes() == b""


@pytest.mark.parametrize("consumed", [0, 1, 2])
def test_arrival_is_that_of_the_first_line_left(consumed: int) -> None:
    buffer = LineBuffer(100)
    buffer.feed(b"a\n", 1.0)
    buffer.feed(b"b", 2.0)
    buffer.feed(b"\nc\n", 3.0)
    buffer.consume(consumed)
    assert buffer.arrival() == [1.0, 3.0, 3.0][consumed]
