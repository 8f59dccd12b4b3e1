"""Tables as programs write them: each is read the same from a file, a pipe and after any kill."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from streamreplay.ingest import CsvSource, JsonlSource, LineSource

Exact = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """A stream, and what is read from it."""

    data: bytes
    x: list[list[float]]
    labels: list[Any]
    dead: list[tuple[int, str]] = field(default_factory=list)
    """Line, from 1, and beginning of the reason."""
    options: dict[str, Any] = field(default_factory=dict)
    kind: type[LineSource] = CsvSource

    def open(self, path: Any, **options: Any) -> Any:
        return self.kind(path, **{**self.options, **options})


def text(encoding: str, end: str = "\n", *lines: str) -> bytes:
    return "".join(line + end for line in lines or TABLE).encode(encoding)


TABLE = ("u,v,y", "1,2,é", "3,4,b")
READ = ([[1.0, 2.0], [3.0, 4.0]], ["é", "b"])
RECORDS = ('{"x": [1, 2], "y": "é"}', '{"x": [3, 4], "y": "b"}')

CASES = {
    "cr": Case(text("utf-8", "\r"), *READ),
    "cr-last": Case(text("utf-8", "\r")[:-1], *READ),
    "cr-in-quotes": Case(b'"u\ru",v,y\n1,2,"a\rb"\r\n3,4,b\n', READ[0], ["a\rb", "b"]),
    "crlf": Case(text("utf-8", "\r\n"), *READ),
    "cr-blank": Case(b"\ru,v,y\r\r1,2,a\r", [[1, 2]], ["a"]),
    "cr-crlf": Case(b"u,v,y\r1,2,a\r\n3,4,b\n", READ[0], ["a", "b"]),
    "cr-jsonl": Case(text("utf-8", "\r", *RECORDS), *READ, kind=JsonlSource),
    "utf-16": Case(text("utf-16"), *READ),
    "utf-16-le": Case(b"\xff\xfe" + text("utf-16-le", "\r\n"), *READ),
    "utf-16-be": Case(b"\xfe\xff" + text("utf-16-be"), *READ),
    "utf-16-cr": Case(text("utf-16", "\r"), *READ),
    "utf-16-cat": Case(text("utf-16") * 2, READ[0] * 2, READ[1] * 2),
    "utf-16-jsonl": Case(text("utf-16", "\n", *RECORDS), *READ, kind=JsonlSource),
    "utf-16-cut": Case(text("utf-16")[:-5], [[1, 2]], ["é"], [(3, "not UTF-8")]),
    "utf-16-surrogate": Case(
        text("utf-16-be", "\n", "\ufeffu,y", "1,a").replace(b"\0a", b"\xd8\0")
        + text("utf-16-be", "\n", "2,b"),
        [[2]],
        ["b"],
        [(2, "not UTF-8")],
    ),
    "utf-32": Case(text("utf-32"), *READ),
    "utf-8-bom": Case(text("utf-8-sig"), *READ),
}
"""A name, then the stream; an id of a test tells which one failed."""


def read(source: Any) -> tuple[list[list[float]], list[Any]]:
    x: list[list[float]] = []
    labels: list[Any] = []
    for batch in source:
        x += batch.x.tolist()
        labels += [None if y < 0 else source.labels.name(y) for y in batch.y.tolist()]
    return x, labels


def check(case: Case, path: Any, **options: Any) -> None:
    letters: list[Any] = []
    source = case.open(path, on_dead=letters.append, **options)
    assert read(source) == (case.x, case.labels)
    assert [letter["line"] for letter in letters] == [line for line, _ in case.dead]
    for letter, (_, reason) in zip(letters, case.dead, strict=True):
        assert letter["reason"].startswith(reason), letter


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file(
    case: Case, pack: Callable[[bytes], bytes], batch_size: int, tmp_path: Path
) -> None:
    path = tmp_path / "rows"
    path.write_bytes(pack(case.data))
    check(case, path, batch_size=batch_size)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_as_they_come(
    case: Case,
    pack: Callable[[bytes], bytes],
    block: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", block)
    path = tmp_path / "rows"
    path.write_bytes(pack(case.data))
    check(case, path, batch_size=3)


def test_a_pipe(case: Case) -> None:
    reader, writer = os.pipe()

    def produce() -> None:
        for at in range(0, len(case.data), 5):
            os.write(writer, case.data[at : at + 5])
        os.close(writer)

    thread = threading.Thread(target=produce)
    thread.start()
    check(case, f"/dev/fd/{reader}", max_wait=None)
    thread.join()
    os.close(reader)


@pytest.mark.parametrize("block", [3, 1 << 18])
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_kill_at_any_row(
    case: Case,
    pack: Callable[[bytes], bytes],
    batch_size: int,
    block: int,
    exact: Exact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", block)
    path = tmp_path / "rows"
    path.write_bytes(pack(case.data))
    letters: list[Any] = []
    whole = case.open(path, batch_size=batch_size, on_dead=letters.append)
    states, batches = [(whole.state_dict(), 0)], []
    for batch in whole:
        batches.append(exact(batch))
        states.append((whole.state_dict(), len(letters)))
    for cut, (state, known) in enumerate(states):
        again: list[Any] = []
        fresh = case.open(path, batch_size=batch_size, on_dead=again.append)
        fresh.load_state_dict(state)
        assert exact(fresh.state_dict()) == exact(state)
        assert [exact(batch) for batch in fresh] == batches[cut:]
        assert again == letters[known:]
        assert exact(fresh.state_dict()) == exact(whole.state_dict())
