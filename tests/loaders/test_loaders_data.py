"""What the loaders read, what they hand to torch's, and what they refuse."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    get_worker_info,
)

import streamreplay.loaders.base as loading_module
from streamreplay.batch import Batch
from streamreplay.buffers import ClassBalancedBuffer
from streamreplay.loaders import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    ReplayDataLoader,
    TaskBalancedDataLoader,
)
from streamreplay.loaders.gather import ColumnView

X = torch.arange(40, dtype=torch.float32).reshape(20, 2)
Y = torch.arange(20)


class Rows(Dataset[Any]):
    """Rows that only it can make."""

    def __init__(self, first: int = 0) -> None:
        self.first = first

    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"x": torch.tensor([row + self.first]), "name": f"row {row + self.first}"}


class Batched(Rows):
    def __getitem__(self, row: int) -> dict[str, Any]:
        raise AssertionError

    def __getitems__(self, rows: list[int]) -> list[int]:
        assert all(type(row) is int for row in rows)
        return [row + self.first for row in rows]


class Collating(Rows):
    def collate_fn(self, samples: list[dict[str, Any]]) -> list[str]:
        return [sample["name"] for sample in samples]


class CollatingOtherwise(Collating):
    def collate_fn(self, samples: list[dict[str, Any]]) -> list[str]:
        return [sample["name"].upper() for sample in samples]


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(())


def columns() -> dict[str, Any]:
    """The same rows in all forms that are made of columns, and the list they come in."""
    whole = TensorDataset(X, Y)
    turned = Subset(whole, list(range(19, -1, -1)))
    return {
        "TensorDataset": whole,
        "subset": Subset(whole, range(20)),
        "subset of a subset": Subset(turned, list(range(-1, -21, -1))),
        "tuple": (X, Y),
        "arrays": (X.numpy(), Y.numpy()),
        "mixed": (X.numpy(), Y),
        "read-only": (np.frombuffer(X.numpy().tobytes(), np.float32).reshape(20, 2), Y),
        "backwards": (X.numpy()[::-1][::-1].copy()[::-1][::-1], Y.numpy()),
        "not contiguous": (torch.stack([X, X], 2)[..., 0], torch.stack([Y, Y], 1)[:, 0]),
        "gradients": (X.clone().requires_grad_(), Y),
    }


@pytest.mark.parametrize("form", list(columns()))
@pytest.mark.parametrize("several", [False, True])
def test_columns_come_as_torch_gives_them(form: str, several: bool) -> None:
    data = columns()[form]
    datasets = [data, (X + 100, Y + 100)] if several else [data]
    loader = GroupBalancedDataLoader(datasets, batch_size=6, provenance=True)
    assert loader._columns is not None
    for batch, provenance in loader:
        assert type(batch) is list
        x, y = batch
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        torch.testing.assert_close(
            y, torch.from_numpy(provenance.offset + 100 * provenance.group), rtol=0, atol=0
        )
        expected = X[provenance.offset] + torch.from_numpy(100.0 * provenance.group[:, None])
        torch.testing.assert_close(x, expected.float(), rtol=0, atol=0)


@pytest.mark.parametrize("form", ["TensorDataset", "subset of a subset"])
def test_batches_have_the_structure_of_torchs(form: str) -> None:
    data = columns()[form]
    [expected] = DataLoader(data, batch_size=20)
    for collate in (None, torch.utils.data.default_collate):
        [batch] = GroupBalancedDataLoader([data], batch_size=20, shuffle=False, collate_fn=collate)
        assert type(batch) is type(expected)
        assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True))


def test_columns_are_read_in_place() -> None:
    x, y = X.clone(), Y.clone()
    loader = GroupBalancedDataLoader([(x, y), (x.numpy(), y.numpy())], batch_size=8)
    assert isinstance(loader._columns, ColumnView)
    assert len(loader._columns._stores) == 1  # the same memory, so one gather
    x += 1
    assert all((x[:, 0] == 2 * y + 1).all() for x, y in loader)
    [(x, y)] = list(GroupBalancedDataLoader([(x, y)], batch_size=20))
    x += 1  # and what comes out is the caller's
    assert float(columns()["tuple"][0][0, 0]) == 0


def test_tensors_may_move_into_shared_memory_meanwhile() -> None:
    x, y = X.clone(), Y.clone()
    loader = GroupBalancedDataLoader([(x, y)], batch_size=5)
    batches = iter(loader)
    next(batches)
    x.share_memory_()  # type: ignore[no-untyped-call]  # as workers that are spawned make it do
    x += 100
    assert all((x[:, 0] == 2 * y + 100).all() for x, y in batches)


def test_a_bare_array_gives_bare_tensors() -> None:
    for rows in GroupBalancedDataLoader([Y, Y.numpy()], batch_size=8):
        assert isinstance(rows, torch.Tensor)
    for rows in GroupBalancedDataLoader([Y], batch_size=8, collate_fn=torch.stack):
        assert isinstance(rows, torch.Tensor)


def test_uint8_images_and_scalars_of_other_types() -> None:
    images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)
    [(x, flag, half)] = GroupBalancedDataLoader(
        [(images, np.arange(5) > 2, torch.arange(5, dtype=torch.bfloat16))],
        batch_size=5,
        shuffle=False,
    )
    assert torch.equal(x, torch.from_numpy(images))
    assert flag.tolist() == [False] * 3 + [True] * 2
    assert half.dtype == torch.bfloat16


def test_a_buffer_is_a_memory() -> None:
    buffer = ClassBalancedBuffer(6)
    data = [Batch.from_arrays(X, Y % 3, start=20 * i, task=i) for i in range(2)]
    empty = buffer.buffer if len(buffer) else None
    assert [len(x) for x, _, _ in ReplayDataLoader(data[0], empty, batch_size=10)] == [10, 10]
    buffer.update(data[0])
    loader = ReplayDataLoader(
        data[1], buffer.buffer, batch_size=5, batch_size_mem=3, provenance=True
    )
    for (x, y, task), provenance in loader:
        assert x.dtype == torch.float32
        assert task.tolist() == [1] * 5 + [0] * 3
        assert provenance.is_memory.tolist() == [False] * 5 + [True] * 3
        memory = buffer.buffer.take(provenance.offset[5:])
        assert y[5:].tolist() == memory.y.tolist()
        assert torch.equal(x[5:], torch.from_numpy(memory.x))


def test_any_other_dataset_is_asked_row_by_row_and_collated() -> None:
    concat: ConcatDataset[Any] = ConcatDataset([Rows(), Rows(6)])
    loader = GroupBalancedDataLoader([concat, Rows(12)], batch_size=6, shuffle=False)
    batch = next(iter(loader))
    assert batch["name"] == ["row 0", "row 1", "row 2", "row 12", "row 13", "row 14"]
    assert batch["x"].tolist() == [[0], [1], [2], [12], [13], [14]]


def test_a_dataset_that_fetches_batches_is_asked_for_them() -> None:
    loader = ReplayDataLoader(Batched(), Batched(10), batch_size=2, batch_size_mem=2, shuffle=False)
    assert [batch.tolist() for batch in loader] == [
        [0, 1, 10, 11],
        [2, 3, 12, 13],
        [4, 5, 14, 15],
    ]


def test_columns_beside_another_dataset() -> None:
    samples = [(torch.tensor([100.0, 0.0]), 7), (torch.tensor([200.0, 0.0]), 8)]
    for x, y in ReplayDataLoader((X, Y), samples, batch_size=10, batch_size_mem=2):
        assert sorted(y[10:].tolist()) == [7, 8]
        assert (x[:10, 0] == 2 * y[:10]).all()
    for x, y in ReplayDataLoader(samples, (X, Y), batch_size=2, batch_size_mem=5):
        assert sorted(y[:2].tolist()) == [7, 8]
        assert (x[2:, 0] == 2 * y[2:]).all()
    pairs = [(torch.zeros(2), torch.tensor(1.0), "a", 3)]
    with pytest.raises(RuntimeError, match="each element in list of batch"):  # as torch's says
        list(GroupBalancedDataLoader([(X, Y), pairs]))


def test_the_datasets_own_collate_is_used() -> None:
    loader = GroupBalancedDataLoader([Collating(), Collating(6)], batch_size=2, shuffle=False)
    assert next(iter(loader)) == ["row 0", "row 6"]
    message = (
        r"^datasets\[0\] and datasets\[1\] have different collate_fn: "
        "say with collate_fn= which one is meant$"
    )
    for other in (Rows(), CollatingOtherwise()):
        with pytest.raises(ValueError, match=message):
            GroupBalancedDataLoader([Collating(), other])
    mixed = GroupBalancedDataLoader([Collating(), Rows()], batch_size=4, collate_fn=len)
    assert list(mixed) == [4, 4, 4]


def in_worker(samples: list[Any]) -> tuple[int, int]:
    info = get_worker_info()
    return len(samples), -1 if info is None else info.id


def test_options_reach_torchs_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    class Spy(DataLoader[Any]):
        def __init__(self, dataset: Any, **options: Any) -> None:
            given.append(options)
            super().__init__(dataset, **options)

    monkeypatch.setattr(loading_module, "DataLoader", Spy)
    options: dict[str, Any] = {
        "num_workers": 2,
        "collate_fn": in_worker,
        "persistent_workers": True,
        "prefetch_factor": 4,
        "timeout": 30,
        "worker_init_fn": in_worker,
        "multiprocessing_context": "spawn",
    }
    before = dict(options)
    loaders = [
        GroupBalancedDataLoader([Y], **options),
        GroupBalancedInfiniteDataLoader([Y], **options),
        TaskBalancedDataLoader(Y, task_labels=Y, **options),
        ReplayDataLoader(Y, Y, **options),
    ]
    assert options == before  # and not one was taken out of the caller's
    assert all(loader.num_workers == 2 and not loader.pin_memory for loader in loaders)
    assert len(given) == 4
    for got in given:
        assert {name: got[name] for name in options} == options


def test_workers_do_the_work() -> None:
    loader = GroupBalancedDataLoader([Y], batch_size=5, num_workers=2, collate_fn=in_worker)
    assert list(loader) == [(5, 0), (5, 1)] * 2
    assert list(GroupBalancedDataLoader([Y], batch_size=10, collate_fn=in_worker)) == [(10, -1)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_workers_may_be_spawned(several: bool) -> None:
    datasets = [(X.clone(), Y.clone())] + [(X.numpy() + 100, Y.numpy() + 100)] * several
    expected = list(GroupBalancedDataLoader(datasets, batch_size=6))
    loader = GroupBalancedDataLoader(
        datasets, batch_size=6, num_workers=1, multiprocessing_context="spawn"
    )
    for batch, other in zip(loader, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))


def test_tasks_are_found_or_given() -> None:
    class Labelled(TensorDataset):
        targets_task_labels = [3] * 5 + [9] * 15

    labelled = Labelled(X, Y)
    for data, options in (
        (labelled, {}),
        (Subset(labelled, range(20)), {}),
        (Batch.from_arrays(X, Y, task=labelled.targets_task_labels), {}),
        ((X, Y), {"task_labels": labelled.targets_task_labels}),
        ((X, Y), {"task_labels": torch.tensor(labelled.targets_task_labels)}),
    ):
        loader = TaskBalancedDataLoader(data, 6, True, provenance=True, **options)
        assert len(loader) == 5
        for (_, y, *_), provenance in loader:
            assert provenance.group.tolist() == [3 if n < 5 else 9 for n in y]
            assert provenance.group.tolist().count(3) == 3
    inner = Subset(labelled, [0, 19, 1, 18])
    outer = TaskBalancedDataLoader(Subset(inner, [1, 2]), 2, provenance=True)
    assert [p.group.tolist() for _, p in outer] == [[3, 9]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": [0]}, "sampler cannot be given: .*"),
        ({"batch_sampler": [[0]]}, "batch_sampler cannot be given: .*"),
        ({"generator": torch.Generator()}, "generator cannot be given: give seed=, .*"),
        ({"dataset": Y}, "dataset cannot be given: .*"),
        ({"oversample_small_tasks": True}, ".*oversample_small_tasks.*"),
        ({"batch_size": 2.5}, "batch_size must be an integer, got 2.5"),
        ({"batch_size": None}, "batch_size must be an integer, got None"),
    ],
)
def test_options_of_the_wrong_kind(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        GroupBalancedDataLoader([Y], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "^batch_size must be at least 1, got 0$"),
        ({"in_order": False}, "^in_order must be True, as .*, got False$"),
        ({"prefetch_factor": 3}, "prefetch_factor"),  # torch's own, and at once
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupBalancedDataLoader([Y], **options)
    with pytest.raises(ValueError, match="batch_size_mem must be at least 1, got 0"):
        ReplayDataLoader(Y, Y, batch_size_mem=0)


@pytest.mark.parametrize(
    ("datasets", "error", "message"),
    [
        ([Endless()], TypeError, r"datasets\[0\] must be a map-style dataset, .*, got Endless"),
        ([Y, 3], TypeError, r"datasets\[1\] must be a map-style dataset, .*, got int"),
        ([np.array(["a"])], TypeError, r"datasets\[0\]: arrays must be numbers with rows, got <U1"),
        ([(X, Y[:3])], ValueError, r"datasets\[0\]: columns must be of one length, got \[20, 3\]"),
        (
            [Y, (X, Y)],
            ValueError,
            r"datasets\[0\] has rows of a bare tensor, datasets\[1\] of 2 columns",
        ),
        (
            [(X, Y), (X[:, :1], Y)],
            ValueError,
            r"column 0 of datasets\[0\] is float32\[20, 2\], of datasets\[1\] float32\[20, 1\]",
        ),
        (
            [Subset(TensorDataset(Y), [0, 20])],
            ValueError,
            r"datasets\[0\]: indices must be within the 20 rows of its dataset",
        ),
    ],
)
def test_data_that_cannot_be_read(
    datasets: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        GroupBalancedDataLoader(datasets)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (Y, {}, "data has no task labels: give .*"),
        (Y, {"task_labels": [1, 2]}, r"data has 20 rows, task labels \(2,\)"),
        (Y, {"task_labels": [0.5] * 20}, "task labels of data must be integers, got float64"),
    ],
)
def test_tasks_that_are_missing_or_do_not_fit(data: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        TaskBalancedDataLoader(data, **options)
    with pytest.raises(ValueError, match=f"^{message}$"):
        ReplayDataLoader(data, batch_size={0: 4}, **options)


def test_sizes_for_tasks_that_are_not_named() -> None:
    with pytest.raises(ValueError, match=r"^batch_size has no entry for task 1 of data$"):
        ReplayDataLoader(Y, batch_size={0: 4, 2: 4}, task_labels=[0, 1] * 10)
    with pytest.raises(ValueError, match=r"^batch_size\[0\] must be at least 1, got 0$"):
        ReplayDataLoader(Y, batch_size={0: 0}, task_labels=[0] * 20)
    with pytest.raises(ValueError, match="memory has no task labels"):
        ReplayDataLoader(Y, Y, task_balanced_dataloader=True)


def test_many_tiny_groups() -> None:
    datasets = [np.arange(i, i + 1) for i in range(3000)]
    rows = chain(*(batch.tolist() for batch in GroupBalancedDataLoader(datasets)))
    assert sorted(rows) == list(range(3000))


def test_the_stage_needs_no_torch() -> None:
    code = (
        "import sys; from streamreplay.mixing import Mixer; Mixer(3);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("staged", [0, 1, 1 << 20])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_several_stores_at_once_or_batch_by_batch(
    staged: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreplay.loaders.gather._STAGED", staged * 200)
    sizes = [40, 3, 1, 90, 25]
    numbers = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    datasets = [(n[:, None] * np.ones((1, 3), np.float32), n) for n in numbers]
    loader = GroupBalancedDataLoader(datasets, batch_size=size, provenance=True)
    seen = []
    for (x, y), provenance in loader:
        expected = [numbers[g][i] for g, i in zip(provenance.group, provenance.offset, strict=True)]
        assert y.tolist() == expected
        assert x.tolist() == [[n] * 3 for n in expected]
        seen += expected
    assert sorted(seen) == list(range(159))
