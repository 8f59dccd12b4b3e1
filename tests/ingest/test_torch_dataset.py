"""Torch's datasets as sources: what is read of an item, and what a resume checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from streamreplay.errors import CheckpointError, SourceError
from streamreplay.ingest import open_dataset

ROWS = [([float(i), 0.0], i % 3) for i in range(10)]


class Repeatable(IterableDataset[Any]):
    """Has a length, which makes it no map-style dataset."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


def test_tensors_and_their_labels() -> None:
    x, y = torch.arange(8).reshape(4, 2), torch.tensor([7, 9, 7, 8])
    source = open_dataset(TensorDataset(x, y), batch_size=3)
    batches = list(source)
    assert [batch.x.tolist() for batch in batches] == [[[0, 1], [2, 3], [4, 5]], [[6, 7]]]
    assert [batch.y.tolist() for batch in batches] == [[0, 1, 0], [2]]
    assert (source.labels.names, source.rows_total) == ([7, 9, 8], 4)


def test_items_with_keys_images_and_no_labels() -> None:
    image = np.full((2, 2), 200, np.uint8)
    (batch,) = open_dataset([{"image": image, "kind": "cat"}], features="image", label="kind")
    assert (batch.x.dtype.name, batch.x.tolist(), batch.y.tolist()) == (
        "uint8",
        [image.tolist()],
        [0],
    )
    (batch,) = open_dataset([(image,)], label=None)
    assert batch.y.tolist() == [-1]
    assert [len(each) for each in open_dataset(ROWS, limit=7, batch_size=5)] == [5, 2]


@pytest.mark.parametrize(
    ("rows", "options", "kind", "message"),
    [
        ([([1.0],)], {}, TypeError, "^list: an item has no place 0 or 1: name those of features"),
        ([([1.0], 0.5)], {}, TypeError, "^list: label 0.5 is neither a string nor an integer"),
        (
            [([1.0], [0, 1])],
            {},
            TypeError,
            r"^list: the label of an item must be .*, got int64\[2\]",
        ),
        ([([1.0], 0), ([1.0, 2.0], 0)], {}, ValueError, "rows differ in shape"),
        ([([1.0], 0), ([np.nan], 0)], {}, ValueError, "^x must be finite in float32, row 1 is not"),
        (ROWS, {"batch_size": 0}, ValueError, "^batch_size must be at least 1, got 0"),
        (ROWS, {"limit": -1}, ValueError, "^limit must be at least 0, got -1"),
        (3, {}, TypeError, "^dataset must be map-style or iterable, got int"),
    ],
)
def test_mistakes(rows: Any, options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        list(open_dataset(rows, **options))


def resumed(rows: Any) -> Any:
    """Go on after four of ten rows in a dataset of other rows."""
    first = open_dataset(Repeatable(ROWS) if isinstance(rows, Repeatable) else ROWS, batch_size=4)
    next(iter(first))
    second = open_dataset(rows, batch_size=4)
    second.load_state_dict(first.state_dict())
    return second


CHANGED = [*ROWS[:3], ([9.0, 9.0], 0), *ROWS[4:]]


def test_a_resume_compares_the_rows_that_were_learned_from() -> None:
    assert next(iter(resumed(ROWS))).x[0].tolist() == [4.0, 0.0]
    assert next(iter(resumed(Repeatable(ROWS)))).x[0].tolist() == [4.0, 0.0]
    with pytest.raises(SourceError, match=r"^list: row 3 differs from the one that was learned$"):
        list(resumed(CHANGED))
    with pytest.raises(SourceError, match=r"^list: 4 rows of it were learned from, but it has onl"):
        list(resumed(ROWS[:3]))
    with pytest.raises(SourceError, match=r"^Repeatable: not the stream that was learned from"):
        list(resumed(Repeatable([*ROWS[:2], *CHANGED[2:]])))
    with pytest.raises(SourceError, match=r"^Repeatable: ends at byte .* were learned from"):
        list(resumed(Repeatable(ROWS[:3])))


def test_an_iterable_may_go_on_with_another_part() -> None:
    source = resumed(Repeatable(ROWS[4:]))
    source.continue_from_here = True
    assert [x for batch in source for x in batch.x[:, 0].tolist()] == [4, 5, 6, 7, 8, 9]
    assert source.position == 10


def test_a_state_of_the_datasets_own_is_not_left_out() -> None:
    class Stateful(Repeatable):
        def state_dict(self) -> dict[str, int]:
            return {}

        def load_state_dict(self, state: dict[str, int]) -> None:
            pass

    with pytest.raises(
        CheckpointError, match=r"^dataset: saved without a state, this dataset has one$"
    ):
        open_dataset(Stateful(ROWS)).load_state_dict(open_dataset(ROWS).state_dict())


class Broken:
    """Rows whose sixth cannot be read the first time."""

    def __init__(self) -> None:
        self.failures = 1

    def row(self, i: int) -> Any:
        if i == 5 and self.failures:
            self.failures -= 1
            raise OSError("no network")
        return ROWS[i]


class BrokenMap(Broken):
    def __len__(self) -> int:
        return len(ROWS)

    def __getitem__(self, i: int) -> Any:
        return self.row(i)


class BrokenIterable(Broken, IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return map(self.row, range(len(ROWS)))


class BrokenGenerator(Broken, IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        for i in range(len(ROWS)):
            yield self.row(i)


@pytest.mark.parametrize("kind", [BrokenMap, BrokenIterable, BrokenGenerator])
def test_an_error_of_the_dataset_loses_no_row(kind: Any) -> None:
    source = open_dataset(kind(), batch_size=4)
    first = next(iter(source))
    with pytest.raises(OSError, match="no network"):
        list(source)
    assert source.position == 4
    rows = [x for batch in (first, *source) for x in batch.x[:, 0].tolist()]
    assert rows == list(range(10))


def test_a_row_that_is_refused_is_not_counted() -> None:
    source = open_dataset([*ROWS[:5], ([np.inf, 0.0], 0)], batch_size=4)
    for _ in range(2):
        with pytest.raises(ValueError, match="row 5 is not"):
            list(source)
        assert source.position == 4
