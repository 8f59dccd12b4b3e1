"""Rows read in bulk are the rows that an Avalanche dataset gives one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from streamreplay.compat import datasets
from streamreplay.compat.datasets import read_rows, read_tasks
from tests.compat.theirs import load, tensors

load("avalanche")
utils = load("avalanche.benchmarks.utils")


class Doubled(TensorDataset):
    """A subclass that gives other rows than its tensors."""

    def __getitem__(self, row: int) -> Any:
        x, y = self.tensors
        return x[row] * 2, int(y[row])


class Faces:
    """Rows without tensors, as image folders have them."""

    def __init__(self, row: Any) -> None:
        self.row = row
        self.targets = [0] * 3

    def __len__(self) -> int:
        return 3

    def __getitem__(self, _: int) -> Any:
        return self.row


def make(start: int, n: int, **options: Any) -> Any:
    x = torch.arange(start, start + n, dtype=torch.float32)[:, None].repeat(1, 3)
    return tensors(x, torch.arange(start, start + n) % 5, **options)


def read(dataset: Any, group: str = "eval") -> tuple[NDArray[Any], NDArray[Any]]:
    parts = list(read_rows(dataset, group))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def tasks_of(dataset: Any) -> list[int]:
    tasks = read_tasks(dataset)
    assert tasks is not None
    return [int(task) for task in tasks]


def shuffled(n: int, seed: int = 0) -> list[int]:
    order: list[int] = np.random.default_rng(seed).permutation(n).tolist()
    return order


def tree(depth: int, rng: np.random.Generator) -> Any:
    """Grow a random tree of concatenations and subsets."""
    if not depth:
        return make(int(rng.integers(100)), int(rng.integers(1, 9)))
    node = tree(depth - 1, rng)
    if rng.random() < 0.3:  # such a node is not merged with those above
        groups = {"train": (lambda x: x + 1, None), "eval": None}
        node = utils.AvalancheDataset([node], transform_groups=groups)
    if rng.random() < 0.6:
        node = node.concat(tree(depth - 1, rng))
    if rng.random() < 0.6:
        node = node.subset(rng.integers(0, len(node), int(rng.integers(1, 20))).tolist())
    return node


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("few", [False, True])
def test_trees_in_bulk(seed: int, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if few:
        monkeypatch.setattr(datasets, "_BYTES", 24)  # two rows at a time
    monkeypatch.setattr(datasets, "_read_each", None)  # rows must come from the tensors
    dataset = tree(4, np.random.default_rng(seed)).eval()
    x, y = read(dataset)
    assert x.tolist() == [dataset[i][0].tolist() for i in range(len(dataset))]
    assert y.tolist() == [dataset[i][1] for i in range(len(dataset))]


@pytest.mark.parametrize("few", [False, True])
def test_transforms_of_the_group(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if few:
        monkeypatch.setattr(datasets, "_BYTES", 24)
    groups = {"train": (lambda x: x + 0.5, None), "eval": (lambda x: -x, lambda y: y + 1)}
    dataset = make(1, 7, transform_groups=groups).subset(shuffled(7))
    x, y = read(dataset)
    assert x[:, 0].tolist() == [-1.0 - i for i in shuffled(7)]
    assert y.tolist() == [(i + 1) % 5 + 1 for i in shuffled(7)]
    x, _ = read(dataset, "train")
    assert x[:, 0].tolist() == [i + 1.5 for i in shuffled(7)]


def test_frozen_transforms() -> None:
    dataset = make(1, 3, transform_groups={"train": (None, None), "eval": (lambda x: -x, None)})
    x, _ = read(dataset.eval().freeze_transforms())
    assert x[:, 0].tolist() == [-1.0, -2.0, -3.0]


def test_subclasses_have_their_say() -> None:
    rows = Doubled(torch.ones(4, 2), torch.zeros(4, dtype=torch.int64))
    x, _ = read(utils.AvalancheDataset([rows]))
    assert x.tolist() == [[2.0, 2.0]] * 4


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.uint8, "uint8"),
        (torch.float32, "float32"),
        (torch.float64, "float32"),
        (torch.bfloat16, "float32"),
        (torch.int64, "float32"),
    ],
)
@pytest.mark.parametrize("transformed", [False, True])
def test_types(given: torch.dtype, kept: str, transformed: bool) -> None:
    groups = {"train": (lambda x: x, None), "eval": (lambda x: x, None)}
    options = {"transform_groups": groups} if transformed else {}
    x, y = read(tensors(torch.arange(6).reshape(3, 2).to(given), torch.arange(3), **options))
    assert x.dtype == kept
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert y.dtype == np.int64


def test_rows_that_follow_each_other_are_not_copied() -> None:
    x = torch.rand(10, 2)
    dataset = tensors(x, torch.zeros(10, dtype=torch.int64)).subset(list(range(3, 9)))
    ((part, _),) = read_rows(dataset, "eval")
    assert np.shares_memory(part, x.numpy())


def test_task_labels() -> None:
    assert tasks_of(make(0, 4)) == [0] * 4
    several = make(0, 3, task_labels=[7, 8, 9]).concat(make(0, 2, task_labels=[4, 4]))
    assert tasks_of(several.subset([4, 0, 2])) == [4, 7, 9]
    plain = utils.AvalancheDataset([TensorDataset(torch.rand(2, 1), torch.zeros(2))])
    assert read_tasks(plain) is None


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (("an image", 0), TypeError, "tensor or an array, got str: give the dataset a transform"),
        ((torch.ones(2), 0.5), TypeError, "label must be an integer, got 0.5"),
        ((torch.ones(2), 0, 1), ValueError, "must have 2 parts, the dataset gives 3"),
    ],
)
def test_rows_that_cannot_be_stored(row: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(utils.AvalancheDataset([Faces(row)]))


def test_unknown_group() -> None:
    dataset = make(0, 3, transform_groups={"train": (None, None), "eval": (lambda x: x, None)})
    with pytest.raises(ValueError, match="has no group 'test'"):
        read(dataset, "test")
