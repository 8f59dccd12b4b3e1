"""Labels that come later than their rows."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.ingest import LateLabels


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
