"""Rows that the stream keeps from being learned, and the rounds over them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from river import linear_model
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.errors import CheckpointError
from streamreplay.evaluation import Holdout, Prequential, Probe
from streamreplay.evaluation.retention.probe import hash_rows, hash_values
from streamreplay.learners import RiverLearner, TorchLearner, mlp
from streamreplay.memory import FixedMemory
from streamreplay.mixing import Mixer
from streamreplay.pipeline import Pipeline
from streamreplay.records import Rehearsal
from tests.memories import RecordingMemory

FULL = 2**64


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % FULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % FULL
    return z ^ (z >> 31)


def key(value: int, seed: int = 0) -> int:
    """Hash an integer, with Python's own."""
    golden = 0x9E3779B97F4A7C15
    hashed = mix((value + seed + 1) * golden % FULL)
    return mix(hashed ^ (seed + 1) * golden % FULL) if seed else hashed


def cut(batch: Batch, places: Sequence[int]) -> list[Batch]:
    """Cut rows into batches, also wherever the experience changes."""
    n, e = len(batch), batch.experience
    changes = [i for i in range(1, n) if e[i] != e[i - 1]]
    edges = sorted({0, n, *changes, *(p for p in places if p < n)})
    return [batch.take(slice(a, b)) for a, b in pairwise(edges)]


def rows(n: int, classes: int = 3, experiences: int = 1, **columns: Any) -> Batch:
    rng = np.random.default_rng(n)
    y = rng.integers(0, classes, n)
    x = rng.standard_normal((n, 2)) + y[:, None]
    return Batch.from_arrays(x, y, experience=np.arange(n) * experiences // n, **columns)


def withheld(batches: Sequence[Batch]) -> list[int]:
    """Return the positions of the rows that are not to be learned."""
    found = []
    for batch in batches:
        if not batch.held_out and batch.withheld is not None:
            found += batch.t[batch.withheld].tolist()
    return found


# -- which rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
def test_integers_are_hashed_as_splitmix64_does(seed: int) -> None:
    values = np.array([0, 1, 2, 10**12, -1])
    assert hash_values(values, seed).tolist() == [key(v % FULL, seed) for v in values.tolist()]


@given(
    st.lists(st.text(st.characters(blacklist_characters="\0"), max_size=6), min_size=1), st.text()
)
def test_a_string_has_one_hash_in_columns_of_any_width(values: list[str], other: str) -> None:
    t = np.arange(len(values))
    narrow = hash_rows(np.array(values), t)
    wide = hash_rows(np.array([*values, "x" * 40 + other]), np.arange(len(values) + 1))[:-1]
    assert narrow.tolist() == wide.tolist()
    nonempty = [v for v in values if v]
    assert len(set(narrow[[bool(v) for v in values]].tolist())) == len(set(nonempty))


def test_rows_are_found_by_id_wherever_they_stand_and_else_by_position() -> None:
    ids = np.array([f"row {i}" for i in range(2000)])
    plain = Batch.from_arrays(np.zeros((2000, 1)), [0] * 2000, id=ids)
    turned = Batch.from_arrays(np.zeros((2000, 1)), [0] * 2000, id=ids[::-1])
    first, second = (withheld([*Probe(0.1)([batch])]) for batch in (plain, turned))
    assert sorted(ids[first]) == sorted(ids[::-1][second])
    nameless = Batch.from_arrays(np.zeros((2000, 1)), [0] * 2000)
    blank = Batch.from_arrays(np.zeros((2000, 1)), [0] * 2000, id=[""] * 2000)
    want = [t for t in range(2000) if key(t) < 0.1 * FULL]
    assert withheld([*Probe(0.1)([nameless])]) == withheld([*Probe(0.1)([blank])]) == want


def test_an_integer_and_its_text_are_one_id() -> None:
    x, ids = np.zeros((500, 1)), np.arange(500)
    numbers, texts = (Batch.from_arrays(x, [0] * 500, id=each) for each in (ids, ids.astype(str)))
    assert withheld([*Probe(0.1)([numbers])]) == withheld([*Probe(0.1)([texts])])
    t = np.arange(2)
    assert hash_rows(np.array(["", "0"]), t)[0] == hash_values(t)[0]


def test_another_seed_is_no_shift() -> None:
    first, other = (hash_values(np.arange(1000), seed) for seed in (0, 1))
    assert not set(first.tolist()) & set(other.tolist())


def test_of_rows_that_come_again_the_newest_is_asked_for() -> None:
    ids = np.tile(np.arange(200), 5)
    stream = Batch.from_arrays(np.arange(1000)[:, None], [0] * 1000, id=ids)
    probe = Probe(0.3, max_size=500)
    list(probe(cut(stream, range(0, 1000, 70))))
    assert probe.sample is not None
    assert len(set((probe.sample.t % 200).tolist())) == len(probe.sample)
    assert probe.sample.t.min() >= 800
    small = Probe(0.3, max_size=20)
    list(small(cut(stream, range(0, 1000, 70))))
    assert small.sample is not None
    assert len(set((small.sample.t % 200).tolist())) == len(small.sample) == 20


def test_the_share_is_kept_and_another_seed_draws_others() -> None:
    # exact by a fixed hash; a hash that is no good would be off by far more than 5 deviations
    batch = Batch.from_arrays(np.zeros((100_000, 1)), [0] * 100_000)
    drawn = [set(withheld([*Probe(0.02, seed=seed)([batch])])) for seed in range(3)]
    for each in drawn:
        assert abs(len(each) - 2000) < 5 * math.sqrt(100_000 * 0.02 * 0.98)
    assert len(drawn[0] & drawn[1]) < 40 + 5 * math.sqrt(40)


def test_rows_without_a_label_are_not_drawn() -> None:
    batch = Batch.from_arrays(np.zeros((500, 1)), [-1, 0] * 250)
    assert {t % 2 for t in withheld([*Probe(0.5)([batch])])} == {1}


# -- the sample ----------------------------------------------------------------------------------


def expected_sample(stream: Batch, share: float, size: int, by: str) -> list[int]:
    """Keep the smallest hashes of each group, the same number of each; slowly."""
    drawn = [i for i in range(len(stream)) if key(int(stream.t[i])) < share * FULL]
    groups: dict[int, list[int]] = {}
    columns = {"class": stream.y, "task": stream.task, "experience": stream.experience}
    for i in drawn:
        group = 0 if by == "none" else int(columns[by][i])
        groups.setdefault(group, []).append(i)
    if len(groups) > size:
        best = sorted(groups, key=key)[:size]
        groups = {group: groups[group] for group in best}
    quota = size
    while quota > 1 and sum(min(len(g), quota) for g in groups.values()) > size:
        quota -= 1
    kept = [
        i for g in groups.values() for i in sorted(g, key=lambda i: key(int(stream.t[i])))[:quota]
    ]
    return sorted(kept)


@example(places=[294], size=5, by="experience", asked=set())  # a share that could rise again
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 299), max_size=12),
    st.integers(1, 40),
    st.sampled_from(["class", "task", "experience", "none"]),
    st.sets(st.integers(0, 12)),
)
def test_the_sample_is_the_smallest_hashes_of_each_group(
    places: list[int], size: int, by: Any, asked: set[int]
) -> None:
    stream = rows(300, classes=4, experiences=3, task=np.arange(300) // 7 % 5)
    probe = Probe(0.5, max_size=size, by=by, every=50)
    for place, _ in enumerate(probe(cut(stream, places))):
        if place in asked:
            probe.state_dict()  # which must not change what is kept
    assert probe.sample is not None
    assert probe.sample.t.tolist() == expected_sample(stream, 0.5, size, by)


def test_more_groups_than_room() -> None:
    stream = Batch.from_arrays(np.zeros((400, 1)), np.arange(400) % 100)
    probe = Probe(0.9, max_size=10)
    list(probe(cut(stream, range(0, 400, 7))))
    assert probe.sample is not None
    assert probe.sample.t.tolist() == expected_sample(stream, 0.9, 10, "class")
    assert len(set(probe.sample.y.tolist())) == 10


def test_the_rows_asked_for_are_withheld_ones_as_they_came() -> None:
    stream = rows(500, experiences=2, task=np.arange(500) % 3)
    batches = list(Probe(0.2, every=100, chunk=7)(cut(stream, range(0, 500, 20))))
    passed = [b for b in batches if not b.held_out]
    assert np.concatenate([b.t for b in passed]).tolist() == list(range(500))
    asked = Batch.concat([b for b in batches if b.held_out == "probe"])
    assert max(len(b) for b in batches if b.held_out) == 7
    assert set(asked.t.tolist()) == set(withheld(batches))
    for name in ("x", "y", "task", "experience"):
        assert np.array_equal(getattr(asked, name), getattr(stream, name)[asked.t])


# -- when ----------------------------------------------------------------------------------------


def rounds(batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """Return the position and size of each round."""
    found: list[tuple[int, int]] = []
    position, last = 0, -1
    for batch in batches:
        if not batch.held_out:
            position += len(batch)
            last = -1
        elif last < 0:
            found.append((position, len(batch)))
            last = 0
        else:
            found[-1] = (position, found[-1][1] + len(batch))
    return found


def test_rounds_come_at_boundaries_soon_after_and_then_at_a_distance() -> None:
    stream = rows(20_000, experiences=2)
    probe = Probe(0.5, max_size=200, budget=0.1)
    found = rounds(list(probe(cut(stream, range(0, 20_000, 10)))))
    assert probe.distance == 4000
    # not before 4,000, nor at 10,500 and 11,000: of 198 rows each, the budget does not allow it
    assert [position for position, _ in found] == [
        4000, 8000, 10_000, 10_250, 11_920, 13_900, 17_800, 20_000,
    ]  # fmt: skip
    assert {size for _, size in found} == {198}  # 66 of each of three classes


def test_after_a_boundary_rounds_double_their_distance() -> None:
    probe = Probe(0.2, max_size=400, budget=0.5)
    found = rounds(list(probe(cut(rows(20_000, experiences=2), range(0, 20_000, 10)))))
    after = [position - 10_000 for position, _ in found if position >= 10_000]
    assert probe.distance == 1600
    assert after[:8] == [0, 100, 200, 400, 800, 1600, 3200, 4800]


@pytest.mark.parametrize("max_size", [500, 2000, 100_000])
def test_the_rows_it_has_say_how_often_it_asks_and_not_the_room_for_more(max_size: int) -> None:
    stream = rows(8000)
    probe = Probe(0.02, max_size=max_size)
    found = rounds(list(probe(cut(stream, range(0, 8000, 25)))))
    first, *others = [position for position, _ in found]
    assert found[0][1] >= 50  # as soon as there are so many rows, at 2,500 or so
    assert 2000 < first < 3500
    steps = np.diff([first, *others])[:-1]
    sizes = [size for _, size in found][:-2]
    for step, size in zip(steps, sizes, strict=True):
        least = max(500, 4 * size)  # a quarter of a row is predicted for each that comes
        assert least <= step <= least + 200  # a batch ends later, and the sample grows
    assert len(found) >= 10
    assert others[-1] == 8000


def test_a_state_that_is_asked_for_moves_no_round() -> None:
    stream = cut(rows(6000, classes=7, experiences=3), range(0, 6000, 30))
    plain, asked = (Probe(0.3, max_size=100) for _ in range(2))
    watched = []
    for batch in asked(stream):
        asked.state_dict()
        watched.append(batch)
    assert rounds(watched) == rounds(list(plain(stream)))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 40),
    st.floats(0.01, 2.0),
    st.integers(1, 60),
    st.integers(1, 300),
)
def test_the_budget_is_kept_but_for_the_last_round(
    experiences: int, budget: float, size: int, max_size: int
) -> None:
    stream = rows(3000, experiences=experiences)
    probe = Probe(0.3, max_size=max_size, budget=budget)
    spent = 0
    for position, cost in rounds(list(probe(cut(stream, range(0, 3000, size))))):
        spent += cost
        assert spent <= budget * position or position == 3000


def test_every_so_many_rows_and_at_each_end() -> None:
    stream = rows(1000, experiences=3)
    found = rounds(list(Probe(0.3, every=150)(cut(stream, range(0, 1000, 50)))))
    assert [position for position, _ in found] == [150, 300, 334, 450, 600, 667, 750, 900, 1000]


def test_two_samples_at_once_do_not_ask_about_each_other() -> None:
    stream = rows(600, experiences=3)
    test = rows(9, experiences=3)
    samples: dict[str, Any] = {"test": Holdout(test), "probe": Probe(0.3, every=100)}
    alone = {name: rounds(list(s(cut(stream, range(0, 600, 50))))) for name, s in samples.items()}
    for order in (("probe", "test"), ("test", "probe")):
        batches: Any = cut(stream, range(0, 600, 50))
        fresh: dict[str, Any] = {"test": Holdout(test), "probe": Probe(0.3, every=100)}
        for name in order:
            batches = fresh[name](batches)
        both = list(batches)
        for name, want in alone.items():
            one = [b for b in both if b.held_out in (None, name)]
            assert rounds(one) == want


def test_settings_are_checked() -> None:
    wrong: dict[str, Any]
    for wrong, message in (
        ({"share": 0}, "share must be above 0 and below 1, got 0"),
        ({"share": 1}, "share must be above 0 and below 1, got 1"),
        ({"max_size": 0}, "max_size must be at least 1, got 0"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        ({"by": "label"}, "by must be one of class, task, experience, none, got 'label'"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"budget": 0}, "budget must be above 0, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Probe(**wrong)


def test_a_state_of_other_settings_is_refused() -> None:
    state = Probe(0.02).state_dict()
    with pytest.raises(CheckpointError, match=r"share: saved 0\.02, this pipeline has 0\.05"):
        Probe(0.05).load_state_dict(state)


# -- what learns and stores ----------------------------------------------------------------------


def torch_learner(seed: int = 0) -> TorchLearner:
    return TorchLearner(mlp([8]), lambda p: SGD(p, lr=0.1), method="der++", seed=seed)


@pytest.mark.parametrize("method", ["er", "der++", "er-slda", "ncm", "lwf"])
def test_what_is_withheld_leaves_no_trace(method: str) -> None:
    """As if the rows had never come: the same weights, memory and predictions of all others."""
    stream = cut(rows(600), range(0, 600, 10))
    marked = list(Probe(0.2, every=10_000)(stream))[:-1]
    left = [batch.learnable() for batch in marked if not batch.held_out]

    def run(batches: Sequence[Batch]) -> tuple[Pipeline, list[Any]]:
        learner = TorchLearner(mlp([8]), lambda p: SGD(p, lr=0.1), method=method, seed=1)
        pipeline = Pipeline(
            list(batches),
            buffer=ReservoirSamplingBuffer(50, 1),
            mixer=Mixer(10, seed=1),
            learner=learner,
            evaluator=Prequential(),
        )
        return pipeline, [report.scored for report in pipeline if report.scored is not None]

    (one, all_scored), (other, some_scored) = run(marked), run(left)
    ours, theirs = one["learner"].state_dict(), other["learner"].state_dict()
    for name, tensor in ours["network"]["module"].items():
        assert torch.equal(tensor, theirs["network"]["module"][name])
    assert ours["scaler"]["count"] == theirs["scaler"]["count"] == 600 - len(withheld(marked))
    assert np.array_equal(one["buffer"].buffer.t, other["buffer"].buffer.t)
    assert not set(one["buffer"].buffer.t.tolist()) & set(withheld(marked))
    for whole, part in zip(all_scored, some_scored, strict=True):
        mask = np.ones(len(whole.incoming), bool)
        if whole.incoming.withheld is not None:
            mask = ~whole.incoming.withheld
        assert np.array_equal(whole.prediction[mask], part.prediction)
        # products of SLDA round by how many rows they are of
        assert np.allclose(whole.loss[mask], part.loss, rtol=0.01, atol=2e-6, equal_nan=True)
        assert whole.replayed == part.replayed


@pytest.mark.parametrize("method", ["er", "er-slda", "der++", "ncm"])
def test_how_often_it_asks_changes_nothing_that_is_learned(method: str) -> None:
    stream = cut(rows(3000, experiences=2), range(0, 3000, 10))
    found = []
    for budget in (0.01, 5.0):
        pipeline = Pipeline(
            stream,
            probe=Probe(0.2, budget=budget),
            buffer=ReservoirSamplingBuffer(60, 1),
            mixer=Mixer(5, seed=1),
            learner=TorchLearner(mlp([8]), lambda p: SGD(p, lr=0.1), method=method, seed=1),
            evaluator=Prequential(),
        )
        records = [r for report in pipeline for r in report.metrics]
        scores = [r for r in records if r["kind"] == "prequential"]
        found.append((len(records) - len(scores), scores, pipeline["buffer"].buffer.t.tolist()))
    (seldom, *ours), (often, *theirs) = found
    assert often > 5 * seldom
    assert ours == theirs


def test_withheld_rows_are_predicted_as_the_others_are() -> None:
    x = rows(200)
    learner, twin = torch_learner(), torch_learner()
    for seen in cut(x, range(0, 200, 20))[:-1]:
        for each in (learner, twin):
            list(each([seen]))
    last = x.take(slice(180, 200))
    mask = np.arange(20) % 3 == 0
    marked = copy.copy(last)
    object.__setattr__(marked, "withheld", mask)
    (plain,), (scored,) = list(twin([last])), list(learner([marked]))
    assert np.array_equal(plain.prediction, scored.prediction)
    assert np.allclose(plain.probability, scored.probability, atol=1e-6)
    assert np.allclose(plain.loss, scored.loss, atol=1e-6)
    assert scored.incoming is marked


@pytest.mark.parametrize("method", ["gdumb", "ncm", "er-slda", "er"])
@pytest.mark.parametrize("size", [1, 10])
def test_withheld_rows_are_told_by_the_model_that_tells_the_others(method: str, size: int) -> None:
    """Asked before what a step does before it predicts, they would be told by an older one."""
    stream = rows(600)
    learner = TorchLearner(mlp([8]), lambda p: SGD(p, lr=0.1), method=method, seed=1)
    pipeline = Pipeline(
        cut(stream, range(0, 600, size)),
        probe=Probe(0.3, every=150),
        buffer=ReservoirSamplingBuffer(60, 1),
        mixer=Mixer(5, seed=1),
        learner=learner,
        evaluator=Prequential(),
    )
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for report in pipeline:
        if report.scored is None or report.scored.incoming.t[0] < 200:
            continue
        batch = report.scored.incoming
        mask = np.zeros(len(batch), bool) if batch.withheld is None else batch.withheld
        for apart, right in zip(mask, report.scored.prediction == batch.y, strict=True):
            hits[bool(apart)].append(bool(right))
    assert abs(np.mean(hits[True]) - np.mean(hits[False])) < 0.15


def test_joining_a_rehearsal_leaves_withheld_rows_out() -> None:
    batch = rows(6)
    object.__setattr__(batch, "withheld", np.arange(6) % 2 == 0)
    memory = rows(9)
    joined, is_memory, group = Rehearsal(
        batch, FixedMemory(memory), rows=np.array([[1, 2]]), group=np.array([[-1, -1]])
    ).mixed()
    assert joined.t.tolist() == [1, 3, 5, 1, 2]
    assert is_memory.tolist() == [False] * 3 + [True] * 2
    assert len(group) == 5


def test_a_batch_that_is_withheld_whole_is_only_predicted() -> None:
    batch = rows(4)
    object.__setattr__(batch, "withheld", np.ones(4, bool))
    memory = rows(30)
    learner, mixer = torch_learner(), Mixer(5)
    list(learner([memory]))
    before = copy.deepcopy(learner.state_dict()["network"])
    state = copy.deepcopy(mixer.state_dict())
    recording = RecordingMemory(memory)
    given = Rehearsal(batch, recording)
    (scored,) = learner(mixer([given]))
    assert scored.replayed == 0
    assert not recording.counted
    assert mixer.state_dict() == state
    for name, tensor in learner.state_dict()["network"]["module"].items():
        assert torch.equal(tensor, before["module"][name])


def test_river_does_not_learn_what_is_withheld() -> None:
    stream = cut(rows(400), range(0, 400, 10))
    marked = [b for b in Probe(0.2, every=10_000)(stream) if not b.held_out]
    models = []
    for batches in (marked, [batch.learnable() for batch in marked]):
        learner = RiverLearner(linear_model.SoftmaxRegression())
        scored = list(learner(batches))
        assert sum(len(s.incoming) for s in scored) == sum(map(len, batches))
        models.append(learner.model)
    assert models[0].weights == models[1].weights


def test_before_anything_was_learned_withheld_rows_are_wrong() -> None:
    batch = rows(6)
    object.__setattr__(batch, "withheld", np.arange(6) < 6)
    for learner in (torch_learner(), RiverLearner(linear_model.SoftmaxRegression())):
        (scored,) = learner([batch])
        assert scored.prediction.tolist() == [-1] * 6


@pytest.mark.parametrize("kind", [np.float64, np.bool_])
def test_targets_are_withheld_as_classes_are(kind: type) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    target = x[:, :2] > 0 if kind is np.bool_ else x[:, :2] * 3
    stream = cut(Batch.from_arrays(x, target=target), range(0, 200, 10))
    pipeline = Pipeline(
        stream,
        probe=Probe(0.3, every=50),
        buffer=ReservoirSamplingBuffer(20),
        mixer=Mixer(10),
        learner=TorchLearner(mlp([8]), lambda p: SGD(p, lr=0.1)),
        evaluator=Prequential(),
    )
    records = [r for report in pipeline for r in report.metrics]
    found = [r for r in records if r["kind"] == "retention"]
    assert [r["position"] for r in found] == [50, 100, 150, 200]
    assert {r["sample"] for r in found} == {"probe"}
    assert records[-2]["rows"] == 200
    sample = pipeline["probe"].sample
    predicted = pipeline["learner"].predict(sample.x)
    if kind is np.bool_:
        assert found[-1]["exact_match"] == (predicted == sample.target).all(1).mean()
    else:
        assert found[-1]["mae"] == pytest.approx(np.abs(predicted - sample.target).mean())
    assert found[-1]["by_age"][1000]["rows"] == len(sample)


# -- the records ---------------------------------------------------------------------------------


def test_a_record_is_what_the_model_says_of_the_sample() -> None:
    stream = rows(30_000, classes=4, experiences=3)
    pipeline = Pipeline(
        cut(stream, range(0, 30_000, 100)),
        probe=Probe(0.02),
        buffer=ReservoirSamplingBuffer(100),
        mixer=Mixer(50),
        learner=TorchLearner(mlp([8]), lambda p: SGD(p, lr=0.1)),
        evaluator=Prequential(),
    )
    last = [r for report in pipeline for r in report.metrics][-1]
    sample = pipeline["probe"].sample
    hits = pipeline["learner"].predict(sample.x) == sample.y
    ages = 30_000 - sample.t
    assert last["rows"] == len(sample) == last["withheld"]
    assert last["accuracy"] == hits.mean()
    by_class = [hits[sample.y == y].mean() for y in range(4)]
    assert last["balanced_accuracy"] == pytest.approx(np.mean(by_class))
    assert [c["accuracy"] for c in last["by_class"].values()] == by_class
    for low, high in ((0, 1000), (1000, 10_000), (10_000, 100_000)):
        within = (ages > low) & (ages <= high)
        entry = {"rows": int(within.sum()), "accuracy": hits[within].mean()}
        assert last["by_age"][high] == entry
    assert list(last["by_age"]) == [1000, 10_000, 100_000]
    assert list(last["accuracy_by_experience"]) == [0, 1, 2]
    ids, columns, matrix = pipeline["evaluator"].R
    assert ids.tolist() == columns.tolist() == [0, 1, 2]
    assert np.isnan(matrix[0, 1])  # there were none of its rows
    assert matrix[2, 1] == hits[sample.experience == 1].mean()


def test_probed_counts_what_was_predicted_round_by_round() -> None:
    stream = cut(rows(1000), range(0, 1000, 50))
    pipeline = Pipeline(
        stream,
        probe=Probe(0.3, every=100),
        learner=torch_learner(),
        evaluator=Prequential(report_every=10_000),
    )
    records = [r for report in pipeline for r in report.metrics if r["kind"] == "retention"]
    assert [r["probed"] for r in records] == np.cumsum([r["rows"] for r in records]).tolist()
    assert [r["withheld"] for r in records] == [r["rows"] for r in records]


def test_forward_transfer_of_a_probe_is_the_accuracy_of_first_batches() -> None:
    """Before any row of an experience was learned: what came before is all that can help."""
    y = np.zeros(300, int)
    y[100:200] = np.arange(100) % 2  # half of the second experience is of the first's class
    stream = Batch.from_arrays(np.zeros((300, 1)), y, experience=np.arange(300) // 100)
    pipeline = Pipeline(
        cut(stream, range(0, 300, 10)),
        probe=Probe(0.3, every=1000),
        learner=TorchLearner(mlp([4]), lambda p: SGD(p, lr=1e-9)),
        evaluator=Prequential(),
    )
    records = [r for report in pipeline for r in report.metrics if r["kind"] == "retention"]
    assert [r["forward_transfer"] for r in records[:2]] == [None, 0.5]
    first = pipeline["learner"].predict(np.zeros((1, 1), np.float32))[0] == 0
    assert records[2]["forward_transfer"] == (0.5 + float(first)) / 2
