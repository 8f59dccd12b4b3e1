"""Stop at any yield, go on with a fresh source: nothing is lost, repeated or changed."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import SourceError
from streamreplay.ingest import CsvSource, JsonlSource, LineSource

Write = Callable[..., Path]
Exact = Callable[[Any], Any]

JSONL = st.sampled_from(
    [
        b'{"x": [1, 2], "y": "a"}',
        b'{"x": [3, 4], "y": 1, "experience": 1}',
        b'{"x": [3, 4], "y": 1, "experience": 1, "id": 5, "time": 9}\r',
        b'{"x": [5, 6], "y": "b", "experience": 2, "id": "q"}',
        b'{"x": [7, null]}',
        b"broken",
        b"",
        b"  \r",
        b"o" * 70,
    ]
)
CSV = st.sampled_from(
    [
        b"1,2,a,0",
        b'3,4,"b,c",0\r',
        b"5,6,7,1",
        b",1,a,1",
        b'7,8,"b',
        b'c",1',
        b"g,y,f,experience",
        b"1,2,3",
        b"f,g,y,experience",
        b"",
        b"o" * 70,
    ]
)


def jsonl(path: Path, size: int, **options: Any) -> LineSource:
    return JsonlSource(path, batch_size=size, max_line_bytes=64, **options)


def csv(path: Path, size: int, **options: Any) -> LineSource:
    return CsvSource(path, batch_size=size, max_line_bytes=64, **options)


def plain_bytes(data: bytes) -> bytes:
    return data


def gzip_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:]) + b"\0" * 9


def zstd_frames(data: bytes) -> bytes:
    half = len(data) // 2
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    frames = [zstandard.compress(data[:half]), zstandard.compress(data[half:])]
    return skippable + skippable.join(frames)


def bzip2_streams(data: bytes) -> bytes:
    half = len(data) // 2
    return bz2.compress(b"") + bz2.compress(data[:half]) + bz2.compress(data[half:])


def xz_streams(data: bytes) -> bytes:
    half = len(data) // 2
    return lzma.compress(data[:half]) + b"\0" * 8 + lzma.compress(data[half:]) + b"\0" * 4


PACKS = [gzip_members, zstd_frames, bzip2_streams, xz_streams]
JSONL_CASE = (jsonl, JSONL, b"")
CSV_CASE = (csv, CSV, b"f,g,y,experience\n")


@settings(deadline=None)
@pytest.mark.parametrize(
    "pack", [plain_bytes, gzip_members, zstd_frames, bzip2_streams, xz_streams]
)
@pytest.mark.parametrize("case", [JSONL_CASE, CSV_CASE])
@given(data=st.data(), size=st.integers(1, 5), last=st.sampled_from([b"", b"\n"]))
def test_every_yield_is_a_safe_point(
    tmp_path_factory: pytest.TempPathFactory,
    exact: Exact,
    case: tuple[Callable[..., LineSource], st.SearchStrategy[bytes], bytes],
    pack: Callable[[bytes], bytes],
    data: st.DataObject,
    size: int,
    last: bytes,
) -> None:
    make, lines, head = case
    content = head + b"\n".join(data.draw(st.lists(lines, max_size=14))) + last
    path = tmp_path_factory.mktemp("resume") / "rows"
    path.write_bytes(pack(content))
    letters: list[Any] = []
    source = make(path, size, on_dead=letters.append)
    batches: list[Any] = []
    states = [(source.state_dict(), 0)]
    for batch in source:
        batches.append(exact(batch))
        states.append((source.state_dict(), len(letters)))
    end = source.state_dict()
    assert end["bytes"] == len(content)
    assert end["put_aside"]["count"] == len(letters)
    assert [exact(s)["labels"] for s, _ in states] == sorted(
        (exact(s)["labels"] for s, _ in states), key=lambda s: len(s["names"])
    )
    for cut, (state, told) in enumerate(states):
        again: list[Any] = []
        rest: list[Any] = []
        fresh = make(path, size, on_dead=again.append)
        fresh.load_state_dict(state)
        assert exact(fresh.state_dict()) == exact(state)
        for n, batch in enumerate(fresh):
            rest.append(exact(batch))
            assert exact(fresh.state_dict()) == exact(states[cut + n + 1][0])
            if n == 1:  # and once more, from the resumed one
                twice = make(path, size)
                twice.load_state_dict(fresh.state_dict())
                assert [exact(b) for b in twice] == batches[cut + 2 :]
        assert rest == batches[cut:]
        assert again == letters[told:]
        assert exact(fresh.state_dict()) == exact(end)


@settings(deadline=None)
@given(st.lists(JSONL, max_size=14), st.integers(1, 5), st.integers(1, 5))
@pytest.mark.filterwarnings("ignore:rows. has been read to its end")  # the last pass is empty
def test_a_dropped_iterator_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], size: int, every: int
) -> None:
    path = tmp_path_factory.mktemp("drop") / "rows"
    path.write_bytes(b"\n".join(content))
    whole = [b.t.tolist() for b in jsonl(path, size)]
    source = jsonl(path, size)
    found: list[Any] = []
    while taken := [b.t.tolist() for b, _ in zip(source, range(every), strict=False)]:
        found += taken
        # zip has pulled a batch too many, unless the stream was at its end
        found += [list(range(len(list(chain(*found))), source.position))]
        if every % 2:
            source.close()
    assert list(chain(*found)) == list(chain(*whole))


def test_asking_for_the_state_or_changing_it_changes_nothing(write: Write) -> None:
    path = write([f'{{"x": [{i}], "y": {i % 3}}}' for i in range(9)])
    source = jsonl(path, 2)
    for _ in source:
        state = source.state_dict()
        state["labels"]["names"].append("more")
        state["fields"]["label"] = "z"
    assert source.position == 9
    assert source.labels.names == [0, 1, 2]


def test_another_batch_size_may_go_on(write: Write) -> None:
    path = write([f'{{"x": [{i}]}}' for i in range(10)])
    source = jsonl(path, 4)
    next(iter(source))
    other = jsonl(path, 3)
    other.load_state_dict(source.state_dict())
    assert [b.t.tolist() for b in other] == [[4, 5, 6], [7, 8, 9]]


def test_a_file_may_have_grown(write: Write) -> None:
    path = write(['{"x": [1]}'])
    source = jsonl(path, 4)
    assert len(list(source)) == 1
    with path.open("ab") as file:
        file.write(b'{"x": [2]}\n')
    assert [b.x.tolist() for b in source] == [[[2.0]]]
    other = jsonl(path, 4)
    other.load_state_dict(source.state_dict())
    assert list(other) == []


def stopped_after_two(write: Write, pack: Callable[[bytes], bytes]) -> tuple[Path, Any]:
    path = write(pack(b'{"x": [1]}\n{"x": [2]}\n{"x": [3]}\n'))
    source = jsonl(path, 2)
    next(iter(source))
    return path, source.state_dict()


def test_a_file_that_is_not_the_one_learned_from(write: Write) -> None:
    path, state = stopped_after_two(write, plain_bytes)
    source = jsonl(path, 2)
    source.load_state_dict(state)
    path.write_bytes(b'{"x": [1]}\n{"x": [8]}\n{"x": [3]}\n')
    for _ in range(2):
        with pytest.raises(
            SourceError, match=r"^rows: line 2 differs from the one that was learned"
        ):
            list(source)
    path.write_bytes(b'{"x": [1]}\n')
    with pytest.raises(SourceError, match=r"^rows: 22 bytes .* learned from, .* has only 11$"):
        list(source)
    path.write_bytes(b'{"x": [1]}\n{"x": [2]}\n{"x": [9]}\n')
    assert [b.x.tolist() for b in source] == [[[9.0]]]


@pytest.mark.parametrize("pack", PACKS)
def test_a_compressed_file_that_is_not_the_one_learned_from(
    write: Write, pack: Callable[[bytes], bytes]
) -> None:
    path, state = stopped_after_two(write, pack)
    for content, message in [
        (b'{"x": [7]}\n{"x": [2]}\n{"x": [3]}\n', "differs somewhere in its first 22 bytes"),
        (b'{"x": [1]}\n', "ends at byte 11, but 22 bytes were learned from"),
    ]:
        path.write_bytes(pack(content))
        source = jsonl(path, 2)
        source.load_state_dict(state)
        for _ in range(2):
            with pytest.raises(SourceError, match=message):
                list(source)


def test_a_state_survives_plain_arrays_and_numbers(write: Write) -> None:
    path, state = stopped_after_two(write, plain_bytes)
    assert {type(value) for value in state.values()} <= {
        int, bool, str, list, dict, np.ndarray, type(None)
    }  # fmt: skip
    assert state["carry"].dtype == np.uint8
    assert len(state["carry"]) == 0
    assert jsonl(path, 2).state_dict()["rows"] == 0


def test_no_batch_is_written_to_later(write: Write, exact: Exact) -> None:
    path = write([f'{{"x": [{i}], "experience": {i // 3}, "time": {i}}}' for i in range(20)])
    batches: list[Batch] = []
    before: list[Any] = []
    for batch in jsonl(path, 4):
        batches.append(batch)
        before.append(exact(batch))
    assert [exact(batch) for batch in batches] == before
