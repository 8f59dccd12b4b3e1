"""Several chains over one stream: what they are joined to, and what happens when one fails."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.branches import Branches
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.errors import CheckpointError, CorruptCheckpointError, DivergenceError
from streamreplay.evaluation import Holdout, Prequential
from streamreplay.mixing import Mixer
from streamreplay.pipeline import Pipeline
from streamreplay.records import Rehearsal, Report, Scored
from streamreplay.state import State


def stream(n: int = 6) -> list[Batch]:
    rows = np.arange(3 * n)
    whole = Batch.from_arrays(rows[:, None], rows % 2, experience=rows // 9)
    return [whole.take(slice(i, i + 3)) for i in range(0, 3 * n, 3)]


class Counting:
    """A learner that says how many rows it has learned from, and fails when it is told to."""

    def __init__(self, fault: Exception | None = None, at: int = -1) -> None:
        self.rows, self.fault, self.at = 0, fault, at
        self.starts = 0  # of its generator

    def __call__(self, stream: Iterable[Any]) -> Iterator[Scored]:
        self.starts += 1
        for record in stream:
            batch = record.incoming if isinstance(record, Rehearsal) else record
            if self.fault is not None and batch.t[0] == self.at and not batch.held_out:
                fault, self.fault = self.fault, None
                raise fault
            nothing, said = np.zeros(len(batch), np.float32), np.full(len(batch), self.rows)
            self.rows += 0 if batch.held_out else len(batch)
            yield Scored(batch, said, nothing, nothing)

    def state_dict(self) -> State:
        return {"rows": self.rows}

    def load_state_dict(self, state: State) -> None:
        if state["rows"] > 100:
            raise CorruptCheckpointError(f"rows: too many, {state['rows']}")
        self.rows = state["rows"]


def branch(every: int = 4, fault: Exception | None = None, at: int = -1) -> dict[str, Any]:
    return {"learner": Counting(fault, at), "evaluator": Prequential(report_every=every)}


def test_a_report_joins_those_of_all() -> None:
    branches = Branches({"b": branch(4), "a": branch(6)})
    reports = list(branches(stream()))
    assert [len(report) for report in reports] == [3] * 6 + [0]
    for report in reports[:-1]:
        assert list(report.by_learner) == ["b", "a"]
        assert report.scored is report.by_learner["b"]
    assert (reports[-1].scored, reports[-1].by_learner) == (None, {})
    said = [(r["position"], r["learner"]) for report in reports for r in report.metrics]
    ends = [(p, name) for p in (9, 18) for name in ("b", "a")]
    multiples = [(4, "b"), (6, "a"), (8, "b"), (12, "b"), (12, "a"), (16, "b"), (18, "a")]
    assert sorted(said) == sorted(ends + multiples)
    assert [position for position, _ in said] == sorted(position for position, _ in said)
    assert all(next(iter(record)) == "learner" for r in reports for record in r.metrics)


def test_records_of_one_report_are_in_order_of_position() -> None:
    (report, _) = Branches({"b": branch(3), "a": branch(2)})([Batch.concat(stream(3))])
    said = [(record["position"], record["learner"]) for record in report.metrics]
    assert said == [(2, "a"), (3, "b"), (4, "a"), (6, "b"), (6, "a"), (8, "a"), (9, "b")]


def test_held_out_rows_give_no_report_and_a_record_for_each() -> None:
    test = Batch.from_arrays([[0.0], [1.0]], [0, 1])
    pipeline = Pipeline(stream(), holdout=Holdout(test), learners=Branches({"a": branch()}))
    iterated = list(pipeline)
    assert [len(report) for report in iterated] == [3] * 6 + [0]
    rounds = [r["position"] for report in iterated for r in report.metrics if r["kind"][0] == "r"]
    assert rounds == [9, 18]
    other = Pipeline(holdout=Holdout(test), learners=Branches({"a": branch()}))
    stepped = [*(other.step(batch) for batch in stream()), other.finish()]
    assert [report.metrics for report in stepped] == [report.metrics for report in iterated]


@pytest.mark.parametrize("how", ["iterate", "step"])
def test_the_others_take_in_what_one_fails_at(how: str) -> None:
    """As each would go on alone: the batch is lost to the one that failed."""
    fault = DivergenceError("loss is nan")
    branches = Branches({"a": branch(), "b": branch(3, fault, 6), "c": branch(7)})
    source = iter(stream())
    pipeline = Pipeline(source, learners=branches)
    reports: list[Report] = []
    found = pipeline if how == "iterate" else (pipeline.step(batch) for batch in source)
    with pytest.raises(DivergenceError, match=r"^b: loss is nan$"):
        reports.extend(found)
    assert len(reports) == 2
    assert [branches[name]["learner"].rows for name in "abc"] == [9, 6, 9]
    reports.extend(pipeline)
    assert [branches[name]["learner"].rows for name in "abc"] == [18, 15, 18]
    alone = [r for report in Pipeline(stream(), **branch(7)) for r in report.metrics]
    mine = [r for report in reports for r in report.metrics if r["learner"] == "c"]
    assert [r["position"] for r in mine] == [9, 14, 18]  # what fell due at 7 was lost
    assert [{"learner": "c", **r} for r in alone[-3:]] == mine


def test_errors_of_others_are_kept_and_get_a_note() -> None:
    fault = KeyError("x")
    with pytest.raises(KeyError) as error:
        list(
            Branches({"a": branch(fault=fault, at=3), "b": branch(fault=OSError(), at=3)})(stream())
        )
    assert error.value is fault
    assert fault.__notes__ == ["(in the branch 'a')"]


def test_an_error_at_the_end_names_its_branch() -> None:
    def ends_badly(stream: Iterable[Scored]) -> Iterator[Report]:
        for scored in stream:
            yield Report(scored)
        raise DivergenceError("at the end")

    branches = Branches({"a": branch(), "b": {**branch(), "evaluator": ends_badly}})
    with pytest.raises(DivergenceError, match=r"^b: at the end$"):
        list(branches(stream()))


def test_iterating_again_and_loading_begin_with_new_generators() -> None:
    """Nothing that an old one would do after its yield may touch what was loaded."""
    branches = Branches({"a": branch()})
    pipeline = Pipeline(learners=branches)
    learner = branches["a"]["learner"]
    for batch in stream(3):
        pipeline.step(batch)
    assert learner.starts == 1
    pipeline.load_state_dict(pipeline.state_dict())
    pipeline.step(stream(4)[-1])
    assert learner.starts == 2
    found = branches([])
    assert [report.scored for report in found] == [None]
    assert learner.starts == 3
    running = iter(branches(stream(2)))
    next(running)
    next(iter(branches(stream(2))))
    assert learner.starts == 5


def test_a_shared_buffer_counts_the_replays_of_all() -> None:
    mixers = {name: {"mixer": Mixer(2, seed=3), **branch()} for name in "ab"}
    pipeline = Pipeline(stream(), buffer=ReservoirSamplingBuffer(5), learners=Branches(mixers))
    list(pipeline)
    alone = Pipeline(
        stream(), buffer=ReservoirSamplingBuffer(5), mixer=Mixer(2, seed=3), **branch()
    )
    list(alone)
    both, one = (p["buffer"].describe()["replayed"]["total"] for p in (pipeline, alone))
    assert both == 2 * one > 0


def test_what_cannot_be_branches() -> None:
    with pytest.raises(ValueError, match=r"^there must be at least one branch, got \{\}$"):
        Branches({})
    with pytest.raises(ValueError, match=r"^a: a branch needs at least one stage$"):
        Branches({"a": {}})
    with pytest.raises(TypeError, match=r"^a\.learner: a stage is callable, got int$"):
        Branches({"a": {"learner": 3}})  # type: ignore[dict-item]


def test_a_state_of_others_is_refused_by_path() -> None:
    own = {"position": 0, "rows": {}}

    def refusal(state: State, live: Branches) -> tuple[type[Exception], str]:
        with pytest.raises(CheckpointError) as error:
            Pipeline(learners=live).load_state_dict(
                {**own, "source": {}, "learners": {"kind": "Branches", **state}}
            )
        return type(error.value), str(error.value)

    state = Branches({"a": branch(), "b": branch()}).state_dict()
    assert list(state["branches"]["a"]) == ["learner", "evaluator"]
    assert refusal(state, Branches({"a": branch()})) == (
        CheckpointError,
        "learners.branches: saved ['a', 'b'], this pipeline has ['a']",
    )
    other = Branches({"a": branch(), "b": {"mixer": Mixer(1), **branch()}})
    assert refusal(state, other)[1] == (
        "learners.b.stages: saved ['learner', 'evaluator'], "
        "this pipeline has ['mixer', 'learner', 'evaluator']"
    )
    assert refusal(state, Branches({"a": branch(), "b": branch(9)}))[1] == (
        "learners.b.evaluator.report_every: saved 4, this pipeline has 9"
    )
    damaged = copy.deepcopy(state)
    damaged["branches"]["b"]["learner"]["rows"] = 101
    assert refusal(damaged, Branches({"a": branch(), "b": branch()})) == (
        CorruptCheckpointError,
        "learners.b.learner.rows: too many, 101",
    )
