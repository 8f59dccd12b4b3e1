"""Behaviours 12 to 31 that a replay buffer and the pipeline around it are held to, in one place.

Each names the defect of Avalanche 0.6.0 that it guards against, where there is one. Loaders have 1
to 11, in ``tests/mixing/test_loaders*.py``; laws are tested in depth, with stated rates of false
alarms, in ``tests/buffers/``. Where chance plays a part here, seeds are fixed, and a correct
program fails in one of 10,000 choices of them at most.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
    TaskBalancedBuffer,
)
from streamreplay.buffers.selection import (
    Candidates,
    ClosestToCenterSelectionStrategy,
    ExemplarsSelectionStrategy,
    HerdingSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from streamreplay.checkpoint import load_checkpoint, save_checkpoint
from streamreplay.evaluation import Prequential
from streamreplay.ingest import LateLabels
from streamreplay.learners import TorchLearner, Verification, mlp
from streamreplay.mixing import Mixer
from streamreplay.pipeline import Pipeline
from tests.contract.digest import plain

RUNS = 300


def rows(labels: Any, start: int = 0, **columns: Any) -> Batch:
    x = np.arange(start, start + len(labels), dtype=np.float32)[:, None]
    return Batch.from_arrays(x, labels, start=start, **columns)


def feed(buffer: ExemplarsBuffer, labels: Any, chunk: int, **columns: Any) -> ExemplarsBuffer:
    for a in range(0, len(labels), chunk):
        part = {name: column[a : a + chunk] for name, column in columns.items()}
        buffer.update(rows(labels[a : a + chunk], a, **part))
    return buffer


def shares(make: Callable[[int], ExemplarsBuffer], labels: Any, chunk: int) -> NDArray[np.float64]:
    """Return which share of the stored rows is of each fifth of the stream, over many runs."""
    found = np.zeros(5)
    for seed in range(RUNS):
        t = feed(make(seed), labels, chunk).buffer.t
        found += np.bincount(t * 5 // len(labels), minlength=5)
    return np.asarray(found / found.sum())


def near_a_fifth(found: NDArray[np.float64], stored: int) -> bool:
    """Tell whether all shares are within 4 standard deviations of a fifth."""
    deviation = np.sqrt(0.2 * 0.8 / (stored * RUNS))
    return bool((np.abs(found - 0.2) < 4 * deviation).all())


def sizes(buffer: ExemplarsBuffer) -> dict[int, int]:
    return {group: len(part) for group, part in buffer.buffer_groups.items()}


# -- reservoir ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 100, 500])
def test_12_each_fifth_of_the_stream_has_its_share_in_any_chunks(chunk: int) -> None:
    make = partial(ReservoirSamplingBuffer, 20)
    assert near_a_fifth(shares(make, np.zeros(500, int), chunk), 20)


def test_13_the_first_rows_are_all_stored_and_then_as_many_as_there_are_slots() -> None:
    buffer = ReservoirSamplingBuffer(20)
    for t in range(60):
        buffer.update(rows([0], t))
        assert len(buffer) == min(20, t + 1)
        if t < 20:
            assert sorted(buffer.buffer.t) == list(range(t + 1))


def test_14_every_pair_is_equally_likely() -> None:
    found = np.zeros((10, 10))
    for seed in range(2000):
        t = feed(ReservoirSamplingBuffer(4, seed), [0] * 10, 3).buffer.t
        found[np.ix_(t, t)] += 1
    pairs = found[np.triu_indices(10, 1)] / 2000
    expected = 4 * 3 / (10 * 9)
    # 4.5 standard deviations for the largest of 45
    assert np.abs(pairs - expected).max() < 4.5 * np.sqrt(expected * (1 - expected) / 2000)


def test_15_shrinking_is_uniform_and_growing_lets_no_new_row_in_by_right() -> None:
    """D3: after growing, the next rows were stored with certainty."""
    taken, old = 0, np.zeros(5)
    for seed in range(RUNS):
        buffer = feed(ReservoirSamplingBuffer(40, seed), [0] * 300, 60)
        buffer.resize(10)
        old += np.bincount(buffer.buffer.t // 60, minlength=5)
        buffer.resize(50)
        buffer.update(rows([0] * 100, 300))
        taken += int((buffer.buffer.t >= 300).sum())
        assert buffer.uniform_since == 0
    assert near_a_fifth(old / old.sum(), 10)
    assert 2.9 < taken / RUNS < 3.9  # 10 of 300 were stored: 10/301 of 100 rows, plus or minus 4 sd
    filled = feed(ReservoirSamplingBuffer(40), [0] * 300, 60)
    filled.resize(500, refill=True)
    filled.update(rows([0] * 100, 300))
    assert (filled.buffer.t >= 300).sum() == 100
    assert filled.uniform_since == 300


def test_16_no_slots_store_nothing_and_fewer_are_refused() -> None:
    buffer = feed(ReservoirSamplingBuffer(0), [0] * 50, 7)
    assert (len(buffer), buffer.seen) == (0, 50)
    with pytest.raises(ValueError, match=r"^max_size must be at least 0, got -1$"):
        ReservoirSamplingBuffer(-1)


def test_17_what_is_evicted_is_gone() -> None:
    """D13: every data set that was ever offered stayed alive."""
    buffer = ReservoirSamplingBuffer(50)
    payloads = []

    def offer(i: int) -> None:
        x = np.full((1, 4), i, np.float32)
        payloads.append(weakref.ref(x))
        buffer.update(Batch.from_arrays(x, [0], start=i))

    for i in range(3000):
        offer(i)
    assert sum(ref() is not None for ref in payloads) == 0  # rows are copied into the columns
    assert buffer.nbytes == 50 * (16 + 32 + 16)


def test_18_the_cost_of_a_row_does_not_depend_on_how_many_came_before() -> None:
    """Lines of our code that run for 100 updates, early and late, with as many rows accepted."""
    import sys  # noqa: PLC0415 - the trace function is this test's own business

    def cost(buffer: ExemplarsBuffer, start: int) -> int:
        lines = itertools.count()

        def trace(_frame: Any, event: str, _arg: Any) -> Any:
            if event == "line":
                next(lines)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            for i in range(100):
                buffer.update(rows([0], start + i))
        finally:
            sys.settrace(before)
        return next(lines)

    early = feed(ReservoirSamplingBuffer(100), [0] * 10_000, 1000)
    late = feed(ReservoirSamplingBuffer(100), [0] * 200_000, 1000)
    assert cost(late, 200_000) <= 1.2 * cost(early, 10_000)


# -- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [None, RandomExemplarsSelectionStrategy()])
def test_19_random_selection_is_a_reservoir(strategy: Any) -> None:
    """D9: 83 % of what was stored came from the last of five chunks."""

    def make(seed: int) -> ExemplarsBuffer:
        return ParametricBuffer(20, None, strategy, seed)

    assert near_a_fifth(shares(make, np.zeros(500, int), 100), 20)


def test_20_classes_that_recur_are_uniform_in_time() -> None:
    """D9, inside each class."""

    def make(seed: int) -> ExemplarsBuffer:
        return ParametricBuffer(20, "class", seed=seed)

    assert near_a_fifth(shares(make, np.arange(500) % 4, 100), 20)


@pytest.mark.parametrize("kind", [ClassBalancedBuffer, partial(ParametricBuffer, groupby="class")])
def test_21_what_a_rare_class_leaves_goes_to_the_others_and_comes_back(kind: Any) -> None:
    """D8: 53 of 100 slots were used."""
    buffer = feed(kind(100), [0] * 1000 + [1] * 3, 50)
    assert sizes(buffer) == {0: 97, 1: 3}
    buffer.update(rows([1] * 60, 1003))
    assert sizes(buffer) == {0: 50, 1: 50}


def test_22_more_classes_than_slots_own_them_whatever_their_labels_and_age() -> None:
    """D6: the lowest class ids owned the slots, whenever they came."""
    owned = {order: np.zeros(10) for order in ("up", "down")}
    for seed in range(RUNS):
        for order, labels in (("up", np.arange(10)), ("down", np.arange(10)[::-1])):
            buffer = feed(ClassBalancedBuffer(5, seed), np.repeat(labels, 20), 10)
            owners = list(sizes(buffer))
            assert len(buffer) == len(owners) == 5
            owned[order][owners] += 1
    np.testing.assert_array_equal(owned["up"], owned["down"][::-1])  # arrival decides, not the id
    # each in half of the runs: 4.5 standard deviations for the largest of 10
    assert np.abs(owned["up"] / RUNS - 0.5).max() < 4.5 * 0.5 / np.sqrt(RUNS)
    buffer, had = ClassBalancedBuffer(5, seed=1), set()
    for start in range(0, 4096, 64):
        buffer.update(rows(np.arange(64) % 8, start))
        had |= set(sizes(buffer))
    assert had == set(range(8))  # nobody is without a slot for ever


def test_23_announced_groups_have_their_share_and_max_size_is_never_exceeded() -> None:
    """D7: with more classes than announced the buffer grew beyond its size."""
    buffer = ClassBalancedBuffer(10, 0, adaptive_size=False, total_num_classes=3)
    buffer.update(rows([0] * 50))
    assert sizes(buffer)[0] in (3, 4)  # and the rest is kept for the others
    for label in range(1, 5):
        buffer.update(rows([label] * 50, 50 * label))
        assert len(buffer) <= 10
    assert sizes(buffer) == dict.fromkeys(range(5), 2)


@pytest.mark.parametrize("max_size", [10, 17, 23])
@pytest.mark.parametrize("chunk", [1, 30, 200])
def test_24_every_slot_is_dealt_and_quotas_differ_by_one(max_size: int, chunk: int) -> None:
    buffer, labels = ClassBalancedBuffer(max_size), np.arange(600) % 7
    for start in range(0, 600, chunk):
        buffer.update(rows(labels[start : start + chunk], start))
        held = list(sizes(buffer).values())
        assert sum(held) == min(buffer.seen, max_size)
        assert buffer.seen < max_size or max(held) - min(held) <= 1


def test_25_a_thousand_experiences_are_represented_alike() -> None:
    """D5: after 200 experiences in 200 slots, no later one stored a row."""
    owned = np.zeros(10)
    for seed in range(20):
        experience = np.arange(10_000) // 10
        buffer = feed(ExperienceBalancedBuffer(200, seed), [0] * 10_000, 10, experience=experience)
        owned += np.bincount(buffer.buffer.experience // 100, minlength=10)
    # 20 of 200 in each run, hypergeometric with a standard deviation of 3.8
    assert np.abs(owned / 20 - 20).max() < 4.5 * 3.8 / np.sqrt(20)


def test_26_groups_are_what_each_row_says() -> None:
    """D10: grouping by experience needed a strategy with a clock."""
    t = np.arange(60)
    given = {"task": t % 2, "experience": t // 20 + 7}
    buffer = feed(ParametricBuffer(12, "experience"), t % 3, 20, **given)
    assert sizes(buffer) == {7: 4, 8: 4, 9: 4}
    assert sizes(feed(TaskBalancedBuffer(12), t % 3, 9, **given)) == {0: 6, 1: 6}
    with pytest.raises(
        ValueError, match=r"^groupby must be one of class, task, experience or None, got 'label'$"
    ):
        ParametricBuffer(12, "label")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "order"),
    [(HerdingSelectionStrategy, [1, 0, 2]), (ClosestToCenterSelectionStrategy, [1, 2, 0])],
)
def test_27_orders_by_features_and_no_question_without_a_slot(kind: Any, order: list[int]) -> None:
    """D12: a group without a slot crashed the strategy."""
    asked = []

    def features(x: NDArray[Any]) -> NDArray[Any]:
        asked.append(len(x))
        return x

    batch = Batch.from_arrays([[0.0], [4.0], [5.0]], [0, 0, 0])
    strategy = kind(features)
    for k in (1, 2, 3):
        buffer = ParametricBuffer(k, "class", strategy)
        buffer.update(batch)
        assert sorted(buffer.buffer.t.tolist()) == sorted(order[:k])
    asked.clear()
    feed(ParametricBuffer(0, "class", strategy), [0, 1] * 10, 5)
    assert not asked


class Counting(ExemplarsSelectionStrategy):
    def __init__(self) -> None:
        self.asked: list[set[int]] = []

    def make_sorted_indices(self, candidates: Candidates, k: int) -> NDArray[np.int64]:
        self.asked.append(set(candidates.rows.y.tolist()))
        return np.arange(min(k, len(candidates)))


def test_28_a_strategy_is_asked_once_for_each_group_that_new_rows_came_to() -> None:
    """D11: it was asked 11 times for one new class beside 10 others."""
    strategy = Counting()
    buffer = feed(ParametricBuffer(20, "class", strategy), np.repeat(np.arange(10), 10), 100)
    assert strategy.asked == [{label} for label in range(10)]
    strategy.asked.clear()
    buffer.update(rows([10] * 10 + [3] * 5, 100))
    assert sorted(strategy.asked, key=min) == [{3}, {10}]
    assert len(buffer) == 20


# -- learner and pipeline -------------------------------------------------------------------------

BUFFERS: dict[str, Callable[[], ExemplarsBuffer]] = {
    "reservoir": lambda: ReservoirSamplingBuffer(12, 1),
    "class-balanced": lambda: ClassBalancedBuffer(12, 1),
    "fixed": lambda: ClassBalancedBuffer(12, 1, adaptive_size=False, total_num_classes=3),
    "experience-balanced": lambda: ExperienceBalancedBuffer(12, 1),
    "herding": lambda: ParametricBuffer(12, "class", HerdingSelectionStrategy(lambda x: x), 1),
    "window": lambda: SlidingWindowBuffer(12, 1),
    "decayed": lambda: DecayedReservoirBuffer(12, 30, 1),
    "expiring": lambda: ReservoirSamplingBuffer(12, 1, ttl=25),
}


def build(kind: str) -> Pipeline:
    return Pipeline(
        buffer=BUFFERS[kind](),
        mixer=Mixer(4, "class", steps=2, seed=2),
        learner=TorchLearner(mlp([4]), partial(SGD, lr=0.1), seed=3),
        evaluator=Prequential(report_every=10, window=20),
    )


def stream() -> Iterator[Batch]:
    rng = np.random.default_rng(0)
    for i in range(12):
        y = rng.integers(0, 2 + i // 4, 5)
        x = rng.standard_normal((5, 3)) + y[:, None]
        yield Batch.from_arrays(x, y, start=5 * i, experience=i // 4)


@pytest.mark.parametrize("kind", BUFFERS)
def test_29_killed_after_any_event_it_goes_on_as_if_nothing_had_happened(
    kind: str, tmp_path: Path
) -> None:
    whole = build(kind)
    reports = [plain(whole.step(batch)) for batch in stream()]
    end = plain(whole.finish())
    for cut in range(1, 12, 2):
        first = build(kind)
        for batch in itertools.islice(stream(), cut):
            first.step(batch)
        path = save_checkpoint(tmp_path, first.state_dict(), position=first.position)
        resumed = build(kind)
        resumed.load_state_dict(load_checkpoint(path)[0])
        rest = [plain(resumed.step(batch)) for batch in itertools.islice(stream(), cut, None)]
        assert rest == reports[cut:]
        assert plain(resumed.finish()) == end
        assert plain(resumed.state_dict()) == plain(whole.state_dict())


def test_30_draws_from_groups_smaller_than_their_share_come_to_an_end() -> None:
    """D17, D18: a loader over a class of fewer rows than a batch went on for ever.

    The head grows from 2 to 10 classes on the way.
    """
    learner = TorchLearner(mlp([4]), partial(SGD, lr=0.1))
    stages = Mixer(64, "class", replacement=True)(
        ClassBalancedBuffer(10)(rows([label], t) for t, label in enumerate(range(10)))
    )
    scored = list(learner(stages))
    assert [part.replayed for part in scored] == [0] + [64] * 9
    assert learner.predict_proba(np.zeros((1, 1), np.float32)).shape == (1, 10)


def test_31_each_row_is_predicted_before_it_is_learned() -> None:
    """With weights as they are before the row's own step, and scored by that prediction."""
    learner = TorchLearner(mlp([4]), partial(SGD, lr=0.1), normalize="none", seed=1)
    singles = [batch.take(slice(i, i + 1)) for batch in stream() for i in range(len(batch))]
    correct, moved = [], 0
    for row in singles:
        before = learner.predict_proba(row.x) if learner.batches else None
        (scored,) = learner([row])
        if before is not None:
            assert scored.prediction[0] == before.argmax()
            assert scored.probability[0] == pytest.approx(before.max(), abs=1e-6)
            after = learner.predict_proba(row.x)[:, : before.shape[1]]
            moved += not np.array_equal(before, after)
        correct.append(scored.prediction[0] == row.y[0])
    assert moved > 30  # so that predicting afterwards would have been another prediction
    pipeline = Pipeline(
        learner=TorchLearner(mlp([4]), partial(SGD, lr=0.1), normalize="none", seed=1),
        evaluator=Prequential(report_every=60),
    )
    records = [record for row in singles for record in pipeline.step(row).metrics]
    assert records[-1]["position"] == 60
    assert records[-1]["accuracy"] == np.mean(correct)


def test_31_a_label_that_comes_late_finds_its_row_by_id() -> None:
    """Features first; labels later, in another order, some never: as if both had come together."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 40)
    x = (rng.standard_normal((40, 3)) + y[:, None]).astype(np.float32)
    names = np.array([f"row {i}" for i in range(40)])
    order = rng.permutation(40)[:30]
    bare = np.zeros((30, 3), np.float32)  # a label comes without features
    late = [Batch.from_arrays(x, id=names), Batch.from_arrays(bare, y[order], id=names[order])]
    together = Batch.from_arrays(x[order], y[order], id=names[order])

    def run(*batches: Batch) -> Pipeline:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = mlp([4])((3,), 3)
        late = {"labels": LateLabels(1000)} if len(batches) > 1 else {}
        pipeline = Pipeline(
            None,
            **late,
            buffer=ReservoirSamplingBuffer(20),
            learner=TorchLearner(module, partial(SGD, lr=0.1), normalize="none"),
            verification=Verification(),
            evaluator=Prequential(),
        )
        for batch in batches:
            for i in range(0, len(batch), 10):
                pipeline.step(batch.take(slice(i, i + 10)))
        return pipeline

    joined, at_once = run(*late), run(together)
    assert joined["labels"].joined == 30
    assert len(joined["labels"]) == 10
    for name, weight in joined["learner"].module.state_dict().items():
        assert torch.equal(weight, at_once["learner"].module.state_dict()[name])
    stored = joined["buffer"].buffer
    place = {name: i for i, name in enumerate(names.tolist())}
    np.testing.assert_array_equal(stored.x, x[[place[name] for name in stored.id.tolist()]])
    assert (stored.y >= 0).all()
