"""What every source promises, tried on each of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.checkpoint import load_checkpoint, save_checkpoint
from streamreplay.features.packed import is_table
from streamreplay.stage import Source
from tests.contract.components import SOURCES
from tests.contract.digest import global_randomness, plain

Make = Callable[[int], Source]
"""Given a batch size."""

SIZES = (1, 2, 5, 100)


def by_row(batches: Iterable[Batch]) -> list[Any]:
    """Write every row down on its own; ids by value, as their width is that of the batch's."""
    return [
        (plain(replace(row, id=None)), None if row.id is None else row.id.tolist())
        for batch in batches
        for row in (batch.take(slice(i, i + 1)) for i in range(len(batch)))
    ]


def names(source: Source) -> list[Any]:
    """Return the names that the stream has shown so far."""
    return source.labels.names


def everything(make: Make, size: int = 5) -> tuple[list[Any], list[Any]]:
    source = make(size)
    return by_row(source), names(source)


def carry_over(make: Make, carry: Callable[[Source], Source], size: int = 5) -> None:
    """Stop after each yield, with the iterator left open, and go on elsewhere."""
    want, all_names = everything(make, size)
    batches = len(list(make(size)))
    for cut in range(batches + 1):
        source = make(size)
        running = iter(source)
        rows = by_row(next(running) for _ in range(cut))
        met = names(source)
        assert met == all_names[: len(met)]
        carried = carry(source)
        assert (names(carried), carried.position) == (met, len(rows))
        assert rows + by_row(carried) == want, f"stopped after batch {cut}"
        assert names(carried) == all_names


def resume(make: Make, source: Source) -> Source:
    state = copy.deepcopy(source.state_dict())
    saved = plain(state)
    fresh = make(5)
    fresh.load_state_dict(state)
    assert plain(fresh.state_dict()) == saved
    return fresh


def check_resumes_at_every_cut(make: Make, _: Path) -> None:
    for size in (1, 5):
        carry_over(make, partial(resume, make), size)


def check_resumes_twice_in_a_row(make: Make, _: Path) -> None:
    carry_over(make, lambda source: resume(make, resume(make, source)))


def check_every_batch_can_come_from_another_process(make: Make, _: Path) -> None:
    source, rows = make(2), []
    while batch := next(iter(source), None):
        rows += by_row([batch])
        source = resume(make, source)
    assert rows == everything(make)[0]


def check_survives_the_disk(make: Make, folder: Path) -> None:
    def carry(source: Source) -> Source:
        state = copy.deepcopy(source.state_dict())
        path = save_checkpoint(folder / "checkpoints", {"source": state}, position=0)
        loaded = load_checkpoint(path)[0]["source"]
        assert plain(loaded) == plain(state)
        fresh = make(5)
        fresh.load_state_dict(loaded)
        return fresh

    carry_over(make, carry)


def check_a_used_source_can_go_back(make: Make, _: Path) -> None:
    want, all_names = everything(make)
    for further in (1, 100) if want else ():  # with rows that were read ahead, and at the end
        source = make(5)
        rows = by_row(batch for _, batch in zip(range(1), source, strict=False))
        state = copy.deepcopy(source.state_dict())
        saved = plain(state)
        for _again in range(further):
            if next(iter(source), None) is None:
                break
        source.load_state_dict(state)
        assert plain(source.state_dict()) == saved
        assert (rows + by_row(source), names(source)) == (want, all_names)


def check_an_iterator_can_be_dropped(make: Make, _: Path) -> None:
    carry_over(make, lambda source: source)
    source, rows = make(2), []
    while batch := next(iter(source), None):
        rows += by_row([batch])
    assert rows == everything(make)[0]


def check_asking_for_the_state_changes_nothing(make: Make, _: Path) -> None:
    asked, left_alone = make(5), make(5)
    assert plain(asked.state_dict()) == plain(asked.state_dict())
    rows = []
    for batch in asked:
        rows += by_row([batch])
        assert plain(asked.state_dict()) == plain(asked.state_dict())
    assert rows == by_row(left_alone)
    assert plain(asked.state_dict()) == plain(left_alone.state_dict())


def check_batch_size_does_not_change_the_rows(make: Make, _: Path) -> None:
    want = everything(make)
    for size in SIZES:
        assert everything(make, size) == want
        assert all(1 <= len(batch) <= size for batch in make(size))


def check_rows_are_numbered_from_zero(make: Make, _: Path) -> None:
    positions = [t for batch in make(5) for t in batch.t.tolist()]
    assert positions == list(range(len(positions)))
    source = make(2)
    for batch in source:
        assert source.position == batch.t[-1] + 1


def check_a_batch_is_of_one_experience(make: Make, _: Path) -> None:
    for size in SIZES:
        assert all(len(set(batch.experience.tolist())) == 1 for batch in make(size))


def check_labels_are_numbered_as_they_come(make: Make, _: Path) -> None:
    top = -1
    for label in (y for batch in make(5) for y in batch.y.tolist()):
        assert -1 <= label <= top + 1
        top = max(top, label)
    widths = {0 if batch.target is None else batch.target.shape[1] for batch in make(5)}
    assert len(everything(make)[1]) == max(widths, default=0) or top + 1


def check_types_are_those_of_a_batch(make: Make, _: Path) -> None:
    for batch in make(5):
        assert is_table(batch.x) or batch.x.dtype in (np.float32, np.uint8)
        assert not is_table(batch.x) or batch.schema is not None
        columns = (batch.y, batch.t, batch.task, batch.experience)
        assert [column.dtype for column in columns] == [np.int64] * 4
        assert {len(column) for column in batch.columns().values()} == {len(batch)}
        assert not batch.held_out


def check_every_batch_shares_the_names(make: Make, _: Path) -> None:
    source = make(5)
    named = [(batch.labels, batch.feature_names) for batch in source]
    assert all(labels is source.labels for labels, _ in named)
    assert len({id(features) for _, features in named}) <= 1
    assert all(features == source.feature_names for _, features in named)
    assert len({id(batch.schema) for batch in make(5)}) <= 1
    again = resume(make, source)
    assert all(batch.labels is again.labels for batch in again)


def width_of(batch: Batch) -> int:
    """Return how many columns the rows of a batch have; those of an array have one a feature."""
    if not is_table(batch.x):
        return int(batch.x[0].size)
    return sum(batch.x[block].shape[1] for block in batch.x.dtype.names or ())


def check_the_whole_protocol(make: Make, _: Path) -> None:
    source = make(5)
    assert isinstance(source, Source)
    assert source.continue_from_here is False
    assert not source.position
    rows = sum(map(len, source))
    assert source.rows_total is None or source.rows_total >= rows
    width = min(map(width_of, make(5)), default=0)
    assert len(source.feature_names or ()) <= width  # one field may hold several features
    assert not set(source.left_out) & set(source.feature_names or ())


def check_it_goes_on_after_it_was_closed(make: Make, _: Path) -> None:
    source, rows = make(2), []
    while batch := next(iter(source), None):
        rows += by_row([batch])
        source.close()
    source.close()
    assert rows == everything(make)[0]


def check_no_global_generator_is_moved_or_read(make: Make, _: Path) -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 - this is what must not matter
        before = global_randomness()
        results.append(everything(make))
        assert global_randomness() == before
    assert results[0] == results[1]


def check_it_ends_for_good(make: Make, _: Path) -> None:
    source = make(5)
    n = sum(map(len, source))
    state = plain(source.state_dict())
    with pytest.warns(UserWarning, match="has been read to its end, and this pass had no rows"):
        assert list(source) == []
    assert plain(source.state_dict()) == state
    assert list(resume(make, source)) == []  # a finished run may be resumed: no warning
    assert source.position == n


def check_it_pauses_before_what_only_its_end_makes_a_batch(make: Make, _: Path) -> None:
    for size in SIZES:
        want = [plain(batch) for batch in make(size)]
        source = make(size)
        source.whole_batches = True
        found = [plain(batch) for batch in source]
        assert found == want[: len(found)]
        assert len(want) - len(found) <= 2  # a last line without a line end may be one of two
        again = resume(make, source)
        assert by_row(again) == everything(make)[0][source.position :]
        source.whole_batches = False
        assert found + [plain(batch) for batch in source] == want


CHECKS = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("check", CHECKS)
def test_sources(check: str, source: str, tmp_path: Path) -> None:
    CHECKS[check](partial(SOURCES[source], tmp_path), tmp_path)


@pytest.mark.parametrize("source", SOURCES)
def test_only_those_called_empty_are(source: str, tmp_path: Path) -> None:
    rows = sum(map(len, SOURCES[source](tmp_path, 5)))
    assert rows == 0 if "empty" in source else rows > 15
