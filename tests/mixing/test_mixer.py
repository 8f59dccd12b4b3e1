"""What the mixer draws: how many of each group, which, and the same again after a resume."""

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy, Sample
from streamreplay.buffers import ClassBalancedBuffer, ReservoirSamplingBuffer
from streamreplay.errors import CheckpointError
from streamreplay.memory import FixedMemory
from streamreplay.mixing import Mixer
from streamreplay.records import Rehearsal
from streamreplay.state import Stateful
from tests.memories import RecordingMemory


def rehearsal(*counts: int, incoming: int = 4, held_out: Sample | None = None) -> Rehearsal:
    """Memory of so many rows of class 10, 11, ..., in an order of its own."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)) + 10, counts))
    n = len(labels)
    memory = Batch.from_arrays(np.zeros((n, 1)), labels, task=labels // 11, experience=labels % 3)
    new = Batch.from_arrays(np.zeros((incoming, 1)), [0] * incoming, start=n)
    return Rehearsal(replace(new, held_out=held_out), FixedMemory(memory))


def draw(mixer: Mixer, *counts: int, times: int = 1) -> Iterator[Rehearsal]:
    return mixer([rehearsal(*counts)] * times)


def shares(mixed: Rehearsal, step: int = 0) -> list[int]:
    return [int((mixed.drawn(step).y == label).sum()) for label in (10, 11, 12)]


def test_is_stateful() -> None:
    assert isinstance(Mixer(3), Stateful)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, None, 1), "batch_size_mem must be at least 0, got -1"),
        ((3, None, 0), "steps must be at least 1, got 0"),
        ((3, "labels", 1), "by must be one of class, task, experience or None, got 'labels'"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments: Any, message: str) -> None:
    size, by, steps = arguments
    with pytest.raises(ValueError, match=f"^{message}$"):
        Mixer(size, by, steps=steps)


@pytest.mark.parametrize("replacement", [False, True])
def test_shares_differ_by_one_and_the_odd_ones_go_round(replacement: bool) -> None:
    total = np.zeros(3, np.int64)
    for mixed in draw(Mixer(8, "class", replacement=replacement), 10, 14, 12, times=30):
        share = np.array(shares(mixed))
        assert share.sum() == 8
        assert share.max() - share.min() <= 1
        total += share
        assert total.max() - total.min() <= 1


@pytest.mark.parametrize("steps", [1, 3])
def test_more_groups_than_rows_are_served_in_turn(steps: int) -> None:
    served = [
        int(label)
        for mixed in draw(Mixer(3, "class", steps=steps), *[5] * 7, times=14)
        for step in range(steps)
        for label in sorted(mixed.drawn(step).y)
    ]
    for a in range(0, len(served) - 9, 9):
        # 7 groups within 3 draws of 3 rows
        assert set(served[a : a + 9]) == set(range(10, 17))
    assert np.ptp(np.bincount(served)[10:]) <= 1


def test_a_small_group_gives_what_it_has_and_others_take_over() -> None:
    total = np.zeros(3, np.int64)
    for mixed in draw(Mixer(8, "class"), 20, 1, 20, times=20):
        assert sorted(shares(mixed)) == [1, 3, 4]
        assert len(set(mixed.rows[0])) == 8
        total += shares(mixed)
        assert abs(total[0] - total[2]) <= 1
    for mixed in draw(Mixer(9, "class", replacement=True), 20, 2, 20, times=20):
        assert shares(mixed) == [3, 3, 3]


@pytest.mark.parametrize("by", [None, "class"])
def test_a_memory_smaller_than_the_draw(by: GroupBy | None) -> None:
    [mixed] = draw(Mixer(8, by, steps=2), 2, 1)
    assert [sorted(rows) for rows in mixed.rows] == [[0, 1, 2]] * 2
    [mixed] = draw(Mixer(8, by, steps=2, replacement=True), 2, 1)
    assert mixed.rows.shape == mixed.group.shape == (2, 8)


@pytest.mark.parametrize("by", [None, "class"])
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(("size", "counts"), [(8, ()), (0, (3, 3)), (8, (0,))])
def test_nothing_to_draw(
    by: GroupBy | None, replacement: bool, size: int, counts: tuple[int, ...]
) -> None:
    mixer = Mixer(size, by, replacement=replacement, steps=3)
    before = copy.deepcopy(mixer.state_dict())
    [mixed] = draw(mixer, *counts)
    assert mixed.rows.shape == mixed.group.shape == (3, 0)
    assert len(mixed.drawn(2)) == 0
    assert mixer.state_dict() == before


@pytest.mark.parametrize("by", ["class", "task", "experience"])
@pytest.mark.parametrize("replacement", [False, True])
def test_each_row_knows_the_group_it_was_drawn_for(by: GroupBy, replacement: bool) -> None:
    one = rehearsal(10, 14, 12)
    for mixed in Mixer(8, by, replacement=replacement, steps=2)([one] * 20):
        assert mixed.incoming is one.incoming
        assert mixed.memory is one.memory
        assert mixed.rows.dtype == mixed.group.dtype == np.int64
        for step in range(2):
            column = getattr(mixed.drawn(step), GROUP_COLUMNS[by])
            assert mixed.group[step].tolist() == column.tolist()


def test_uniform_draws_name_no_group() -> None:
    [mixed] = draw(Mixer(8, steps=2), 10, 3)
    assert (mixed.group == -1).all()
    assert mixed.group.shape == (2, 8)


def test_held_out_batches_pass_through_and_move_nothing() -> None:
    mixer = Mixer(3, "class")
    before = copy.deepcopy(mixer.state_dict())
    held_out = rehearsal(5, 5, held_out="test")
    assert [*mixer([held_out])] == [held_out]
    assert mixer.state_dict() == before


@pytest.mark.parametrize("by", [None, "class"])
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("size", [4, 15])
def test_draws_are_uniform_within_each_group(
    by: GroupBy | None, replacement: bool, size: int
) -> None:
    """Every row of a group equally often, also where draws meet and are drawn anew.

    A correct program fails in one of 10,000 choices of seeds; draws without replacement vary less.
    """
    counts = (8, 12)
    found = np.zeros(20)
    for mixed in draw(Mixer(size, by, replacement=replacement, seed=1), *counts, times=1500):
        np.add.at(found, mixed.rows[0], 1)
        if not replacement:
            assert len(set(mixed.rows[0])) == size
    labels = rehearsal(*counts).memory.stored.y
    for group in [labels >= 0] if by is None else [labels == 10, labels == 11]:
        expected = found[group].mean()
        statistic = ((found[group] - expected) ** 2).sum() / expected
        assert chi2.sf(statistic, group.sum() - 1) > 1e-4 / 2


@pytest.mark.parametrize("by", [None, "class"])
def test_every_set_of_rows_is_equally_likely_without_replacement(by: GroupBy | None) -> None:
    """2 of 5 rows: 10 pairs. A correct program fails in one of 10,000 choices of seeds."""
    found = np.zeros((5, 5))
    for mixed in draw(Mixer(2, by), 5, times=2000):
        a, b = sorted(mixed.rows[0])
        found[a, b] += 1
    pairs = found[np.triu_indices(5, 1)]
    assert pairs.sum() == 2000
    assert chi2.sf(((pairs - 200) ** 2).sum() / 200, 9) > 1e-4


def test_rows_with_replacement_are_independent() -> None:
    """Two draws of 5 rows meet in a fifth of the steps; 0.2 +- 0.036 but once in 10,000 seeds."""
    for by in (None, "class"):
        met = [
            m.rows[0, 0] == m.rows[0, 1]
            for m in draw(Mixer(2, by, replacement=True), 5, times=2000)
        ]
        assert abs(np.mean(met) - 0.2) < 0.036


def test_passes_draw_anew() -> None:
    [mixed] = draw(Mixer(10, steps=4), 60)
    assert len({tuple(sorted(rows)) for rows in mixed.rows}) == 4


def pipeline(mixer: Mixer, buffer: Any, batches: list[Batch]) -> Iterator[tuple[list[Any], ...]]:
    for mixed in mixer(buffer(batches)):
        yield mixed.drawn().t.tolist(), mixed.rows.tolist(), mixed.group.tolist()


@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer])
@pytest.mark.parametrize("by", [None, "class"])
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_state_at_any_cut_gives_the_same_rest(
    kind: Any, by: GroupBy | None, replacement: bool, steps: int
) -> None:
    batches = [
        Batch.from_arrays(np.zeros((n, 1)), np.arange(a, a + n) % 3, start=a)
        for a, n in zip(range(0, 400, 40), [1, 40, 7, 33, 2, 40, 1, 1, 40, 5], strict=True)
    ]

    def build() -> tuple[Mixer, Any]:
        return Mixer(7, by, replacement=replacement, steps=steps, seed=1), kind(12, seed=2)

    expected = list(pipeline(*build(), batches))
    parts: tuple[Mixer, Any] = build()
    found: list[Any] = []
    for batch in batches:
        found += pipeline(*parts, [batch])
        for _ in range(2):
            states = [copy.deepcopy(part.state_dict()) for part in parts]
            parts = build()
            for part, state in zip(parts, states, strict=True):
                part.load_state_dict(state)
                assert set(part.state_dict()) == set(state)
    assert found == expected


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Mixer(4), "batch_size_mem: saved 4, this pipeline has 3"),
        (Mixer(3, "task"), "by: saved task, this pipeline has None"),
        (Mixer(3, replacement=True), "replacement: saved True, this pipeline has False"),
        (Mixer(3, steps=2), "steps: saved 2, this pipeline has 1"),
    ],
)
def test_a_state_of_other_settings_is_refused(other: Mixer, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        Mixer(3).load_state_dict(other.state_dict())


def test_seeds() -> None:
    def drawn(seed: int) -> list[Any]:
        return [m.rows.tolist() for m in draw(Mixer(5, "class", seed=seed), 30, 30, times=3)]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_no_global_generator_is_moved() -> None:
    def states() -> list[str]:
        numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002 - this is what must not move
        return [repr(random.getstate()), repr(numpy_state), repr(torch.get_rng_state().tolist())]

    before = states()
    for by in (None, "class"):
        for replacement in (False, True):
            list(draw(Mixer(9, by, replacement=replacement), 5, 5, times=5))
    assert states() == before


@pytest.mark.parametrize("by", [None, "class"])
def test_every_row_says_where_it_is_from(by: GroupBy | None) -> None:
    (record,) = draw(Mixer(6, by, steps=2), 5, 9, 4)
    for step in range(2):
        batch, is_memory, group = record.mixed(step)
        assert is_memory.tolist() == [False] * 4 + [True] * 6
        assert batch.t[~is_memory].tolist() == record.incoming.t.tolist()
        assert batch.t[is_memory].tolist() == record.rows[step].tolist()  # memory's t is its row
        assert (group[~is_memory] == -1).all()
        want = np.full(6, -1) if by is None else batch.y[is_memory]
        np.testing.assert_array_equal(group[is_memory], want)


@pytest.mark.parametrize("by", [None, "class"])
def test_who_decides_what_is_rehearsed_counts_it(by: GroupBy | None) -> None:
    one = rehearsal(9, 5)
    memory = RecordingMemory(one.memory.stored)
    one = replace(one, memory=memory)
    [drawn] = Mixer(4, by, steps=2)([one])
    assert drawn.candidates is None
    assert [rows.tolist() for rows in memory.counted] == [drawn.rows.tolist()]
    [wide] = Mixer(4, by, steps=2, candidates=10)([one])
    assert wide.candidates is not None
    assert wide.candidates.shape == (2, 10)
    assert wide.rows.tolist() == wide.candidates[:, :4].tolist()
    assert wide.group.shape == (2, 4)
    assert len(memory.counted) == 1, "the learner counts what it chooses"
