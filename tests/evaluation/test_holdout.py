"""When held-out rounds come, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.evaluation import Holdout
from streamreplay.evaluation.retention.holdout import UNSEEN
from streamreplay.labels import Labels


def rows(n: int, experience: int, y: int | list[int] = 0, start: int = 0) -> Batch:
    labels = [y] * n if isinstance(y, int) else y
    return Batch.from_arrays(np.zeros((n, 1)), labels, start=start, experience=experience)


def stream(*experiences: int, size: int = 4) -> list[Batch]:
    """Build a batch for each experience named, all labels being the experience."""
    return [rows(size, e, e, start=i * size) for i, e in enumerate(experiences)]


TEST = Batch.from_arrays(np.zeros((6, 1)), [0, 0, 1, 1, 2, 2], experience=[0, 0, 1, 1, 2, 2])


def layout(batches: Iterable[Batch]) -> str:
    """Write a stream as its experiences, with T for a chunk of the test set."""
    return " ".join("T" if b.held_out else str(b.experience[0]) for b in batches)


@pytest.mark.parametrize(
    ("batches", "options", "want"),
    [
        ([], {}, ""),
        (stream(0), {}, "0 T"),
        (stream(0, 0, 1, 1, 0), {}, "0 0 T 1 1 T 0 T"),
        (stream(0, 1), {"chunk": 4}, "0 T T 1 T T"),
        (stream(0, 0, 0, 0, 0), {"every": 8}, "0 0 T 0 0 T 0 T"),
        (stream(0, 0, 0, 0, 0), {"every": 7}, "0 0 T 0 0 T 0 T"),
        (stream(0, 0, 0, 0), {"every": 3}, "0 T 0 T 0 T 0 T"),
        (stream(0, 0, 1, 1, 1), {"every": 8}, "0 0 T 1 1 T 1 T"),
    ],
)
def test_rounds_come_where_they_should(
    batches: list[Batch], options: dict[str, Any], want: str
) -> None:
    assert layout(Holdout(TEST, **options)(batches)) == want


def test_the_stream_passes_untouched() -> None:
    batches = stream(0, 0, 1)
    assert [b for b in Holdout(TEST)(batches) if not b.held_out] == batches


def test_chunks_are_the_test_set_in_order() -> None:
    chunks = [b for b in Holdout(TEST, chunk=4)(stream(3)) if b.held_out]
    assert [len(chunk) for chunk in chunks] == [4, 2]
    joined = Batch.concat(chunks)
    assert joined.t.tolist() == list(range(6))
    assert joined.y.tolist() == TEST.y.tolist()
    assert joined.experience.tolist() == TEST.experience.tolist()


def test_nothing_is_held_back() -> None:
    pulled = []

    def source() -> Iterator[Batch]:
        for batch in stream(0, 1, 1):
            pulled.append(batch)
            yield batch

    for batch in Holdout(TEST)(source()):
        assert batch.held_out or batch is pulled[-1]


def test_no_second_round_at_the_end() -> None:
    holdout = Holdout(TEST)
    assert layout(holdout(stream(0))) == "0 T"
    assert layout(holdout([])) == ""
    assert layout(holdout(stream(1))) == "1 T"


def test_a_round_cut_short_is_taken_again() -> None:
    holdout = Holdout(TEST, chunk=2)
    steps = holdout(stream(0, 1, 1))
    assert layout(next(steps) for _ in range(3)) == "0 T T"
    # the batch that called for the round is not lost with the generator
    assert layout(holdout(stream(0))) == "T T T 1 T T T 0 T T T"


def test_a_round_cut_short_is_taken_again_from_a_state() -> None:
    steps = (holdout := Holdout(TEST, chunk=2))(stream(0, 1, 1))
    assert layout(next(steps) for _ in range(3)) == "0 T T"
    fresh = Holdout(TEST, chunk=2)
    fresh.load_state_dict(holdout.state_dict())
    assert layout(fresh([])) == "T T T 1 T T T"


def test_labels_are_found_by_name() -> None:
    vocabulary = Labels(["cat"])
    holdout = Holdout(replace(TEST, labels=Labels(["dog", "cat", "eel"])))
    steps = holdout([replace(batch, labels=vocabulary) for batch in stream(0, 1)])
    next(steps)
    dog, cat, eel = UNSEEN, 0, UNSEEN + 2
    assert next(steps).y.tolist() == [dog, dog, cat, cat, eel, eel]
    vocabulary.index("eel")
    next(steps)
    last = next(steps)
    assert last.y.tolist() == [dog, dog, cat, cat, 1, 1]
    assert last.labels is vocabulary
    again = Holdout(replace(TEST, labels=Labels(["dog", "cat", "eel"])))
    again.load_state_dict(holdout.state_dict())
    vocabulary.index("dog")  # after the state was saved
    assert next(again([])).y.tolist() == last.y.tolist()


def test_names_need_names_in_the_stream() -> None:
    holdout = Holdout(replace(TEST, labels=Labels(["dog", "cat", "eel"])))
    with pytest.raises(ConfigError, match="classes, such as 'dog', and the stream has none"):
        list(holdout(stream(0)))


@pytest.mark.parametrize("test", [["a", "c"], ["a", "b", "c"]])
def test_features_must_be_those_of_the_stream(test: list[str]) -> None:
    holdout = Holdout(replace(TEST, feature_names=test))
    named = [replace(batch, feature_names=["a", "b"]) for batch in stream(0)]
    message = f"its features are {', '.join(test)}, those of the source a, b; say with"
    with pytest.raises(ConfigError, match=message):
        list(holdout(named))
    assert list(Holdout(replace(TEST, feature_names=["a", "b"]))(named))
    assert list(Holdout(replace(TEST, feature_names=["0", "1"]))(named))  # only positions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        ({"test": replace(TEST, labels=Labels(["a"]))}, "test has label 2, but there are 1 names"),
        ({"test": TEST.take(slice(0, 0))}, "test must have at least one row, got 0"),
        ({"test": rows(3, 0, [0, -1, -1])}, "needs a label, 2 of 3 have none"),
    ],
)
def test_refuses_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Holdout(**{"test": TEST, **options})


def test_refuses_a_stream_of_another_shape() -> None:
    batch = Batch.from_arrays(np.zeros((2, 5), np.uint8))
    message = r"test rows are float32\[6, 1\], the stream has uint8\[2, 5\]"
    with pytest.raises(ConfigError, match=message):
        list(Holdout(TEST)([batch]))


def test_refuses_a_state_of_another_test_set() -> None:
    with pytest.raises(CheckpointError, match=r"^rows: saved 30, this pipeline has 6$"):
        Holdout(TEST).load_state_dict(Holdout(rows(30, 0)).state_dict())
    with pytest.raises(CheckpointError, match=r"^every: saved 5, this pipeline has None$"):
        Holdout(TEST).load_state_dict(Holdout(TEST, every=5).state_dict())
