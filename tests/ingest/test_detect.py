"""The format of a stream is found by its first bytes, and they are not lost."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import zstandard
from pyarrow import feather, ipc, parquet

from streamreplay.config.building.pipeline import build
from streamreplay.config.parsing.load import load_job
from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.connect.byte_stream import ByteStream
from streamreplay.ingest.detect import detect, format_by_name

Write = Callable[..., Path]
NewPipe = Callable[[], Any]
PACKS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    zstandard.compress,
    bz2.compress,
    lzma.compress,
]
RECORDS = [{"a": i / 4, "y": f"c{i % 2}"} for i in range(40)]
TABLE = pa.Table.from_pylist(RECORDS)


def saved(save: Callable[[Any], Any]) -> bytes:
    sink = io.BytesIO()
    save(sink)
    return sink.getvalue()


def arrow_stream() -> bytes:
    sink = io.BytesIO()
    with ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=7)
    return sink.getvalue()


CSV = ("a,y\n" + "".join(f"{row['a']},{row['y']}\n" for row in RECORDS)).encode()
JSONL = "".join(json.dumps(row) + "\n" for row in RECORDS).encode()
TEXTS = {
    "csv": CSV,
    "jsonl": JSONL,
    "array": json.dumps(RECORDS).encode(),
    "lines": json.dumps(RECORDS, indent=1).encode(),
    "bom": b"\xef\xbb\xbf" + JSONL,
    "utf-16": CSV.decode().encode("utf-16"),
    "blank": b"\n \r\n" + JSONL,
    "arrow": arrow_stream(),
}
FORMS = {"csv": "csv", "utf-16": "csv", "arrow": "arrow"}


def rows_of(path: str, *more: str) -> int:
    source = build(load_job(None, [f"source.path={path}", *more])).source
    return sum(len(batch) for batch in source or ())


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_file_without_a_name_that_helps(
    write: Write, name: str, pack: Callable[[bytes], bytes]
) -> None:
    path = str(write(pack(TEXTS[name]), "rows.bin"))
    assert detect(path).format == FORMS.get(name, "jsonl")
    assert rows_of(path) == len(RECORDS)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_pipe_loses_no_byte(new_pipe: NewPipe, name: str, pack: Callable[[bytes], bytes]) -> None:
    pipe = new_pipe()
    pipe.write(pack(TEXTS[name]))
    pipe.end()
    assert rows_of(pipe.path) == len(RECORDS)


@pytest.mark.parametrize("name", TEXTS)
def test_a_pipe_that_comes_byte_by_byte(
    new_pipe: NewPipe, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", 1)
    pipe = new_pipe()
    pipe.write(TEXTS[name])
    pipe.end()
    assert rows_of(pipe.path) == len(RECORDS)


@pytest.mark.parametrize(
    ("first", "format"), [(b"a", "csv"), (b' \n{"', "jsonl"), (b"[{", "jsonl"), (b"PAR", "csv")]
)
def test_a_slow_pipe_is_waited_for_no_longer_than_needed(
    new_pipe: NewPipe, first: bytes, format: str
) -> None:
    pipe = new_pipe()
    asked = [True, False, False]  # stops if it is asked again while nothing comes

    def late() -> None:
        time.sleep(0.05)
        pipe.write(first)
        if first == b"PAR":
            pipe.write(b"K")

    thread = threading.Thread(target=late)
    thread.start()
    found = detect(pipe.path, stop=lambda: not asked or (asked.pop() and False))
    thread.join()
    assert found.format == format


def test_waiting_ends_when_it_is_asked_to(new_pipe: NewPipe) -> None:
    pipe = new_pipe()
    pipe.write(b"\n\n")
    found = detect(pipe.path, stop=lambda: True)
    assert found.format is None


def test_broken_data_are_an_error_behind_what_came_before(new_pipe: NewPipe) -> None:
    data = gzip.compress(JSONL, mtime=0)[:-9]
    pipe = new_pipe()
    pipe.write(data)
    pipe.end()
    with pytest.raises(SourceError, match="compressed data end too early"):
        rows_of(pipe.path)
    stream = ByteStream(pipe.path)
    assert stream.peek(lambda first: len(first) > 9) == b""


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (saved(lambda sink: parquet.write_table(TABLE, sink)), "parquet"),
        (saved(lambda sink: feather.write_feather(TABLE, sink)), "arrow"),
        (saved(lambda sink: np.savez(sink, x=np.zeros((2, 1)), y=np.zeros(2))), "npz"),
        (struct.pack(">IIII", 0x803, 1, 1, 1) + b"\1", "idx"),
        (b"PAR1,ARROW1,y\n1,2,a\n", "csv"),
        (b"PK,y\n1,a\n", "csv"),
        (b"P", "csv"),
        (b'nonsense\n{"x": [1], "y": 1}\n', "jsonl"),
        (b"[1, 2]\n", "jsonl"),
    ],
)
def test_by_content(write: Write, content: bytes, format: str) -> None:
    assert detect(str(write(content))).format == format


@pytest.mark.parametrize(
    ("name", "content", "format", "told"),
    [
        ("rows.csv", JSONL, "jsonl", True),
        ("rows.jsonl", CSV, "csv", True),
        ("rows.npz", CSV, "csv", True),
        ("rows.csv", arrow_stream(), "arrow", True),
        ("rows.arrow", saved(lambda sink: parquet.write_table(TABLE, sink)), "parquet", False),
        ("rows.csv", b"[date],[price]\n1,2\n", "csv", False),
        ("rows.csv", b"{5F2504E0},2\n", "csv", False),
        ("rows.csv", b'a\n{"b": 1}\n', "csv", False),
        ("rows.csv", b"a,b\n\0\0,2\n", "csv", False),
        ("rows.jsonl", b"5\n5\n", "jsonl", False),
        ("rows.jsonl", b'"x": [1, 2], "y": 1}\n{"x": [1, 2], "y": 1}\n', "jsonl", False),
        ("rows.json", b"", "jsonl", False),
        ("rows.CSV.gz", gzip.compress(b" \n", mtime=0), "csv", False),
        ("rows.txt", b"\n", None, False),
    ],
)
def test_a_name_decides_only_what_the_content_does_not(
    write: Write, name: str, content: bytes, format: str | None, *, told: bool
) -> None:
    found = detect(str(write(content, name)))
    assert (found.format, bool(found.mismatch)) == (format, told)
    if told:
        assert found.mismatch == (
            f"{name}: its name says {format_by_name(name)}, but it holds {format}, and is read as "
            f"{format}"
        )


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (np.random.default_rng(1).bytes(4000), r"', which is no format that is known"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"x89PNG.*', which is no format that is known"),
        (b"PK\3\4" + bytes(22) + b"\5\0\0\0a.xml", "a zip archive that holds no arrays"),
        (b"%PDF-1.4\n", "PDF"),
        (b"<!DOCTYPE html>\n", "HTML or XML"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ],
)
@pytest.mark.parametrize("name", ["rows", "rows.csv"])
def test_what_is_no_known_format(write: Write, name: str, content: bytes, seen: str) -> None:
    path = str(write(content, name))
    with pytest.raises(SourceError, match=f"^{name}: begins with .*{seen}"):
        rows_of(path)
    build(load_job(None, [f"source.path={path}", "source.format=csv"]))


def test_files_of_a_stream(write: Write) -> None:
    one, two = write(bz2.compress(CSV), "1.bin"), write(gzip.compress(CSV), "2.csv.xz")
    empty, other = write(b"", "0.txt"), write(JSONL, "3.csv")
    good = json.dumps([str(empty), str(one), str(two)])
    assert rows_of(good) == 80
    for given in ("auto", "csv"):
        with pytest.raises(ConfigError, match=r"one format, got 1\.bin \(csv\), 3\.csv \(jsonl\)"):
            rows_of(json.dumps([str(one), str(other)]), f"source.format={given}")
    with pytest.raises(ConfigError, match=r"^source\.format: 0\.txt holds nothing that shows"):
        rows_of(str(empty))


def test_names() -> None:
    names = ["a.jsonl", "a.NDJSON.zst", "/x.y/a.csv.gz", "a.tsv", "train-images-idx3-ubyte.gz", "a"]
    found = [format_by_name(name) for name in names]
    assert found == ["jsonl", "jsonl", "csv", "csv", "idx", None]
