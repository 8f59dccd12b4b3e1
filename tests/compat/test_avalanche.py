"""Our buffers under Avalanche's own ReplayPlugin. D1 to D19 are defects known of its policies."""

from __future__ import annotations

import gc
import pickle
import warnings
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay import (
    ClassBalancedBuffer,
    ReservoirSamplingBuffer,
    data_path,
    load_checkpoint,
    save_checkpoint,
)
from streamreplay.buffers import ExemplarsBuffer, ExperienceBalancedBuffer
from streamreplay.compat import datasets
from streamreplay.compat.avalanche import StoragePolicy
from streamreplay.errors import CheckpointError
from tests.compat.theirs import experience, load, tensors

load("avalanche")
scenarios = load("avalanche.benchmarks.scenarios.supervised")
online = load("avalanche.benchmarks.scenarios.online")
plugins = load("avalanche.training.plugins")
policies = load("avalanche.training.storage_policy")
supervised = load("avalanche.training.supervised")

pytestmark = pytest.mark.filterwarnings("ignore")  # Avalanche warns of itself


def chunk(number: int, n: int = 10, label: int | None = None) -> Any:
    """Return rows that tell their number, in tensors of their own."""
    y = torch.arange(n) % 10 if label is None else torch.full((n,), label)
    return tensors(torch.full((n, 2), float(number)), y)


def numbers(policy: StoragePolicy) -> list[int]:
    return [int(n) for n in policy.exemplars.buffer.x[:, 0]]


def digits() -> tuple[Any, Any]:
    """Return the bundled digits as Avalanche datasets, to learn from and to test on."""
    with np.load(data_path("digits.npz")) as arrays:
        x = torch.from_numpy(arrays["x"].reshape(len(arrays["y"]), -1).astype(np.float32) / 16)
        y = torch.from_numpy(arrays["y"].astype(np.int64))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    train, test = order[:1400], order[1400:]
    return tensors(x[train], y[train]), tensors(x[test], y[test])


def make_strategy(plugin: Any, batch: int) -> Any:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    return supervised.Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=2e-3),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=batch,
        plugins=[plugin],
        evaluator=plugins.EvaluationPlugin(loggers=[]),
    )


def accuracy(model: Any, dataset: Any) -> float:
    x, y = torch.stack([row[0] for row in dataset]), torch.tensor([row[1] for row in dataset])
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


@pytest.mark.parametrize("in_parts", [False, True])
def test_naive_with_replay_on_digits(in_parts: bool) -> None:
    train, test = digits()
    benchmark = scenarios.class_incremental_benchmark(
        {"train": train, "test": test}, class_order=list(range(10)), num_experiences=5
    )
    policy = StoragePolicy(
        ClassBalancedBuffer(200, seed=1),
        experience_of=(lambda e: e.origin_experience.current_experience) if in_parts else None,
    )
    plugin = plugins.ReplayPlugin(
        mem_size=200, batch_size=10, batch_size_mem=30, storage_policy=policy
    )
    strategy = make_strategy(plugin, 10)
    for number, whole in enumerate(benchmark.train_stream):
        parts = (
            online.split_online_stream([whole], experience_size=10, seed=0) if in_parts else [whole]
        )
        for part in parts:
            strategy.train(part)
            assert len(policy.buffer) <= 200
        stored = policy.exemplars.buffer
        counts = Counter(stored.y.tolist())
        assert set(counts) == set(range(2 * number + 2))
        assert max(counts.values()) - min(counts.values()) <= 1
        assert np.array_equal(np.unique(stored.experience), np.arange(number + 1))
        assert np.array_equal(stored.experience, stored.y // 2)
    assert accuracy(strategy.model, test) > 0.75  # without replay at most 0.25


def test_is_one_of_avalanches_buffers() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(20))
    assert isinstance(policy, policies.ExemplarsBuffer)
    plugins.ReplayPlugin(mem_size=20, storage_policy=policy)
    with pytest.raises(AssertionError):  # theirs
        plugins.ReplayPlugin(mem_size=30, storage_policy=policy)


def test_gives_stored_rows_as_their_dataset() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(20))
    assert len(policy.buffer) == 0
    policy.post_adapt(None, experience(chunk(3)).experience)
    first = policy.buffer
    assert policy.buffer is first
    x, y, task = first[4]
    assert (x.tolist(), y, task) == ([3.0, 3.0], 4, 0)
    assert list(first.targets) == list(range(10))
    assert sorted(first.targets.uniques) == list(range(10))
    policy.update_from_dataset(chunk(4))
    assert policy.buffer is not first
    assert len(policy.buffer) == 20
    assert {id_: len(group.buffer) for id_, group in policy.buffer_groups.items()} == {0: 20}
    assert len(pickle.loads(pickle.dumps(policy.buffer))) == 20  # noqa: S301 - for its workers


def test_groups() -> None:
    policy = StoragePolicy(ClassBalancedBuffer(12))
    policy.update_from_dataset(chunk(0, 40, label=7).concat(chunk(1, 5, label=2)))
    groups = policy.buffer_groups
    assert {id_: group.max_size for id_, group in groups.items()} == {7: 7, 2: 5}
    assert set(groups[2].buffer.targets) == {2}
    assert [len(rows) for rows in policy.buffer_datasets] == [7, 5]


def test_update_takes_a_strategy_and_does_not_warn() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(20))
    given = experience(chunk(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy.update(given, num_workers=0)
    assert len(policy.buffer) == 10


def test_assigning_the_buffer_is_refused() -> None:  # D4
    policy: Any = StoragePolicy(ReservoirSamplingBuffer(20))
    with pytest.raises(AttributeError):
        policy.buffer = chunk(0)


@pytest.mark.parametrize("with_tasks", [False, True])
def test_rows_look_like_those_they_are_mixed_with(
    with_tasks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_BYTES", 16)  # two rows at a time
    data = tensors(torch.rand(6, 2), torch.arange(6) % 3, task_labels=[5, 5, 6, 6, 7, 7])
    if not with_tasks:
        utils = load("avalanche.benchmarks.utils")
        rows = torch.utils.data.TensorDataset(torch.rand(6, 2), torch.arange(6) % 3)
        data = utils.AvalancheDataset([rows])
    policy = StoragePolicy(ReservoirSamplingBuffer(10))
    policy.update_from_dataset(data)
    assert len(policy.buffer[0]) == len(data[0])
    tasks = [5, 5, 6, 6, 7, 7] if with_tasks else [0] * 6
    assert policy.exemplars.buffer.task.tolist() == tasks
    loader = load("avalanche.benchmarks.utils.data_loader").ReplayDataLoader(
        data, policy.buffer, oversample_small_tasks=True, batch_size=2, batch_size_mem=3
    )
    assert [len(parts[0]) for parts in loader] == [5, 5, 5]
    if with_tasks:
        assert sorted(policy.buffer.task_set) == [5, 6, 7]


def test_type_and_shape_are_kept() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(10))
    policy.update_from_dataset(
        tensors(torch.full((4, 3, 8, 8), 200, dtype=torch.uint8), torch.zeros(4).long())
    )
    x = policy.buffer[0][0]
    assert (x.dtype, tuple(x.shape), int(x.max())) == (torch.uint8, (3, 8, 8), 200)
    with pytest.raises(ValueError, match=r"stored rows are uint8"):
        policy.update_from_dataset(tensors(torch.rand(1, 3, 8, 8), torch.zeros(1).long()))


def test_a_transform_is_applied_when_rows_are_trained_on() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(10), transform=lambda x: -x)
    policy.update_from_dataset(chunk(2))
    assert policy.buffer[0][0].tolist() == [-2.0, -2.0]
    assert policy.buffer.eval()[0][0].tolist() == [2.0, 2.0]
    assert policy.exemplars.buffer.x.max() == 2.0


def test_an_empty_experience_stores_nothing() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(10))
    policy.update_from_dataset(load("avalanche.benchmarks.utils").AvalancheDataset([]))
    assert len(policy.buffer) == 0


def test_only_stored_rows_stay_alive() -> None:  # D13
    plugin = plugins.ReplayPlugin(
        mem_size=50, storage_policy=StoragePolicy(ClassBalancedBuffer(50, seed=0))
    )

    def arrive(number: int) -> weakref.ref[torch.Tensor]:
        data = chunk(number)
        plugin.after_training_exp(experience(data))
        assert len(plugin.storage_policy.buffer) == min(50, 10 * (number + 1))
        return weakref.ref(data._flat_data._datasets[0].tensors[0])

    arrived = [arrive(number) for number in range(600)]
    gc.collect()
    assert all(tensor() is None for tensor in arrived)
    dataset = plugin.storage_policy.buffer
    assert len(dataset._flat_data._datasets) == 1
    assert len(dataset._flat_data._datasets[0]) == len(dataset) == 50


@pytest.mark.parametrize(
    "buffer",
    [ReservoirSamplingBuffer(200, seed=0), ExperienceBalancedBuffer(200, seed=0)],
    ids=["reservoir", "by experience"],
)
def test_many_more_experiences_than_slots(buffer: ExemplarsBuffer) -> None:  # D5
    # A correct reservoir fails once in 10^11 choices of seed (no row of a tenth among 200).
    plugin = plugins.ReplayPlugin(mem_size=200, storage_policy=StoragePolicy(buffer))
    for number in range(1000):
        plugin.after_training_exp(experience(chunk(number)))
    stored = numbers(plugin.storage_policy)
    assert len(stored) == 200
    assert min(stored) < 100
    assert max(stored) >= 900


@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer])
def test_every_experience_has_the_same_chance(kind: Any) -> None:  # D9, D3
    # Pearson's statistic of one draw without replacement is below that of independent draws, so a
    # correct program fails once in 10,000 choices of seeds at most.
    counts = np.zeros(5)
    for seed in range(200):
        plugin = plugins.ReplayPlugin(mem_size=20, storage_policy=StoragePolicy(kind(20, seed)))
        for number in range(5):
            plugin.after_training_exp(experience(chunk(number, 100)))
        counts += np.bincount(numbers(plugin.storage_policy), minlength=5)
    assert counts.sum() == 200 * 20
    statistic = ((counts - 800) ** 2 / 800).sum()
    assert statistic < chi2.isf(1e-4, 4)


def test_resize() -> None:
    policy = StoragePolicy(ReservoirSamplingBuffer(30, seed=0))
    policy.update_from_dataset(chunk(0, 100))
    held = policy.buffer
    policy.resize(None, 10)
    assert (policy.max_size, len(policy.buffer)) == (10, 10)
    assert policy.buffer is not held
    policy.resize(None, 500)
    policy.update_from_dataset(chunk(1, 100))
    # 10 of 100 were kept, so the second hundred comes in at that rate: 10 of it, not all
    assert len(policy.buffer) < 40


def test_goes_on_from_its_state(tmp_path: Any) -> None:
    def feed(policy: StoragePolicy, start: int, stop: int) -> None:
        for number in range(start, stop):
            policy.update_from_dataset(chunk(number))

    def make(size: int = 30) -> StoragePolicy:
        return StoragePolicy(ExperienceBalancedBuffer(size, seed=0))

    whole, first, second = make(), make(), make()
    feed(whole, 0, 40)
    feed(first, 0, 20)
    path = save_checkpoint(tmp_path, first.state_dict(), position=200)
    second.load_state_dict(load_checkpoint(path)[0])
    assert len(second.buffer[0]) == 3  # with its task label
    feed(second, 20, 40)
    for name, column in whole.exemplars.buffer.columns().items():
        assert np.array_equal(getattr(second.exemplars.buffer, name), column), name
    with pytest.raises(CheckpointError, match="max_size"):
        make(20).load_state_dict(first.state_dict())
