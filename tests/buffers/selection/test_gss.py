"""GSS-Greedy against a slow loop over Algorithm 2, and what must not get into its memory."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection import Candidates, GSSGreedySelectionStrategy
from streamreplay.errors import CheckpointError
from streamreplay.randomness import make_rng, spawn_seed
from tests.buffers.selection.groups import Group
from tests.contract.digest import global_randomness, plain


def x_of(batch: Batch) -> NDArray[Any]:
    """Let the features be the gradient."""
    return batch.x


def stream(n: int, d: int = 6, seed: int = 0, zeros: float = 0.0) -> Batch:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[rng.random(n) < zeros] = 0
    return Batch.from_arrays(x)


def cut(batch: Batch, size: int) -> list[Batch]:
    return [batch.take(slice(i, i + size)) for i in range(0, len(batch), size)]


def feed(group: Group, batches: list[Batch]) -> Group:
    for batch in batches:
        group.offer(batch)
    return group


# -- the slow reference: one row at a time, one stored row at a time -------------------------------


@dataclass
class Row:
    t: int
    vector: list[float]
    c: float


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(p * q for p, q in zip(a, b, strict=True))
    return float(dot / (sum(p * p for p in a) ** 0.5 * sum(q * q for q in b) ** 0.5))


def draw_victim(memory: list[Row], draw: float) -> int:
    total = sum(row.c for row in memory)
    cumulated = 0.0
    for i, row in enumerate(memory):
        cumulated += row.c
        if draw * total < cumulated:
            return i
    raise AssertionError("no victim")


def slow(
    batch: Batch, k: int, n_compared: int, seed: int, project: Callable[..., Any]
) -> list[Row]:
    rng = make_rng(spawn_seed(seed, "draws"))
    memory: list[Row] = []  # with a gradient, by score
    idle: list[Row] = []  # without
    for t, x in zip(batch.t.tolist(), batch.x, strict=True):
        vector = project(x[None])[0].astype(float).tolist()
        if not x.any():
            if len(memory) + len(idle) < k:
                idle.append(Row(t, vector, 3.0))
            continue
        subset = range(len(memory))
        if len(memory) > n_compared:
            subset = rng.choice(len(memory), n_compared, replace=False)  # type: ignore[assignment]
        c = max([cosine(vector, memory[i].vector) for i in subset], default=0.0) + 1
        if len(memory) + len(idle) >= k and not idle:
            if c >= 1:
                continue
            victim, r = draw_victim(memory, rng.random()), rng.random()
            if r >= memory[victim].c / (memory[victim].c + c):
                continue
            del memory[victim]
        elif len(memory) + len(idle) >= k:
            idle.pop()
        memory.append(Row(t, vector, c))
        memory.sort(key=lambda row: row.c)
    return memory + idle


@pytest.mark.parametrize("size", [1, 7, 300])
@pytest.mark.parametrize(("k", "n_compared"), [(1, 10), (5, 2), (40, 4), (500, 3)])
@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.97])
def test_equal_to_the_reference(k: int, n_compared: int, size: int, zeros: float) -> None:
    batch = stream(300, zeros=zeros, seed=k)
    strategy = GSSGreedySelectionStrategy(x_of, 32, n_compared, seed=k)
    group = feed(Group(strategy, k), cut(batch, size))
    want = slow(batch, k, n_compared, k, strategy._project)
    assert group.t == [row.t for row in want]
    np.testing.assert_allclose(group.notes[:, -1], [row.c for row in want], atol=1e-5)
    directions = np.array([row.vector for row in want])
    length = np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(group.notes[:, :-1] * length, directions, atol=1e-4)
    if k < 100 and not zeros:
        assert max(group.t) > k  # the stream did displace some
        assert len(group.t) == k


# -- what it is for --------------------------------------------------------------------------------


def test_near_duplicates_give_way_to_what_differs() -> None:
    """480 rows of nearly one gradient fill the memory, then come 20 that point elsewhere.

    A reservoir would keep 20 * 20 / 500 of them, 0.8 in mean. Over 1,000 seeds it was 4.2 with a
    standard deviation of 1.0, so a mean of 20 below 3 is 5 deviations off: once in 10^6 seeds.
    """
    counts = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        same = np.eye(1, 40) + 0.02 * rng.standard_normal((480, 40))
        others = -np.eye(1, 40) + rng.standard_normal((20, 40))
        group = Group(GSSGreedySelectionStrategy(x_of, seed=seed), 20)
        feed(group, cut(Batch.from_arrays(same), 32))
        assert group.notes[:, -1].mean() > 1.9
        feed(group, cut(Batch.from_arrays(others, start=480), 5))
        stays = np.array(group.t) >= 480
        counts.append(stays.sum())
        assert stays[:2].all()  # and the most redundant are last, to go first
        assert not stays[-3:].any()
    assert np.mean(counts) > 3


def test_the_ranking_is_by_score_and_a_smaller_quota_drops_the_most_redundant() -> None:
    group = feed(Group(GSSGreedySelectionStrategy(x_of), 30), cut(stream(100), 10))
    score = group.notes[:, -1]
    assert (np.diff(score) >= 0).all()
    best = group.t[:10]
    group.k = 10
    group.offer(Batch.from_arrays(np.ones((0, 6)), start=100))
    assert group.t == best


# -- D15, and other rows that are none -------------------------------------------------------------


def test_slots_never_filled_are_never_compared_with() -> None:
    """Zeros in a free slot, or in notes not written yet, would make scores 1 (D15)."""
    opposite = Batch.from_arrays([[1.0, 0.0], [-1.0, 0.0]])
    for size in (1, 2):
        group = feed(Group(GSSGreedySelectionStrategy(x_of), 10), cut(opposite, size))
        assert group.t == [1, 0]
        np.testing.assert_allclose(group.notes[:, -1], [0, 1], atol=1e-6)


def test_the_first_row_can_leave() -> None:
    """A score of 0, one plus the maximum over nothing, would never be drawn as the victim."""
    group = Group(GSSGreedySelectionStrategy(x_of), 1)
    group.offer(Batch.from_arrays([[1.0, 0.0]]))
    assert group.notes[0, -1] == 1
    group.offer(Batch.from_arrays([[-1.0, 0.0]], start=1))  # replaces with 1 / (1 + 0)
    assert group.t == [1]
    # all scores are 0 now: nothing is a victim, and nothing is divided by 0
    group.offer(Batch.from_arrays([[1.0, 0.0]], start=2))
    assert group.t == [1]


def test_rows_without_a_gradient_only_fill_room() -> None:
    group = Group(GSSGreedySelectionStrategy(x_of), 3)
    group.offer(Batch.from_arrays(np.zeros((5, 2))))
    assert group.t == [0, 1, 2]
    group.offer(Batch.from_arrays([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], start=5))
    assert group.t == [6, 7, 0]
    np.testing.assert_allclose(group.notes[:, -1], [1, 2, 3], atol=1e-6)
    # a zero vector among those compared would have made this one's score 1
    group.offer(Batch.from_arrays([[-1.0, 0.0]], start=8))
    assert group.t == [8, 6, 7]


# -- what it asks for and writes to ----------------------------------------------------------------


def test_gradients_are_asked_once_for_each_new_row() -> None:
    asked: list[int] = []

    def gradient(batch: Batch) -> NDArray[Any]:
        asked.extend(batch.t.tolist())
        return batch.x

    group = Group(GSSGreedySelectionStrategy(gradient), 8)
    feed(group, cut(stream(700), 350))
    assert asked == list(range(700))
    group.k = 0
    assert group.offer(stream(5)).tolist() == []
    assert len(asked) == 700


def test_only_notes_of_new_rows_that_are_kept_are_written() -> None:
    strategy = GSSGreedySelectionStrategy(x_of, 4, n_compared=1)
    group = feed(Group(strategy, 10), [stream(30)])
    assert group.rows is not None
    more = stream(20, seed=1)
    notes = np.zeros((30, 5), np.float32)
    notes[:10] = group.notes
    rows = Batch.concat([group.rows, more])
    kept = strategy.make_sorted_indices(Candidates(rows, 10, np.ones(30), notes), 10)
    assert len(set(kept.tolist())) == 10
    assert (kept >= 10).any()
    assert (notes[:10] == group.notes).all()
    assert (notes[kept].any(1)).all()
    dropped = np.setdiff1d(np.arange(10, 30), kept)
    assert not notes[dropped].any()


def test_a_gradient_that_grows_is_compared_with_shorter_ones() -> None:
    def gradient(batch: Batch) -> NDArray[Any]:
        return batch.x[:, : 3 if batch.t[0] < 2 else 2000]

    x = np.zeros((4, 2000), np.float32)
    x[0, 0] = x[1, 1] = x[2, 0] = 1  # the third is the first, in a wider head
    x[3, 1999] = 1
    group = feed(Group(GSSGreedySelectionStrategy(gradient, 256), 9), cut(Batch.from_arrays(x), 2))
    by_row = dict(zip(group.t, group.notes[:, -1].tolist(), strict=True))
    assert by_row[2] == pytest.approx(2, abs=1e-5)
    assert by_row[3] == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1.0, 1e30, 3e38])
def test_only_the_direction_counts(scale: float) -> None:
    batch = stream(60)
    scaled = Batch.from_arrays(batch.x / np.abs(batch.x).max() * np.float32(scale))
    runs = [feed(Group(GSSGreedySelectionStrategy(x_of), 9), [b]).t for b in (batch, scaled)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda b: b.x[1:], r"gradients must be \[4, d\] for 4 rows, got \(3, 6\)"),
        (lambda b: b.x[:, 0], r"gradients must be \[4, d\] for 4 rows, got \(4,\)"),
        (lambda b: b.x * np.nan, r"gradients must be finite, \d+ of \d+ are not"),
        (lambda b: b.x * np.inf, "gradients must be finite"),
    ],
)
def test_gradients_that_cannot_be_used_are_refused(made: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Group(GSSGreedySelectionStrategy(made), 3).offer(stream(4))


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="n_components must be at least 1, got 0"):
        GSSGreedySelectionStrategy(x_of, 0)
    with pytest.raises(ValueError, match="n_compared must be at least 1, got 0"):
        GSSGreedySelectionStrategy(x_of, n_compared=0)


# -- randomness and state --------------------------------------------------------------------------


def run(seed: int) -> Any:
    strategy = GSSGreedySelectionStrategy(x_of, n_compared=3, seed=seed)
    return plain(feed(Group(strategy, 12), cut(stream(200), 9)).state())


def test_no_global_generator_is_moved_or_read() -> None:
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - this is what must not matter
        before = global_randomness()
        results.append(run(0))
        assert global_randomness() == before
    assert results[0] == results[1]
    assert run(1) != results[0]


@pytest.mark.parametrize("seed", [5, 6])
def test_resumes_at_every_batch(seed: int) -> None:
    """Also an object of another seed: the projection comes with the state."""
    batches = cut(stream(150), 9)

    def make(seed: int) -> Group:
        return Group(GSSGreedySelectionStrategy(x_of, n_compared=3, seed=seed), 12)

    whole = make(5)
    saved = []
    for batch in batches:
        before = plain(whole.state())
        assert plain(whole.state()) == before
        saved.append(copy.deepcopy((whole.rows, whole.notes, whole.strategy.state_dict())))
        whole.offer(batch)
    for place, (rows, notes, state) in enumerate(saved):
        again = make(seed)
        again.rows, again.notes = rows, notes
        again.strategy.load_state_dict(state)
        assert plain(feed(again, batches[place:]).state()) == plain(whole.state())


def test_a_state_of_other_settings_is_refused() -> None:
    state = GSSGreedySelectionStrategy(x_of).state_dict()
    with pytest.raises(CheckpointError, match="n_components: saved 64, this pipeline has 8"):
        GSSGreedySelectionStrategy(x_of, 8).load_state_dict(state)
    with pytest.raises(CheckpointError, match="n_compared: saved 10, this pipeline has 2"):
        GSSGreedySelectionStrategy(x_of, n_compared=2).load_state_dict(state)
