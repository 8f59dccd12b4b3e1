"""Labels that come later than their rows."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.ingest import CsvSource, JsonlSource, LateLabels


def bare(*ids: Any) -> Batch:
    """Rows without labels, whose one feature is 10 times their place."""
    x = 10.0 * np.arange(1, len(ids) + 1)[:, None]
    return Batch.from_arrays(x, id=np.array(ids))


def labels(*ids: Any) -> Batch:
    """Labels 0, 1, ... without features."""
    x = np.zeros((len(ids), 1))
    return Batch.from_arrays(x, np.arange(len(ids)), id=np.array(ids))


def features(stage: LateLabels, *batches: Batch) -> list[list[float]]:
    return [batch.x[:, 0].tolist() for batch in stage(batches)]


@pytest.mark.parametrize("ids", [("a", "b", "c"), (7, -5, 2**60)])
def test_a_label_finds_its_row_once(ids: tuple[Any, ...]) -> None:
    stage = LateLabels(10)
    a, b, c = ids
    assert features(stage, bare(a, b, c), labels(c, a), labels(a)) == [[10, 20, 30], [30, 10], [0]]
    assert (stage.joined, stage.given_up, len(stage)) == (2, 0, 1)


def test_a_label_may_come_in_the_batch_of_its_row() -> None:
    both = Batch.from_arrays([[5.0], [0.0]], [-1, 2], id=["a", "a"])
    stage = LateLabels(10)
    (joined,) = stage([both])
    assert (joined.x[:, 0].tolist(), joined.y.tolist()) == ([5, 5], [-1, 2])
    assert both.x[:, 0].tolist() == [5, 0]
    assert len(stage) == 0


def test_the_oldest_row_is_given_up() -> None:
    stage = LateLabels(3)
    features(stage, bare("a", "b", "c", "d"))
    assert (len(stage), stage.given_up) == (3, 1)
    assert features(stage, labels("a", "b", "c", "d")) == [[0, 20, 30, 40]]
    assert len(stage) == 0
    assert features(stage, bare("e", "f", "g"), labels("g", "e", "f"))[1] == [30, 10, 20]
    assert stage.given_up == 1


def test_a_row_that_comes_again_replaces_the_first_and_is_new() -> None:
    stage = LateLabels(3)
    features(stage, bare("x", "a", "b"), labels("x"), bare("a"))
    assert (len(stage), stage.given_up) == (2, 0)
    features(stage, bare("c", "d"))  # b is the oldest now
    assert features(stage, labels("a", "b", "c", "d")) == [[10, 0, 10, 20]]
    assert stage.given_up == 1


def test_what_cannot_be_joined_passes_on_as_it_is() -> None:
    stage = LateLabels(5)
    full = Batch.from_arrays([[1.0]], [0], id=["new"])
    nameless = Batch.from_arrays([[1.0]], [0])
    held_out = replace(bare("a"), held_out="test")
    empty = bare("a").take(slice(0, 0))
    batches = [full, nameless, held_out, empty]
    assert all(out is given for out, given in zip(stage(batches), batches, strict=True))
    assert len(stage) == 0


def test_what_is_no_row_to_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^max_size must be at least 1, got 0$"):
        LateLabels(0)
    with pytest.raises(ValueError, match=r"^a row without a label needs an id"):
        list(LateLabels(5)([Batch.from_arrays([[1.0]])]))
    stage = LateLabels(5)
    wide = Batch.from_arrays([[1.0, 2.0]], id=["b"])
    with pytest.raises(ValueError, match=r"^x: rows held are float32\[1\], got float32\[2\]$"):
        list(stage([bare("a"), wide]))
    with pytest.raises(ValueError, match=r"^x: rows held are float32\[1\], got float32\[2\]$"):
        list(stage([Batch.from_arrays([[1.0, 2.0]], [0], id=["a"])]))


def test_a_state_is_resumed_with_the_order_of_its_rows() -> None:
    stage = LateLabels(3)
    features(stage, bare("a", "b", "c"), labels("b"))
    state = copy.deepcopy(stage.state_dict())
    resumed = LateLabels(3)
    resumed.load_state_dict(state)
    for each in (stage, resumed):
        features(each, bare("d", "e"))  # the second makes a go
        assert features(each, labels("a", "c", "d", "e")) == [[0, 30, 10, 20]]
        assert (each.joined, each.given_up) == (4, 1)
    with pytest.raises(CheckpointError, match=r"^max_size: saved 3, this pipeline has 4$"):
        LateLabels(4).load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"^x: saved 2 rows for 1 ids$"):
        LateLabels(3).load_state_dict({**state, "id": ["a"]})


IDS = [
    ["00123", "45678", "7", "07", "1_000", "+7", "0x10", "x"],
    ["1", "01", "1.0", "1e0", "-1", "\uff11", "12345678901234567890123", "nan"],
]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_ids_are_joined_as_text_in_batches_of_any_size(
    tmp_path: Path, form: str, ids: list[str], size: int
) -> None:
    cells: list[tuple[str, float, str | None]] = [
        (each, 1.0 + i, None) for i, each in enumerate(ids)
    ]
    cells += [(each, 0.0, f"class {i}") for i, each in reversed([*enumerate(ids)])]
    path = tmp_path / "rows"
    source: CsvSource | JsonlSource
    if form == "csv":
        path.write_text("id,u,y\n" + "".join(f"{a},{b},{c or ''}\n" for a, b, c in cells))
        source = CsvSource(path, batch_size=size)
    else:
        records = [{"id": a, "u": b, "y": c} for a, b, c in cells]
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        source = JsonlSource(path, batch_size=size)
    stage = LateLabels(100)
    joined = [
        (x, source.labels.name(y))
        for batch in stage(source)
        for x, y in zip(batch.x[:, 0].tolist(), batch.y.tolist(), strict=True)
        if y >= 0
    ]
    assert joined == [(1.0 + i, f"class {i}") for i in reversed(range(len(ids)))]
    assert (stage.joined, len(stage)) == (len(ids), 0)


@pytest.mark.parametrize("size", [1, 3])
def test_numbers_in_json_join_their_digits(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows"
    path.write_text(
        '{"id": 5, "u": 1}\n{"id": "6", "u": 2}\n{"id": 7.0, "u": 3}\n'
        '{"id": 6, "u": 0, "y": "b"}\n{"id": "5", "u": 0, "y": "a"}\n{"id": 7, "u": 0, "y": "c"}\n'
    )
    stage = LateLabels(10)
    batches = list(stage(JsonlSource(path, batch_size=size)))
    assert np.concatenate([batch.x[:, 0] for batch in batches]).tolist() == [1, 2, 3, 2, 1, 3]
    assert stage.joined == 3


def test_a_row_without_a_label_needs_an_id_whatever_its_neighbours_have() -> None:
    for ids in ([None, None], ["a", None]):
        batch = Batch.from_arrays([[1.0], [2.0]], id=np.array(ids), start=4)
        row = 4 if ids[0] is None else 5
        with pytest.raises(ValueError, match=rf"needs an id .* row {row} has none"):
            list(LateLabels(2)([batch]))
    late = Batch.from_arrays([[1.0], [2.0]], [0, 1], id=["a", ""])
    assert features(LateLabels(2), late) == [[1, 2]]
