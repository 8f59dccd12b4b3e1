"""What the loaders yield: the first eleven of the behaviours that this project was made for."""

import random
import tracemalloc
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from streamreplay.batch import Batch
from streamreplay.loaders import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    Provenance,
    ReplayDataLoader,
    TaskBalancedDataLoader,
)
from streamreplay.loaders.base import PlannedDataLoader

SIZES = (10, 4, 2)


def groups(sizes: Sequence[int] = SIZES) -> list[NDArray[np.int64]]:
    """Rows are numbered through all groups."""
    ends = np.cumsum(sizes)
    return [np.arange(end - n, end) for end, n in zip(ends, sizes, strict=True)]


def batch(sizes: Sequence[int] = SIZES, first: int = 0) -> Batch:
    """Rows of task 5, 6, ..., in an order of their own; x and y are the row's number."""
    order = np.random.default_rng(0).permutation(sum(sizes))
    tasks = np.repeat(np.arange(len(sizes)) + 5, sizes)[order]
    number = np.arange(len(tasks)) + first
    return Batch.from_arrays(number[:, None], number, task=tasks)


class Rows:
    """A dataset that only it can read, with task labels as Avalanche's have."""

    def __init__(self, numbers: Sequence[int], tasks: Sequence[int] = ()) -> None:
        self.numbers = list(numbers)
        self.targets_task_labels = list(tasks)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([float(self.numbers[row])]), self.numbers[row]


def shares(loader: PlannedDataLoader) -> list[list[int]]:
    """How many rows of each group are in each batch."""
    return [np.bincount(provenance.group, minlength=3).tolist() for _, provenance in loader]


def test_01_shares_differ_by_one_and_the_odd_row_goes_round() -> None:
    loader = GroupBalancedDataLoader(
        groups((100, 40, 20)), oversample_small_groups=True, batch_size=8, provenance=True
    )
    given = np.array(shares(loader))
    assert len(given) == 38
    assert (given.sum(1) == 8).all()
    assert (np.ptp(given[:-1], axis=1) <= 1).all()  # the last is filled from the smaller ones
    # of the two odd rows of each batch, every group has the same number over time
    assert (np.ptp(np.cumsum(given, axis=0)[:-1], axis=1) <= 1).all()
    assert set(given.argmin(1).tolist()) == {0, 1, 2}


def test_02_exact_batches_when_groups_end() -> None:
    loader = GroupBalancedDataLoader(groups(), batch_size=8, shuffle=False)
    assert [rows.tolist() for rows in loader] == [
        [0, 1, 2, 10, 11, 12, 14, 15],
        [3, 4, 5, 6, 7, 8, 9, 13],
    ]
    uneven = GroupBalancedDataLoader(groups((9, 4, 2)), batch_size=4, provenance=True)
    assert shares(uneven) == [[2, 1, 1], [1, 2, 1], [3, 1, 0], [3, 0, 0]]
    for _ in range(3):
        seen = torch.cat([rows for rows, _ in uneven])
        assert sorted(seen.tolist()) == list(range(15))  # every row once


def test_02_exact_batches_when_small_groups_start_over() -> None:
    loader = GroupBalancedDataLoader(groups(), True, batch_size=8, shuffle=False)
    assert len(loader) == 4
    assert [rows.tolist() for rows in loader] == [
        [0, 1, 2, 10, 11, 12, 14, 15],
        [3, 4, 5, 13, 10, 14, 15, 14],
        [6, 7, 11, 12, 13, 15, 14, 15],
        [8, 9, 10, 11, 12, 14, 15, 14],
    ]
    shuffled = GroupBalancedDataLoader(groups(), True, batch_size=8)
    for _ in range(5):
        batches = list(shuffled)
        assert [len(rows) for rows in batches] == [8] * 4
        seen = torch.cat(batches)
        assert sorted(seen[seen < 10].tolist()) == list(range(10))


def test_02_groups_of_one_size_have_nobody_to_fill_the_last_batch() -> None:
    for drop_last, expected in ((False, [4, 4, 2]), (True, [4, 4])):
        loader = GroupBalancedDataLoader(groups((5, 5)), True, batch_size=4, drop_last=drop_last)
        assert [len(rows) for rows in loader] == expected
        assert len(loader) == len(expected)


@pytest.mark.parametrize("oversample", [False, True])
def test_03_more_groups_than_rows_are_served_in_turn(oversample: bool) -> None:
    loader = GroupBalancedDataLoader(groups((6,) * 7), oversample, batch_size=3, provenance=True)
    served = [provenance.group.tolist() for _, provenance in loader]
    assert len(served) == 14
    for a in range(len(served) - 2):
        assert set(chain(*served[a : a + 3])) == set(range(7))


def test_03_a_group_that_ends_makes_no_other_wait() -> None:
    loader = GroupBalancedDataLoader(groups((1, 9, 2, 9, 3, 9)), batch_size=2, provenance=True)
    served = [set(provenance.group.tolist()) for _, provenance in loader]
    for a in range(len(served) - 4):
        assert set().union(*served[a : a + 3]) >= {1, 3, 5}


@pytest.mark.parametrize("sizes", [(), (0,), (0, 0)])
@pytest.mark.parametrize("kind", [GroupBalancedDataLoader, GroupBalancedInfiniteDataLoader])
def test_04_no_rows_are_refused(kind: Any, sizes: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=f"^datasets must have rows, got {len(sizes)} without any$"
    ):
        kind(groups(sizes))


@pytest.mark.parametrize("kind", [TaskBalancedDataLoader, ReplayDataLoader])
def test_04_empty_data_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^data must have rows, got none$"):
        kind(batch().take(slice(0, 0)))


@pytest.mark.parametrize("oversample", [False, True])
def test_04_an_empty_group_leaves_its_share_to_the_others(oversample: bool) -> None:
    loader = GroupBalancedDataLoader(groups((12, 0, 12)), oversample, batch_size=8, provenance=True)
    assert shares(loader) == [[4, 0, 4]] * 3
    endless = GroupBalancedInfiniteDataLoader(groups((12, 0, 12)), batch_size=4, provenance=True)
    for _, provenance in islice(endless, 10):
        assert np.bincount(provenance.group, minlength=3).tolist() == [6, 0, 6]


@pytest.mark.parametrize("by_task", [False, True])
def test_05_drop_last_never_drops_replay(by_task: bool) -> None:
    memory = batch((2, 1), first=100)
    loader = ReplayDataLoader(
        batch((20,)),
        memory,
        batch_size=8,
        batch_size_mem=8,
        task_balanced_dataloader=by_task,
        drop_last=True,
        provenance=True,
    )
    batches = list(loader)
    assert len(batches) == len(loader) == 2
    for (_, y, _), provenance in batches:
        assert provenance.is_memory.tolist() == [False] * 8 + [True] * 8
        assert set(y[8:].tolist()) == {100, 101, 102}


def test_05_drop_last_tops_small_groups_up() -> None:
    loader = GroupBalancedDataLoader(
        groups((16, 3)), True, batch_size=16, drop_last=True, provenance=True
    )
    assert shares(loader) == [[8, 8, 0]] * 2


def test_05_drop_last_that_would_drop_everything_is_refused() -> None:
    message = "^drop_last leaves no batch: 7 rows are fewer than a batch of 8$"
    with pytest.raises(ValueError, match=message):
        GroupBalancedDataLoader(groups((4, 3)), batch_size=8, drop_last=True)
    with pytest.raises(ValueError, match=message):
        ReplayDataLoader(np.arange(7), np.arange(9), batch_size=8, drop_last=True)


@pytest.mark.parametrize("by_task", [False, True])
@pytest.mark.parametrize(("oversample", "size"), [(False, 3), (True, 8)])
def test_06_a_memory_smaller_than_its_part(by_task: bool, oversample: bool, size: int) -> None:
    loader = ReplayDataLoader(
        batch((20,)),
        batch((2, 1), first=100),
        oversample,
        batch_size=8,
        batch_size_mem=8,
        task_balanced_dataloader=by_task,
        provenance=True,
    )
    for n, ((_, y, _), provenance) in zip((8, 8, 4), loader, strict=True):
        assert provenance.is_memory.tolist() == [False] * n + [True] * size
        assert set(y[n:].tolist()) == {100, 101, 102}
        assert len(y) == n + size


def test_06_memory_is_replayed_to_the_last_batch_in_passes() -> None:
    loader = ReplayDataLoader(np.arange(40), np.arange(100, 110), batch_size=4, batch_size_mem=3)
    for _ in range(2):
        replayed = torch.cat([rows[4:] for rows in loader])
        assert len(replayed) == 30
        for a in (0, 10, 20):
            assert sorted(replayed[a : a + 10].tolist()) == list(range(100, 110))


def test_06_memory_by_task_gives_no_more_than_it_has() -> None:
    loader = ReplayDataLoader(
        np.arange(8),
        np.arange(10),
        batch_size=2,
        batch_size_mem=6,
        task_balanced_dataloader=True,
        memory_task_labels=[7] + [9] * 9,
        provenance=True,
    )
    for _, provenance in loader:
        assert provenance.group.tolist() == [-1] * 2 + [7] + [9] * 5
        assert len(set(provenance.offset[2:].tolist())) <= 6


@pytest.mark.parametrize("oversample", [False, True])
def test_07_the_longest_task_ends_the_epoch(oversample: bool) -> None:
    data = batch((4, 40))
    loader = ReplayDataLoader(data, None, oversample, batch_size={5: 4, 6: 4}, provenance=True)
    assert len(loader) == 10
    tasks = [provenance.group.tolist() for _, provenance in loader]
    assert tasks[0] == [5] * 4 + [6] * 4
    assert tasks[1:] == [([5] * 4 if oversample else []) + [6] * 4] * 9
    seen = np.concatenate([(y.numpy()) for (_, y, _), _ in loader])
    assert (np.bincount(seen)[data.y[data.task == 6]] == 1).all()


@pytest.mark.parametrize("memory", [None, batch().take(slice(0, 0)), np.empty((0, 3)), Rows([])])
def test_08_no_memory_is_current_data_alone(memory: Any) -> None:
    loader = ReplayDataLoader(batch((10,)), memory, batch_size=4, batch_size_mem=4)
    for _ in range(2):
        rows = [y for _, y, _ in loader]
        assert [len(y) for y in rows] == [4, 4, 2]
        assert sorted(torch.cat(rows).tolist()) == list(range(10))


def test_09_without_end_in_constant_memory() -> None:
    loader = GroupBalancedInfiniteDataLoader(groups((3, 50)), batch_size=1)
    with pytest.raises(TypeError, match=r"^this loader has no end, and so no len\(\)$"):
        len(loader)
    batches = iter(loader)
    total: NDArray[Any] = np.zeros(53, np.int64)

    def go(n: int) -> None:
        for rows in islice(batches, n):
            total[rows.numpy()] += 1

    go(10_000)
    tracemalloc.start()
    go(10_000)
    start, _ = tracemalloc.get_traced_memory()
    go(80_000)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < start + 100_000
    assert peak < start + 2_000_000
    assert total[:3].sum() == total[3:].sum() == 100_000
    assert np.ptp(total[:3]) <= 1
    assert np.ptp(total[3:]) <= 1
    assert loader.state_dict()["batch"] == 100_000


def current_and_memory(kind: str) -> tuple[Any, Any, list[Any]]:
    """Data, memory, and for each what a row is known by."""
    data, memory = batch((30, 5)), batch((4, 9), first=100)
    numbers = [data.y, memory.y]
    if kind == "batch":
        return data, memory, numbers
    if kind == "rows":
        return (
            Rows(data.y.tolist(), data.task.tolist()),
            Rows(memory.y.tolist(), memory.task.tolist()),
            numbers,
        )
    tensors = [TensorDataset(torch.from_numpy(b.x), torch.from_numpy(b.y)) for b in (data, memory)]
    return tensors[0], tensors[1], numbers


@pytest.mark.parametrize("kind", ["batch", "rows", "tensors"])
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_10_every_row_says_where_it_is_from(kind: str, workers: int) -> None:
    data, memory, numbers = current_and_memory(kind)
    loader = ReplayDataLoader(
        data, memory, batch_size=8, batch_size_mem=6, provenance=True, num_workers=workers
    )
    for n, ((x, y, *_), provenance) in zip((8, 8, 8, 8, 3), loader, strict=True):
        assert isinstance(provenance, Provenance)
        assert len(provenance) == len(x) == len(y) == n + 6
        assert provenance.is_memory.tolist() == [False] * n + [True] * 6
        assert (provenance.group == -1).all()
        for i, (row, memory_row) in enumerate(
            zip(provenance.offset, provenance.is_memory, strict=True)
        ):
            assert y[i] == x[i, 0] == numbers[int(memory_row)][row]


@pytest.mark.parametrize("kind", ["batch", "rows"])
def test_10_balanced_rows_say_where_they_are_from(kind: str) -> None:
    data, memory, numbers = current_and_memory(kind)
    for (_, y, *_), provenance in GroupBalancedDataLoader(
        [data, memory], True, batch_size=7, provenance=True
    ):
        expected = [
            numbers[g][row] for g, row in zip(provenance.group, provenance.offset, strict=True)
        ]
        assert y.tolist() == expected
        assert not provenance.is_memory.any()
    tasks = batch((30, 5)).task
    for (_, y, *_), provenance in TaskBalancedDataLoader(data, 7, True, provenance=True):
        assert y.tolist() == numbers[0][provenance.offset].tolist()
        assert provenance.group.tolist() == tasks[provenance.offset].tolist()
        assert np.bincount(provenance.group)[5:].tolist() in ([3, 4], [4, 3], [2, 5])


def global_states() -> list[str]:
    numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002 - this is what must not move
    return [repr(random.getstate()), repr(numpy_state), repr(torch.get_rng_state().tolist())]


def loaders(seed: int, data: Any, memory: Any, **options: Any) -> list[PlannedDataLoader]:
    return [
        GroupBalancedDataLoader([data, memory], True, 7, seed=seed, **options),
        GroupBalancedInfiniteDataLoader([data, memory], 3, seed=seed, **options),
        TaskBalancedDataLoader(data, 7, seed=seed, **options),
        ReplayDataLoader(data, memory, batch_size=7, batch_size_mem=3, seed=seed, **options),
    ]


def numbers(loader: PlannedDataLoader, epochs: int = 2) -> list[list[int]]:
    return [y.tolist() for _ in range(epochs) for _, y, *_ in islice(loader, 12)]


@pytest.mark.parametrize("kind", ["batch", "rows"])
def test_11_same_seed_same_batches_with_any_number_of_workers(kind: str) -> None:
    data, memory, _ = current_and_memory(kind)
    random.seed(1)
    torch.manual_seed(1)
    before = global_states()
    here = [numbers(loader) for loader in loaders(3, data, memory)]
    random.seed(2)  # what the global generators hold makes no difference either
    torch.manual_seed(2)
    moved = global_states()
    away = [
        numbers(loader)
        for loader in loaders(3, data, memory, num_workers=2, persistent_workers=True)
    ]
    assert away == here
    assert global_states() == moved
    random.seed(1)
    torch.manual_seed(1)
    assert global_states()[::2] == before[::2]
    others = [numbers(loader) for loader in loaders(4, data, memory)]
    assert all(a != b for a, b in zip(here, others, strict=True))


def test_11_epochs_differ_and_seeds_of_any_kind_do() -> None:
    loader = GroupBalancedDataLoader(groups(), batch_size=8)
    first, second = ([rows.tolist() for rows in loader] for _ in range(2))
    assert first != second
    sequence = GroupBalancedDataLoader(groups(), batch_size=8, seed=np.random.SeedSequence(0))
    assert [rows.tolist() for rows in sequence] == first
