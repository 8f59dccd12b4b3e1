"""JSON that is not one record a line: arrays, and objects over several lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamreplay.errors import SourceError
from streamreplay.ingest import JsonlSource
from streamreplay.ingest.connect import byte_stream
from streamreplay.ingest.decode.json_records import JsonRecords

Write = Callable[..., Path]
NewPipe = Callable[[], Any]
Exact = Callable[[Any], Any]

RECORDS: list[dict[str, Any]] = [
    {
        "x": [i, [1.5, -2][i % 2]],
        "y": 'a]}b{"\\'[i % 7 :],
        "more": {"k": [[{"deep": [[[[{"v": i}]]]]}]], "é": '",}{'},
    }
    for i in range(11)
]


def _joined(records: list[dict[str, Any]], indent: int | None) -> str:
    return "\n".join(json.dumps(each, indent=indent) for each in records) + "\n"


LAYOUTS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "one line": json.dumps,
    "compact": lambda records: json.dumps(records, separators=(",", ":"), ensure_ascii=False),
    "indented": lambda records: json.dumps(records, indent=2) + "\n",
    "not indented": lambda records: json.dumps(records, indent=0).replace("\n", "\r\n"),
    "a record a line": lambda records: "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
    "comma first": lambda records: "\n[ " + "\n, ".join(map(json.dumps, records)) + "\n]",
    "objects": lambda records: _joined(records, 4),
    "two arrays": lambda records: json.dumps(records[:4], indent=1) + json.dumps(records[4:]),
}
LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)


def rows(source: Any) -> list[float]:
    return [row[0] for batch in source for row in batch.x.tolist()]


@LAYOUT
def test_every_layout_gives_the_rows_of_the_same_records_one_a_line(
    write: Write, exact: Exact, layout: str
) -> None:
    plain = JsonlSource(write(map(json.dumps, RECORDS), "plain"), batch_size=4)
    data = LAYOUTS[layout](RECORDS).encode()
    for name, packed in (("rows", data), ("rows.gz", gzip.compress(data))):
        source = JsonlSource(write(packed, name), batch_size=4)
        assert [exact(b) for b in source] == [exact(b) for b in plain]
        plain.load_state_dict(JsonlSource(plain.path, batch_size=4).state_dict())
        assert (source.dead, source.state_dict()["rows"]) == (0, len(RECORDS))


@LAYOUT
def test_a_pipe_that_comes_byte_by_byte_and_goes_on_elsewhere(
    new_pipe: NewPipe, layout: str
) -> None:
    data = LAYOUTS[layout](RECORDS).encode()
    for cut in range(0, len(data), 29):
        first, second = new_pipe(), new_pipe()
        first.write(data[:cut])
        answers = iter([False])
        source = JsonlSource(
            first.path, batch_size=2, max_wait=0, stop=partial(next, answers, True)
        )
        before = rows(source)
        rest = JsonlSource(second.path, batch_size=2)
        rest.load_state_dict(source.state_dict())
        rest.continue_from_here = True
        second.write(data[cut:])
        second.end()
        assert before + rows(rest) == list(range(len(RECORDS)))
        assert rest.dead == 0


@LAYOUT
def test_text_in_any_blocks_is_the_same_text(layout: str) -> None:
    data = LAYOUTS[layout](RECORDS).encode()
    whole = JsonRecords().split(data)
    assert [json.loads(line) for line in whole.split(b"\n") if line.strip()] == RECORDS
    for size in (1, 2, 7, 100):
        records = JsonRecords()
        blocks = [records.split(data[i : i + size]) for i in range(0, len(data), size)]
        assert b"".join(blocks) == whole


@settings(max_examples=500)
@example(b"{{}}")
@example(b'{"a":[{"b":1}{}]},')
@example(b'1 \t\n}"a":\t] \n{"b":1},\t')  # each blank has one form
@example(b'{"a":1}\n{"a":[\n{"b":1}\n]}\n{}\n')
@given(st.binary(max_size=60).map(lambda b: bytes(b'{}[],:"\\\n\t a1'[c % 13] for c in b)))
def test_no_text_depends_on_its_blocks(data: bytes) -> None:
    whole = JsonRecords().split(data)
    records = JsonRecords()
    blocks = [records.split(data[i : i + 1]) for i in range(len(data))]
    assert b"".join(blocks) == whole
    again = JsonRecords()
    half = again.split(data[: len(data) // 2])
    rest = JsonRecords()
    rest.load_state_dict(again.state_dict())
    assert half + rest.split(data[len(data) // 2 :]) == whole


@LAYOUT
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_yield_is_a_safe_point(
    write: Write, exact: Exact, layout: str, pack: Callable[[bytes], bytes]
) -> None:
    path = write(pack(LAYOUTS[layout](RECORDS).encode()))
    source = JsonlSource(path, batch_size=2)
    states = [source.state_dict()]
    batches = []
    for batch in source:
        batches.append(exact(batch))
        states.append(source.state_dict())
    for cut, state in enumerate(states):
        fresh = JsonlSource(path, batch_size=2)
        fresh.load_state_dict(state)
        assert [exact(batch) for batch in fresh] == batches[cut:]
        assert exact(fresh.state_dict()) == exact(source.state_dict())


def test_a_changed_file_is_noticed(write: Write) -> None:
    text = LAYOUTS["indented"](RECORDS)
    source = JsonlSource(write(text.encode()), batch_size=2)
    next(iter(source))
    state = source.state_dict()
    write(text.replace("1.5", "2.5", 1).encode())
    changed = JsonlSource(source.path)
    changed.load_state_dict(state)
    with pytest.raises(SourceError, match="differs somewhere in its first"):
        list(changed)


def test_an_array_that_grows_in_place_goes_on(write: Write) -> None:
    source = JsonlSource(write(json.dumps(RECORDS[:4], indent=1).encode()))
    assert rows(source) == [0, 1, 2, 3]
    write(json.dumps(RECORDS, indent=1).encode())
    longer = JsonlSource(source.path)
    longer.load_state_dict(source.state_dict())
    assert rows(longer) == list(range(4, 11))


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ('[{"x": 1}, null, {"x": 2}, [1, {"x": 3}], "a, b", {"x": 4}]', [1, 2, 4], 3),
        ('[{"x": 1}, {"x": 2, {"x": 3}, {"x": 4}]', [1, 3, 4], 1),  # a brace is missing
        ('[{"x": 1}, {"x": [2}, {"x": 3}]', [1, 3], 1),
        ('[{"x": 1},\n{"x": "2\n},\n{"x": 3}]', [1, 3], 1),  # a quote is missing
        ('[{"x": 1}{"x": 2}\n{"x": 3},,{"x": 4},]', [1, 2, 3, 4], 0),  # commas
        ('[{"x": 1},\n{"x": 2},\n{"x": 3', [1, 2], 1),  # cut short
        ('[{"x": 1}]\n[{"x": 2}] {"x":\n3}', [1, 2, 3], 0),
        ("[]", [], 0),
        ('[null, "a", {"x": 1}, {"x": 2}]', [1, 2], 2),
        ('[\n{"x": 1},\n{"a": [1, 2,\n{"x": 3},\n{"x": 4}\n]', [1, 3, 4], 1),  # cut short
        ('[\n{"x": 1},\n{"x" 2, "a: "{["},\n{"x": 3}\n]', [1, 3], 2),  # a quote is missing
        ('[\n {\n  "x": 1\n },\n {\n  "a": [{\n },\n {\n  "x": 3\n }\n]', [1, 3], 1),
        ('[\n{"x": 1},\n{"x": 2, "a": [\n  {"b": 3},\n  {"b": 4}]},\n{"x": 5}]', [1, 2, 5], 0),
        ('[\n{\n"x": 1,\n"a": [\n{\n}\n]\n},\n{\n"x": 3,\n"a": [\n{\n}]}]', [1, 3], 0),
    ],
)
def test_a_bad_record_takes_no_other_with_it(
    write: Write, text: str, good: list[int], bad: int
) -> None:
    source = JsonlSource(write(text.encode()), label=False)
    assert (rows(source), source.dead) == (good, bad)


def test_a_dead_letter_is_a_record_with_its_place(write: Write) -> None:
    letters: list[dict[str, Any]] = []
    text = '[\n  {"x": 1},\n  {\n    "x": no\n  },\n  {"x": 2}\n]'
    source = JsonlSource(write(text.encode()), label=False, on_dead=letters.append)
    assert rows(source) == [1, 2]
    (letter,) = letters
    assert letter["line"] == 2
    assert text[letter["byte"] :].lstrip().startswith('{\n    "x": no')
    assert "no" in letter["raw"]


def test_a_record_that_is_too_long_is_let_go(write: Write) -> None:
    text = json.dumps([{"x": 1}, {"x": 2, "s": "é" * 500}, {"x": 3}], indent=1)
    source = JsonlSource(write(text.encode()), label=False, max_line_bytes=100)
    assert (rows(source), source.dead) == ([1, 3], 1)


@pytest.mark.parametrize(
    "text",
    [
        '{"x": [1, 2\n{"x": [1, 2]}\n',  # the first line is cut short
        '{"x": [1, 2\nbroken\n{"x": [1, 2]}\n',
        '[1, 2]\n{"x": [1, 2]}\n',
        '\n \n{"x": [1, 2]}\n',
        '{"x": [1, 2]}',
    ],
)
def test_a_record_a_line_stays_one(write: Write, text: str) -> None:
    lines = text.splitlines()
    source = JsonlSource(write(text.encode()), label=False)
    assert rows(source) == [1]
    assert (source.state_dict()["lines"], source.dead) == (
        len(lines),
        sum(not line.endswith("]}") and bool(line.strip()) for line in lines),
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(write: Write, encoding: str) -> None:
    text = json.dumps(RECORDS, indent=2).encode(encoding)
    source = JsonlSource(write(text))
    assert (rows(source), source.dead) == (list(range(11)), 0)


@pytest.mark.parametrize("first", ["5", '"a, b"', "null, 1.5", '"\\\\"'])
def test_an_array_is_told_by_its_first_object_in_any_blocks(
    write: Write, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    path = write(f'[{first}, {{"x": 1}}, {{"x": 2}}]'.encode())
    for block in range(1, path.stat().st_size):
        monkeypatch.setattr(byte_stream, "BLOCK", block)
        assert rows(JsonlSource(path, label=False)) == [1, 2]
