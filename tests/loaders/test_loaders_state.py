"""A state at any batch gives the same rest, with workers too; and what it is checked against."""

import copy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.checkpoint import load_checkpoint, save_checkpoint
from streamreplay.errors import CheckpointError
from streamreplay.loaders import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    ReplayDataLoader,
    TaskBalancedDataLoader,
)
from streamreplay.loaders.base import PlannedDataLoader
from streamreplay.state import State, Stateful

KINDS = ["balanced", "cycled", "endless", "task", "replay", "replay by task"]


def batch(n: int, first: int = 0) -> Batch:
    number = np.arange(n) + first
    return Batch.from_arrays(number[:, None], number, task=number % 3)


def build(kind: str, seed: int = 1, **options: Any) -> PlannedDataLoader:
    a, b = batch(17), batch(6, first=100)
    options = {"seed": seed, **options}
    match kind:
        case "balanced":
            return GroupBalancedDataLoader([a, b], batch_size=5, **options)
        case "cycled":
            return GroupBalancedDataLoader([a, b], True, batch_size=7, **options)
        case "endless":
            return GroupBalancedInfiniteDataLoader([a, b], 3, **options)
        case "task":
            return TaskBalancedDataLoader(a, 4, **options)
        case "replay":
            return ReplayDataLoader(a, b, batch_size=4, batch_size_mem=3, **options)
        case _:
            sizes = {0: 2, 1: 1, 2: 3}
            return ReplayDataLoader(a, b, True, sizes, 4, task_balanced_dataloader=True, **options)


def rows(loader: PlannedDataLoader, n: int | None = None) -> list[list[int]]:
    """The rest of an epoch; of one without end, its first so many batches."""
    return [y.tolist() for _, y, _ in islice(loader, n)]


def rows_of(batches: Any, n: int) -> list[list[int]]:
    return [y.tolist() for _, y, _ in islice(batches, n)]


def test_is_stateful() -> None:
    assert isinstance(build("replay"), Stateful)


def resume(kind: str, state: State, **options: Any) -> PlannedDataLoader:
    loader = build(kind, seed=99, **options)
    loader.load_state_dict(copy.deepcopy(state))
    assert loader.state_dict() == state
    return loader


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_at_any_batch_gives_the_same_rest(kind: str) -> None:
    n = 9 if kind == "endless" else None
    whole = build(kind)
    first, second = rows(whole, n), rows(whole, n)
    assert first != second
    for cut in range(len(first) + 1):
        loader = build(kind)
        batches = iter(loader)
        assert rows_of(batches, cut) == first[:cut]
        state = loader.state_dict()
        assert (state["epoch"], state["batch"]) == (0, cut)
        assert rows(resume(kind, state), None if n is None else n - cut) == first[cut:]
        if cut < len(first):  # twice in a row, one batch apart
            again = resume(kind, state)
            assert rows(again, 1) == first[cut : cut + 1]
            rest = resume(kind, again.state_dict())
            assert rows(rest, None if n is None else n - cut - 1) == first[cut + 1 :]
        # and asking has changed nothing
        assert rows_of(batches, len(first) - cut) == first[cut:]


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "endless"])
def test_later_epochs_are_the_same_after_a_resume(kind: str) -> None:
    whole = build(kind)
    epochs = [rows(whole) for _ in range(4)]
    loader = build(kind)
    rows(loader)
    assert loader.state_dict()["epoch"] == 1  # the first is over
    assert rows(loader, 2) == epochs[1][:2]
    loader = resume(kind, loader.state_dict())
    assert [rows(loader) for _ in range(3)] == [epochs[1][2:], epochs[2], epochs[3]]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("kind", ["cycled", "replay"])
def test_workers_run_ahead_of_the_state(kind: str, persistent: bool) -> None:
    options = {"num_workers": 2, "prefetch_factor": 3, "persistent_workers": persistent}
    whole = build(kind)
    first, second = rows(whole), rows(whole)
    for cut in range(0, len(first) + 1, 2):
        loader = build(kind, **options)
        batches = iter(loader)
        assert rows_of(batches, cut) == first[:cut]
        state = loader.state_dict()
        del batches
        resumed = resume(kind, state, **options)
        assert rows(resumed) == first[cut:]
        if persistent:
            assert rows(resumed) == second
        assert rows(resume(kind, state)) == first[cut:]  # the number of workers may change


def test_iterating_again_begins_a_new_epoch() -> None:
    whole = build("replay")
    epochs = [rows(whole) for _ in range(3)]
    loader = build("replay")
    assert rows(loader, 2) == epochs[0][:2]
    assert rows(loader, 3) == epochs[1][:3]  # broken off, not gone on with
    assert rows(loader) == epochs[2]


def test_workers_that_persist_begin_a_new_epoch_too() -> None:
    whole = build("replay")
    epochs = [rows(whole) for _ in range(3)]
    loader = build("replay", num_workers=2, persistent_workers=True)
    assert rows(loader, 2) == epochs[0][:2]
    assert rows(loader, 1) == epochs[1][:1]
    assert rows(loader) == epochs[2]


def test_an_iterator_left_behind_moves_nothing() -> None:
    loader = build("replay")
    old = iter(loader)
    next(old)
    new = iter(loader)
    next(new)
    next(new)
    state = loader.state_dict()
    list(old)
    assert loader.state_dict() == state
    assert (state["epoch"], state["batch"]) == (1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_survives_the_disk(kind: str, tmp_path: Path) -> None:
    loader = build(kind)
    batches = iter(loader)
    for _ in range(2):
        next(batches)
    state, _ = load_checkpoint(save_checkpoint(tmp_path, loader.state_dict(), position=2))
    assert rows(resume(kind, state), 3) == rows_of(batches, 3)


def test_a_state_is_a_few_numbers() -> None:
    loader = GroupBalancedDataLoader([np.arange(100_000)], batch_size=10)
    next(iter(loader))
    assert len(repr(loader.state_dict())) < 400


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (build("task"), "loader: saved TaskBalancedDataLoader, this pipeline has .*"),
        (
            GroupBalancedDataLoader([batch(17), batch(6)], batch_size=4),
            "batch_size: saved 4, this pipeline has 5",
        ),
        (
            GroupBalancedDataLoader([batch(17), batch(7)], batch_size=5),
            r"sizes: saved \[17, 7\], this pipeline has \[17, 6\]",
        ),
        (build("balanced", shuffle=False), "shuffle: saved False, this pipeline has True"),
        (build("balanced", drop_last=True), "drop_last: saved True, this pipeline has False"),
        (
            GroupBalancedDataLoader([batch(17), batch(6)], True, batch_size=5),
            "oversample_small_groups: saved True, this pipeline has False",
        ),
    ],
)
def test_a_state_of_another_loader_is_refused(other: PlannedDataLoader, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        build("balanced").load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": [[0, 2]]}, r"batch_size: saved \[\[0, 2\]\], this pipeline has .*"),
        ({"batch_size_mem": 9}, "batch_size_mem: saved 9, this pipeline has 4"),
        ({"task_balanced_dataloader": False}, "task_balanced_dataloader: saved False, .*"),
        ({"oversample_small_tasks": False}, "oversample_small_tasks: saved False, .*"),
        ({"world_size": 2}, "world_size: saved 2, this pipeline has 1"),
        ({"epoch": -1}, r"epoch: saved -1, .*"),
        ({"batch": 100}, "batch: saved 100, .*"),
        ({"seed": "0"}, "seed: saved 0, .*"),
    ],
)
def test_a_changed_state_is_refused(change: State, message: str) -> None:
    loader = build("replay by task")
    before = rows(build("replay by task"))
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        loader.load_state_dict({**loader.state_dict(), **change})
    assert rows(loader) == before  # nothing was taken over


def test_a_state_with_parts_missing_is_refused() -> None:
    state = build("replay").state_dict()
    for name in state:
        part = {key: value for key, value in state.items() if key != name}
        with pytest.raises(CheckpointError, match=f"^{name}: not in the saved state$"):
            build("replay").load_state_dict(part)
