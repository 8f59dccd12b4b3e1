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

from streamreplay.features.schema import Schema
from streamreplay.ingest import CsvSource, JsonlSource, LineSource
from tests.ingest.tables import numbers_of

Exact = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """A stream, and what is read from it."""

    data: bytes
    x: list[list[Any]]
    """The numbers of each row, None where one is missing."""
    labels: list[Any]
    dead: list[tuple[int, str]] = field(default_factory=list)
    """Line, from 1, and beginning of the reason."""
    options: dict[str, Any] = field(default_factory=dict)
    kind: type[LineSource] = CsvSource
    misfits: dict[str, int] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    """Columns that are declared: a few rows with a misfit would show none."""

    def open(self, path: Any, **options: Any) -> Any:
        schema = Schema(kinds=dict.fromkeys(self.numbers, "number"))
        return self.kind(path, schema=schema, **{**self.options, **options})


def text(encoding: str, end: str = "\n", *lines: str) -> bytes:
    return "".join(line + end for line in lines or TABLE).encode(encoding)


TABLE = ("u,v,y", "1,2,é", "3,4,b")
READ_AB = ([[1.0, 2.0], [3.0, 4.0]], ["a", "b"])
READ = ([[1.0, 2.0], [3.0, 4.0]], ["é", "b"])
RECORDS = ('{"x": [1, 2], "y": "é"}', '{"x": [3, 4], "y": "b"}')

CASES = {
    "cr": Case(text("utf-8", "\r"), *READ),
    "cr-last": Case(text("utf-8", "\r")[:-1], *READ),
    "cr-in-quotes": Case(b'"u\ru",v,y\n1,2,"a\rb"\r\n3,4,b\n', READ[0], ["a\rb", "b"]),
    "crlf": Case(text("utf-8", "\r\n"), *READ),
    "cr-blank": Case(b"\ru,v,y\r\r1,2,a\r", [[1, 2]], ["a"]),
    "cr-behind-quotes": Case(b'"u\r\n1","v",y\r1,2,a\r', [[1, 2]], ["a"]),
    "cr-crlf": Case(b"u,v,y\r1,2,a\r\n3,4,b\n", READ[0], ["a", "b"]),
    "cr-jsonl": Case(text("utf-8", "\r", *RECORDS), *READ, kind=JsonlSource),
    "utf-16": Case(text("utf-16"), *READ),
    "utf-16-le": Case(b"\xff\xfe" + text("utf-16-le", "\r\n"), *READ),
    "utf-16-be": Case(b"\xfe\xff" + text("utf-16-be"), *READ),
    "utf-16-cr": Case(text("utf-16", "\r"), *READ),
    "utf-16-cat": Case(text("utf-16") * 2, READ[0] * 2, READ[1] * 2),
    "utf-16-jsonl": Case(text("utf-16", "\n", *RECORDS), *READ, kind=JsonlSource),
    "utf-16-no-bom-jsonl": Case(
        '{"x": [1]}\n'.encode("utf-16-le"), [], [], [(1, "many NUL"), (2, "many")], kind=JsonlSource
    ),
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
    "bom-cat": Case(text("utf-8-sig") * 2, READ[0] * 2, READ[1] * 2),
    "bom-cat-rows": Case(
        b"\xef\xbb\xbfa,1\n" * 3, [[1]] * 3, ["a"] * 3, options={"header": False, "label": 0}
    ),
    "bom-quotes": Case(b'\xef\xbb\xbf"u\nv",y\n1,a\n', [[1]], ["a"]),
    # the line with which Excel names the delimiter
    "sep": Case(b"sep=;\nu;v;y\n1;2;\xc3\xa9\n3;4;b\n", *READ),
    "sep-against-the-header": Case(b"sep=;\nu,a;v,b;y\n1;2;\xc3\xa9\n3;4;b\n", *READ),
    "sep-other": Case(b'\xef\xbb\xbf"sep=:"\r\n\r\nu:v:y\r\n1:2:\xc3\xa9\r\n3:4:b\r\n', *READ),
    "sep-cat": Case(b"SEP=;\nu;v;y\n1;2;a\n3;4;b\n" * 2, READ_AB[0] * 2, READ_AB[1] * 2),
    "sep-given": Case(b"sep=;\nu,v,y\n1,2,a\n3,4,b\n", *READ_AB, options={"delimiter": ","}),
    "sep-is-a-name": Case(b"sep=x,y\n1,a\n2,b\n", [[1], [2]], ["a", "b"]),
    # a line end inside quotes
    "b09": Case(
        b'u,v,note,y\n1,2,ok,a\n3,4,"see\n99,98,x",b\n5,6,ok,a\n',
        [[1, 2], [3, 4], [5, 6]],
        ["a", "b", "a"],
    ),
    "quotes-crlf": Case(b'u,y\r\n1,"a\r\n\r\nb"\r\n2,"c"\r\n', [[1], [2]], ["a\r\n\r\nb", "c"]),
    "quotes-in-quotes": Case(b'u,y\n1,"a ""q\n""b"\n2,c\n', [[1], [2]], ['a "q\n"b', "c"]),
    "quotes-header": Case(
        b'"u\n1","v, w","y"\n1,2,a\n"3","4","b\n"\n', [[1, 2], [3, 4]], ["a", "b"]
    ),
    "quotes-last": Case(b'u,y\n1,"a\nb"', [[1]], ["a\nb"]),
    "quotes-first-row": Case(b'1,"a\nb",x\n2,"c\n",y\n', [[1], [2]], ["x", "y"]),
    "quotes-bad-value": Case(
        b'u,note,y\n1,"a\nb",k\nx,"c\nd",k\n3,e,k\nq,f,k\n',
        [[1], [None], [3], [None]],
        ["k"] * 4,
        misfits={"u": 2},
        numbers=("u",),
    ),
    "literal-quotes": Case(
        b'u,size,y\n1,5" pipe,a\n2,6",b\n3,"7"" wide",c\n', [[1], [2], [3]], ["a", "b", "c"]
    ),
    "literal-then-open": Case(b'u,size,n,y\n1,5","a\nb",k\n2,6,c,k\n', [[1], [2]], ["k", "k"]),
    # a quote that is not closed
    "unclosed-last": Case(
        b'u,v,y\n1,2,k\n3,4,"k\n5,6,k\n7,8,k\n',
        [[1, 2], [5, 6], [7, 8]],
        ["k"] * 3,
        [(3, "not CSV: a quote is not closed")],
    ),
    "unclosed-first": Case(
        b'u,v,y\n"1,2,k\n3,4,k\n', [[3, 4]], ["k"], [(2, "not CSV: a quote is not closed")]
    ),
    "unclosed-then-quotes": Case(
        b'u,v,y\n1,2,"k\n3,4,"k"\n5,6,"k\nk"\n',
        [[3, 4], [5, 6]],
        ["k", "k\nk"],
        [(2, "not CSV: a quote is not closed")],
    ),
    "unclosed-each": Case(
        b"u,v,y\n1,2,k\n" + b'3,"4,k\n' * 3 + b"5,6,k\n",
        [[1, 2], [5, 6]],
        ["k", "k"],
        [(line, "not CSV: ") for line in (3, 4, 5)],
    ),
    "unclosed-before-quotes": Case(
        b'u,n,y\n1,a,"\n"2,b",k\n3,c,k\n"4",d,k\n',
        [[3], [4]],
        ["k", "k"],
        [(2, "not CSV: a quote is not closed"), (3, "line has 2 cells")],
    ),
    "unclosed-wrong-cells": Case(
        b'u,n,y\n1,"a,k\n2,b,k\n3,c",k,9,9\n4,d,k\n',
        [[2], [4]],
        ["k", "k"],
        [(2, "not CSV"), (4, "line has 5 cells")],
    ),
    "unclosed-long": Case(
        b'u,n,y\n1,"a\n' + b"b" * 60 + b'",k\n2,c,k\n',
        [[2]],
        ["k"],
        [(2, "not CSV: a quote is not"), (3, "line has 2 cells")],
        {"max_line_bytes": 64},
    ),
    "long-in-quotes": Case(
        b'u,n,y\n1,"a\n' + b"b" * 99 + b'\n2,"c\nd",k\n',
        [[2]],
        ["k"],
        [(2, "not CSV: a quote is not"), (3, "line has more than 64")],
        {"max_line_bytes": 64},
    ),
    "text-behind-quote": Case(
        b'u,y\n1,"k"k\n2,k\n', [[2]], ["k"], [(2, "not CSV: ',' expected after")]
    ),
    "spaces": Case(b' u , v,y \n 1 ,2 , a \n"3" ,4,"b"  \n', [[1, 2], [3, 4]], ["a", "b"]),
    "spaced-header": Case(b'"u" ,"v","y" \n1,2,a\n', [[1, 2]], ["a"]),
    # delimiters
    "semicolon": Case(b"u;v;y\n1;2;a,b\n", [[1, 2]], ["a,b"]),
    "tab": Case(b"u\tv\ty\n1\t2\ta, b\n", [[1, 2]], ["a, b"]),
    "pipe": Case(b"u|v|y\r\n1|2|a;b\r\n", [[1, 2]], ["a;b"]),
    "semicolon-bare": Case(b"1;2;a\n3;4;b\n", *READ_AB),
    "semicolon-of-two": Case(b"a, cm;b;y\n1;2;k\n", [[1, 2]], ["k"]),
    "comma-of-two": Case(b"1,a|b,x\n2,c|d|e,y\n", [[1], [2]], ["x", "y"]),
    "comma-by-count": Case(b"1,2,a|b,x\n2,3,c|d,y\n", [[1, 2], [2, 3]], ["x", "y"]),
    "quoted-delimiters": Case(b'"a;b;c","d|e","y"\n1,2,k\n', [[1, 2]], ["k"]),
    "two-in-one-line": Case(b"1,2;3,x\n", [[1]], ["x"]),
    "given": Case(b"u;v,y\n1,k\n", [[1]], ["k"], options={"delimiter": ","}),
    "given-space": Case(b'u v y\n1 2 "a b"\n', [[1, 2]], ["a b"], options={"delimiter": " "}),
    "given-paragraph": Case(
        'u\u00a7y\n1\u00a7"a\nb"\n'.encode(), [[1]], ["a\nb"], options={"delimiter": "\u00a7"}
    ),
    # decimal commas
    "decimal": Case(
        b"u;v;y\n1,5;2;a\n-2,25;5e-1;b\n1.5;1;c\n;1;d\n",
        [[1.5, 2], [-2.25, 0.5], [None, 1], [None, 1]],
        ["a", "b", "c", "d"],
        options={"decimal": ","},
        misfits={"u": 1},
        numbers=("u",),
    ),
    "decimal-bare": Case(
        b"1,5;2,5;3,5;a\n2,5;1;1;b\n",
        [[1.5, 2.5, 3.5], [2.5, 1, 1]],
        ["a", "b"],
        options={"decimal": ","},
    ),
    "decimal-target": Case(
        b"u;p;w\n1,5;2,5;0,5\n",
        [[1.5]],
        ["p"],
        options={"decimal": ",", "target": "p", "weight": "w"},
    ),
    "decimal-late": Case(
        b"u;y\n1;k\n1,5;k\n",
        [[1], [None]],
        ["k", "k"],
        misfits={"u": 1},
        numbers=("u",),
    ),
    "decimal-text": Case(b"u;v;y\n1,5;2;k\n", [[2]], ["k"], options={"decimal": "."}),
}
"""A name, then the stream; an id of a test tells which one failed."""


def read(source: Any) -> tuple[list[list[Any]], list[Any]]:
    x: list[list[Any]] = []
    labels: list[Any] = []
    for batch in source:
        x += numbers_of(batch)
        labels += [None if y < 0 else source.labels.name(y) for y in batch.y.tolist()]
    return x, labels


def check(case: Case, path: Any, **options: Any) -> None:
    letters: list[Any] = []
    source = case.open(path, on_dead=letters.append, **options)
    assert read(source) == (case.x, case.labels)
    assert source.schema.misfits == case.misfits
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


def test_a_record_has_at_most_a_thousand_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b'u,y\n1,"k\n' + b"2,k\n" * 1500 + b'3,"k"\n')
    dead = [(2, "not CSV: a quote is not closed")]
    check(Case(b"", [[2.0]] * 1500 + [[3.0]], ["k"] * 1501, dead), path)
    inside = b"k\n" * 998
    path.write_bytes(b'u,y\n1,"' + inside + b'k"\n2,k\n')
    check(Case(b"", [[1.0], [2.0]], [(inside + b"k").decode(), "k"]), path)
