"""Joining lines to records: against the csv module, and for any bytes in any blocks."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.ingest import CsvSource
from streamreplay.ingest.decode.cells import split
from streamreplay.ingest.decode.delimiters import choose_delimiter
from streamreplay.ingest.decode.lines import LineBuffer
from streamreplay.ingest.decode.records import RecordJoiner


def settle(records: list[bytes], last: bool, named: str | None) -> str | None:  # noqa: ARG001
    return choose_delimiter(records, last=last, decimal=None)


def comma(*_: object) -> str:
    return ","


def records_of(
    data: bytes, cuts: list[int], longest: int, choose: Callable[..., str | None] = settle
) -> list[bytes]:
    given = "," if choose is comma else None
    buffer = LineBuffer(longest, RecordJoiner(longest, choose, given))
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for a, b in pairwise(edges):
        buffer.feed(data[a:b])
        assert buffer.unread().tobytes() == data[:b] or max(map(len, data.split(b"\n"))) > longest
    buffer.finish()
    return buffer.peek(0, len(data) + 1)


PIECES = st.sampled_from(
    [
        b'"',
        b'""',
        b"\n",
        b",",
        b";",
        b"a",
        b"1",
        b" ",
        b"\r\n",
        b'",',
        b',"',
        b'"\n',
        b"\xef\xbb\xbf",
    ]
)
BYTES = st.lists(PIECES, max_size=40).map(b"".join)


@given(BYTES, st.lists(st.integers(0, 99), max_size=6), st.integers(4, 60))
def test_no_byte_is_lost_and_blocks_do_not_matter(
    data: bytes, cuts: list[int], longest: int
) -> None:
    records = records_of(data, [], longest)
    others = records_of(data, cuts, longest)
    assert [r[: longest + 1] for r in others] == [r[: longest + 1] for r in records]
    if all(len(line) <= longest for line in data.split(b"\n")):
        assert b"\n".join(records) == data.removesuffix(b"\n")


@given(BYTES, st.integers(4, 60))
def test_a_record_of_several_lines_can_be_read(data: bytes, longest: int) -> None:
    width = None
    for record in records_of(data, [], longest, comma):
        body = record.removeprefix(b"\xef\xbb\xbf")
        if b"\n" in record:
            cells = split(body, ",")  # raises if a quote is not closed
            assert len(record) <= longest
            assert width is None or len(cells) in (width - 1, width, width + 1)
        if width is None and record.strip(b' \t\r\n,;|"\xef\xbb\xbf'):
            width = body.count(b",") + 1 if b'"' not in body else 9
            if b'"' in body:
                return


CELL = st.text(st.sampled_from('ab1 ,"\n\r;é'), max_size=6)


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12),
    st.sampled_from([",", ";", "|", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 5),
)
def test_what_the_csv_module_writes_is_read_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    delimiter: str,
    end: str,
    size: int,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([["n", "y", "note", "more"], *([str(i), *row] for i, row in enumerate(rows))])
    path = tmp_path_factory.mktemp("csv") / "rows"
    path.write_bytes(text.getvalue().encode())
    source = CsvSource(path, features=["n"], batch_size=size, decimal=".")  # of cells such as 1,1
    found = [
        (x, None if y < 0 else str(source.labels.name(y)))
        for batch in source
        for (x,), y in zip(batch.x.tolist(), batch.y.tolist(), strict=True)
    ]
    assert found == [(i, row[0].strip() or None) for i, row in enumerate(rows)]
    assert source.dead == 0


@given(
    st.lists(
        st.sampled_from(['1,"a', '1,"a,k', '"1,a,k', '1,a,"', '1,"a"x,k', "1,a,k", '1,"b\nc",k']),
        max_size=12,
    )
)
def test_no_good_line_without_a_quote_is_lost(lines: list[str]) -> None:
    """A line without a quote is a record, unless quotes around it make one of right width."""
    data = "\n".join(["u,n,y", *lines, ""]).encode()
    for record in records_of(data, [], 1000, comma):
        if b"\n" in record:
            assert len(split(record, ",")) == 3
