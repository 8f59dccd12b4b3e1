from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, RecordError, SourceError
from streamreplay.features.schema import Schema
from streamreplay.ingest import JsonlSource
from streamreplay.ingest.connect import byte_stream
from streamreplay.labels import Labels
from tests.ingest.tables import numbers_of, rows_of

Write = Callable[..., Path]


def rows(source: JsonlSource) -> list[list[float]]:
    return [row for batch in source for row in batch.x.tolist()]


def dicts(source: JsonlSource) -> list[dict[str, Any]]:
    return [row for batch in source for row in rows_of(batch)]


def only(source: JsonlSource) -> Batch:
    (batch,) = source
    return batch


def test_an_array_field_called_x_is_the_features(write: Write) -> None:
    source = JsonlSource(write(['{"x": [1, 2.5, true], "f": 9, "y": 1}']))
    batch = only(source)
    assert batch.x.dtype == np.float32
    assert batch.x.tolist() == [[1.0, 2.5, 1.0]]
    assert (source.feature_names, source.feature_shape) == (["x"], (3,))
    assert source.left_out == ["f"]


def test_else_all_fields_but_the_reserved_in_order(write: Write) -> None:
    record = {"b": 2, "y": 5, "task": 1, "a": 1.5, "s": "no", "n": None, "c": True, "id": 3}
    path = write([json.dumps(record), '{"c": 0, "a": 7, "b": 8, "y": 6}'])
    source = JsonlSource(path, task="task")
    assert dicts(source) == [{"b": 2, "a": 1.5, "s": "no", "c": 1}, {"b": 8, "a": 7, "c": 0}]
    assert source.feature_names == ["a", "b", "c", "s"]
    numbers = JsonlSource(write(['{"b": 2, "a": 1.5, "y": 0, "c": true}']))
    assert only(numbers).x.tolist() == [[2.0, 1.5, 1.0]]
    assert numbers.feature_names == ["b", "a", "c"]
    assert source.left_out == ["n"]


def test_named_fields(write: Write) -> None:
    path = write(['{"a": 1, "b": 2, "v": [3, 4]}'])
    assert rows(JsonlSource(path, features=["b", "a"])) == [[2.0, 1.0]]
    assert rows(JsonlSource(path, features=["b"])) == [[2.0]]
    assert rows(JsonlSource(path, features=["v"])) == [[3.0, 4.0]]


def test_nested_arrays_keep_their_shape(write: Write) -> None:
    images = np.arange(24).reshape(2, 3, 4)
    path = write([json.dumps({"x": image.tolist(), "y": 0}) for image in images])
    np.testing.assert_array_equal(only(JsonlSource(path)).x, images.astype(np.float32))


def test_all_columns(write: Write) -> None:
    path = write(
        [
            '{"x": [1], "class": "a", "task": 2, "experience": 1, "id": 7, "time": 12.5}',
            '{"x": [2], "class": 3, "task": 2.0, "experience": 1, "id": 8, "time": "1970-01-01"}',
            '{"x": [3], "class": "a", "experience": 1, "id": 9}',
            '{"x": [4], "class": null, "experience": 1, "id": -1, "y": 1}',
        ]
    )
    source = JsonlSource(path, label="class")
    batch = only(source)
    assert batch.y.tolist() == [0, 1, 0, -1]
    assert source.labels.names == ["a", 3]
    assert batch.t.tolist() == [0, 1, 2, 3]
    assert batch.task.tolist() == [2, 2, 0, 0]
    assert batch.experience.tolist() == [1] * 4
    assert batch.id is not None
    assert batch.id.tolist() == ["7", "8", "9", "-1"]
    assert batch.time is not None
    np.testing.assert_array_equal(batch.time, [12.5, 0.0, math.nan, math.nan])


def test_columns_nobody_has_are_absent(write: Write) -> None:
    batch = only(JsonlSource(write(['{"x": [1]}', '{"x": [2], "id": null}'])))
    assert batch.id is None
    assert batch.time is None
    assert batch.y.tolist() == [-1, -1]


@pytest.mark.parametrize("size", [1, 2, 8])
def test_ids_are_text_whatever_stands_next_to_them(write: Write, size: int) -> None:
    given = ["5", '"5"', '"b"', "5.0", "null", '"05"', "7", "8"]
    path = write([f'{{"x": [{i}], "id": {each}}}' for i, each in enumerate(given)])
    found: list[str] = []
    for batch in JsonlSource(path, batch_size=size):
        found += [""] * len(batch) if batch.id is None else batch.id.tolist()
    assert found == ["5", "5", "b", "5", "", "05", "7", "8"]


def test_a_stream_without_labels(write: Write) -> None:
    for label in (False, ""):
        source = JsonlSource(write(['{"y": 1, "a": 2}']), label=label)
        batch = only(source)
        assert (batch.y.tolist(), batch.x.tolist()) == ([-1], [[1.0, 2.0]])


def test_known_labels_keep_their_index(write: Write) -> None:
    labels = Labels(["dog"])
    source = JsonlSource(write(['{"x": [1], "y": "cat"}', '{"x": [1], "y": "dog"}']), labels=labels)
    assert only(source).y.tolist() == [1, 0]
    assert labels.names == ["dog", "cat"]


LAST = '{"x": [5, 6]}'
BAD = [
    ('{"x": [1, 2}', "not JSON: unexpected character, expected ',' or ']' at column 12"),
    ("12", "not a JSON object: 12"),
    ('["x"]', "not a JSON object: ['x']"),
    ("null", "not a JSON object: null"),
    ('{"x": [1]}', "x has 1 numbers, expected 2"),
    ('{"x": [1, 2, 3]}', "x has 3 numbers, expected 2"),
    ('{"x": []}', "x is empty"),
    ('{"x": [[1], [2]]}', "x has shape [2, 1], expected [2]"),
    ('{"x": [[1], [2, 3]]}', "x is ragged: its parts differ in length"),
    ('{"x": [1, [2]]}', "x[1] is not a number: [2]"),
    ('{"x": [1, null]}', "x[1] is missing"),
    ('{"x": [1, "2"]}', "x[1] is not a number: '2'"),
    ('{"x": [1, {}]}', "x[1] is not a number: {}"),
    ('{"x": [1, NaN]}', "x[1] is not finite: nan"),
    ('{"x": [1, -Infinity]}', "x[1] is not finite: -inf"),
    ('{"x": [1, 1e39]}', "x[1] is outside the range of float32: 1e+39"),
    ('{"x": 5}', "x is not an array: 5"),
    ('{"x": "ab"}', "x is not an array: 'ab'"),
    ('{"x": {"a": 1, "b": 2}}', "x is not an array: {'a': 1, 'b': 2}"),
    ("{}", "x is missing"),
    ('{"x": [1, 2], "y": 1e17}', "label 1e+17 is neither a string nor an integer"),
    ('{"x": [1, 2], "y": {}}', "label {} is neither a string nor an integer"),
    ('{"x": [1, 2], "task": "a"}', "task 'a' is not an integer"),
    ('{"x": [1, 2], "experience": 0.5}', "experience 0.5 is not an integer"),
    ('{"x": [1, 2], "id": true}', "id true is neither a string nor an integer"),
    ('{"x": [1, 2], "time": "noon"}', "time 'noon' is neither a number nor ISO 8601"),
    ('{"x": [1, 2], "y": "\x00"}', "not JSON: "),
    ('{"x": [1, 2]} {"x": [1, 2]}', "not JSON: "),
    ('{"x": [1, 2], "z": "' + "é" * 300 + '"}', "line has more than 200 bytes"),
]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_is_a_dead_letter(write: Write, line: str, reason: str, batch_size: int) -> None:
    letters: list[dict[str, Any]] = []
    path = write(['{"x": [1, 2]}', "", line, '{"x": [3, 4]}', LAST])
    source = JsonlSource(path, batch_size=batch_size, max_line_bytes=200, on_dead=letters.append)
    assert rows(source) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert source.dead == len(letters) == 1
    assert letters[0].pop("reason").startswith(reason)
    if len(line.encode()) <= 200:
        assert letters == [{"line": 3, "byte": 15, "source": "rows", "raw": line}]
    assert [b.t.tolist() for b in JsonlSource(path, batch_size=9, max_line_bytes=200)] == [
        [0, 1, 2]
    ]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_strict_stops_at_a_bad_line_and_before_its_batch(
    write: Write, line: str, reason: str
) -> None:
    letters: list[dict[str, Any]] = []
    path = write(['{"x": [1, 2]}', '{"x": [3, 4]}', "", '{"x": [3, 4]}', line, LAST])
    source = JsonlSource(
        path, batch_size=2, max_line_bytes=200, strict=True, on_dead=letters.append
    )
    batches = iter(source)
    next(batches)
    before = source.state_dict()
    for _ in range(2):
        with pytest.raises(RecordError) as caught:
            list(source)
        assert str(caught.value).startswith(f"rows:5: {reason}")
        assert source.state_dict().pop("bytes") == before["bytes"]
    assert (source.position, source.dead, letters) == (2, 0, [])


def test_strict_yields_what_an_experience_ends_before_the_bad_line(write: Write) -> None:
    good = ['{"x": [1], "experience": 0}'] * 3 + ['{"x": [1], "experience": 1}'] * 2
    source = JsonlSource(write([*good, "bad"]), strict=True)
    batches = iter(source)
    assert len(next(batches)) == 3
    with pytest.raises(RecordError, match=r"^rows:6: "):
        next(batches)


def test_strict_sees_a_bad_line_inside_a_later_experience(write: Write) -> None:
    rows_of = [f'{{"x": [1], "experience": {e}}}' for e in (0, 1, 1, 2)]
    source = JsonlSource(write([*rows_of[:2], "bad", *rows_of[2:]]), strict=True)
    batches = iter(source)
    assert len(next(batches)) == 1
    with pytest.raises(RecordError, match=r"^rows:3: "):
        next(batches)
    assert source.position == 1


def test_bytes_that_are_not_text(write: Write) -> None:
    letters: list[dict[str, Any]] = []
    path = write(b'{"x": [1]}\n{"x": [1], "y": "\xff"}\n{"x": [2]}\n')
    assert rows(JsonlSource(path, on_dead=letters.append)) == [[1.0], [2.0]]
    assert letters[0]["reason"] == "not UTF-8 at byte 17 of the line"
    assert letters[0]["raw"] == '{"x": [1], "y": "\\xff"}'


def test_a_long_text_is_cut_in_its_letter(write: Write) -> None:
    letters: list[dict[str, Any]] = []
    rows(JsonlSource(write(["é" * 5000, "a" * 4096]), on_dead=letters.append))
    assert letters[0]["raw"] == "é" * 4096
    assert (letters[0]["raw_cut"], letters[0]["raw_bytes"]) == (True, 10_000)
    assert letters[1]["raw"] == "a" * 4096
    assert "raw_cut" not in letters[1]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 18])
def test_nothing_depends_on_the_blocks_that_a_long_line_comes_in(
    write: Write, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK", block)
    letters: list[dict[str, Any]] = []
    path = write(['{"a": 1}', '{"b": "' + "long" * 30 + '"}', '{"a": 2}', "short"])
    source = JsonlSource(path, max_line_bytes=50, on_dead=letters.append)
    assert rows(source) == [[1.0], [2.0]]
    assert source.feature_names == ["a"]  # what is too long is no example of a column
    assert letters[0]["raw"] == ('{"b": "' + "long" * 30)[:51]
    assert (letters[0]["raw_cut"], letters[0]["raw_bytes"]) == (True, 129)
    assert "raw_cut" not in letters[1]


@pytest.mark.parametrize("size", [1, 2, 9])
def test_a_first_record_that_is_put_aside_decides_nothing(write: Write, size: int) -> None:
    lines = ['{"x": [1], "id": 0.5}', '{"a": 3e9}', '{"a": 5}', '{"a": 7}']
    source = JsonlSource(write(lines), batch_size=size)
    assert rows(source) == [[3e9], [5.0], [7.0]]
    assert (source.schema.inferred_from, source.schema.columns["a"].anchor) == (3, 0.0)


def test_a_line_longer_than_what_is_read_at_once(write: Write) -> None:
    letters: list[dict[str, Any]] = []
    long = b'{"x": [1], "z": "' + b"a" * 3_000_000 + b'"}'
    path = write(b'{"x": [0]}\n' + long + b"\nbad\n" + b'{"x": [2]}\n' + long)
    source = JsonlSource(path, on_dead=letters.append)
    assert rows(source) == [[0.0], [2.0]]
    start = 12 + len(long)
    assert [(d["line"], d["byte"]) for d in letters] == [(2, 11), (3, start), (5, start + 15)]
    assert letters[0]["reason"] == "line has more than 1048576 bytes"
    assert letters[2]["raw_bytes"] == len(long)
    assert source.state_dict()["bytes"] == path.stat().st_size


@pytest.mark.parametrize("size", [1, 2, 9])
def test_missing_and_infinite_numbers(write: Write, size: int) -> None:
    path = write(
        [
            '{"a": 1, "b": 2}',
            '{"a": null, "b": 2}',
            '{"b": 2}',
            '{"a": NaN, "b": -Infinity}',
            '{"a": 1e39, "b": 0}',
        ]
    )
    schema = Schema(kinds={"a": "number", "b": "number"})
    source = JsonlSource(path, batch_size=size, strict=True, schema=schema)
    found = [row for batch in source for row in numbers_of(batch)]
    assert found == [[1, 2], [None, 2], [None, 2], [None, None], [None, 0]]
    assert (source.dead, schema.misfits) == (0, {"a": 1, "b": 1})


def test_nan_is_not_a_way_around_the_rules_of_json(write: Write) -> None:
    lines = ['{"x": 1}', '{"x": NaN, "y": "\\ud800"}', '{"x": NaN, "y": }', '{"x": NaN}']
    source = JsonlSource(write(lines))
    assert dicts(source) == [{"x": 1}, {}]
    assert source.dead == 2


@pytest.mark.parametrize("first", [False, True])
def test_a_record_that_cannot_be_read_does_not_decide_the_features(
    write: Write, first: bool
) -> None:
    bad, rows_of_file = '{"a": 1, "b": 2, "y": [1]}', ['{"b": 3}', '{"b": "t"}']
    path = write([bad, *rows_of_file] if first else [*rows_of_file, bad])
    source = JsonlSource(path, schema=Schema(infer_rows=1))
    assert dicts(source) == [{"b": 3}, {}]
    assert (source.feature_names, source.dead, source.schema.misfits) == (["b"], 1, {"b": 1})


def test_a_record_without_a_field_is_a_row(write: Write) -> None:
    source = JsonlSource(write(['{"s": "t"}', '{"b": 3}', "{}", '{"b": 1, "s": "u"}']))
    assert dicts(source) == [{"s": "t"}, {"b": 3}, {}, {"b": 1, "s": "u"}]
    assert (source.feature_names, source.dead) == (["b", "s"], 0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_line_ends_blank_lines_and_a_bom(
    write: Write, end: str, last: bool, bom: bytes, batch_size: int
) -> None:
    lines = ['{"x": [1], "y": "a"}', "", '{"x": [2], "y": "b"}', " \t ", '{"x": [3], "y": "a"}']
    data = bom + (end.join(lines) + (end if last else "")).encode()
    source = JsonlSource(write(data), batch_size=batch_size)
    assert rows(source) == [[1.0], [2.0], [3.0]]
    assert (source.dead, source.labels.names) == (0, ["a", "b"])
    state = source.state_dict()
    assert (state["lines"], state["bytes"]) == (5, len(data))


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"  \n"])
def test_an_empty_stream_yields_nothing(write: Write, data: bytes) -> None:
    source = JsonlSource(write(data))
    assert list(source) == []
    assert (source.position, source.dead) == (0, 0)
    assert source.state_dict()["bytes"] == len(data)


def test_a_batch_ends_where_the_experience_changes(write: Write) -> None:
    experiences = [0, 0, 0, 1, 2, 2, 0]
    lines = [json.dumps({"x": [i], "experience": e}) for i, e in enumerate(experiences)]
    for size in range(1, 9):
        batches = list(JsonlSource(write(lines), batch_size=size))
        assert [e for b in batches for e in b.experience.tolist()] == experiences
        expected = [
            min(size, n - i)
            for n in (len(list(group)) for _, group in itertools.groupby(experiences))
            for i in range(0, n, size)
        ]
        assert [len(b) for b in batches] == expected


def test_limit_counts_rows_of_the_whole_stream(write: Write) -> None:
    path = write([json.dumps({"x": [i]}) for i in range(10)])
    source = JsonlSource(path, batch_size=3, limit=5)
    assert [len(b) for b in source] == [3, 2]
    with pytest.warns(UserWarning, match="^rows: has been read to its end"):
        assert list(source) == []
    more = JsonlSource(path, batch_size=3, limit=9)
    more.load_state_dict(source.state_dict())
    assert rows(more) == [[5.0], [6.0], [7.0], [8.0]]
    assert list(JsonlSource(path, limit=0)) == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "x": st.lists(
                    st.one_of(st.integers(0, 9), st.floats(width=32)), min_size=1, max_size=3
                )
            },
            optional={
                "y": st.one_of(
                    st.none(), st.integers(0, 3), st.sampled_from(["a", "1"]), st.just(0.5)
                ),
                "task": st.integers(0, 2),
                "experience": st.integers(0, 1),
                "id": st.one_of(st.integers(-9, 9), st.text(max_size=3)),
                "time": st.one_of(st.integers(0, 9), st.just("2024-01-01"), st.just("x")),
            },
        ),
        max_size=12,
    ),
    st.integers(1, 6),
)
def test_batches_of_any_size_hold_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], size: int
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "rows"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    ones, many = JsonlSource(path, batch_size=1), JsonlSource(path, batch_size=size)
    found = table(ones)
    assert found == table(many)
    assert (ones.labels.names, ones.dead) == (many.labels.names, many.dead)
    assert len(found) + ones.dead == len(records)


def table(source: JsonlSource) -> list[Any]:
    return [
        (
            b.x[i].tolist(), b.y[i], b.t[i], b.task[i], b.experience[i],
            "" if b.id is None else b.id[i],
            repr(math.nan if b.time is None else float(b.time[i])),
        )
        for b in source
        for i in range(len(b))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"limit": -1}, "limit must be at least 0, got -1"),
        ({"max_wait": -0.5}, "max_wait must be at least 0 seconds, got -0.5"),
        ({"max_wait": math.nan}, "max_wait must be at least 0 seconds, got nan"),
        ({"max_line_bytes": 0}, "max_line_bytes must be at least 1, got 0"),
        ({"features": []}, "features must be different names, at least one"),
        ({"features": ["a", "y"]}, "features must not hold the label, got 'y' as both"),
        ({"features": ["a", "a"]}, "features must be different names, at least one"),
        ({"label": True}, "label must be a name, or false for none"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JsonlSource("rows", **options)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="missing: cannot be opened: No such file"):
        list(JsonlSource(tmp_path / "missing"))
    with pytest.raises(SourceError, match="is a folder"):
        list(JsonlSource(tmp_path))


def test_a_state_of_other_settings_is_refused(write: Write) -> None:
    path = write(['{"a": 1, "b": 2}'])
    source = JsonlSource(path)
    list(source)
    state = source.state_dict()
    with pytest.raises(CheckpointError, match=r"^features: saved \['a', 'b'\], this pipeline has"):
        JsonlSource(path, features=["a"]).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^fields: saved .*'y'.* has .*'class'"):
        JsonlSource(path, label="class").load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^format: saved csv, this pipeline has jsonl"):
        source.load_state_dict({**state, "format": "csv"})
    del state["crc"]
    with pytest.raises(CheckpointError, match=r"^crc: not saved"):
        source.load_state_dict(state)
