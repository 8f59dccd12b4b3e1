"""A stage's own time, by a clock that the test moves; what is measured is what would have been."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from torch.optim import SGD

from streamreplay import (
    ArraySource,
    Branches,
    ClassBalancedBuffer,
    Mixer,
    Pipeline,
    Prequential,
    TorchLearner,
    linear,
)
from streamreplay.batch import Batch
from streamreplay.records import Report
from streamreplay.run.stopwatch import Stopwatch
from streamreplay.stage import Stage
from tests.contract.digest import plain


class Now:
    """Nanoseconds that pass only where a stage says so."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    monkeypatch.setattr("time.perf_counter_ns", made)
    return made


def taking(now: Now, before: int, after: int = 0, *, fails: bool = False) -> Stage[Any, Any]:
    """Take some time before it pulls, and some behind that."""

    def stage(stream: Iterable[Any]) -> Iterator[Any]:
        running = iter(stream)
        while True:
            now.ns += before
            record = next(running, None)
            now.ns += after
            if record is None:
                return
            if fails:
                raise ZeroDivisionError
            yield record

    return stage


def last(stream: Iterable[Batch]) -> Iterator[Report]:
    for _ in stream:
        yield Report(None)


def batch() -> Batch:
    return Batch.from_arrays([[0.0]])


def test_each_stage_has_its_own_time(now: Now) -> None:
    watch = Stopwatch()
    pipeline = Pipeline(None, a=taking(now, 1, 10), b=taking(now, 100, 1000), last=last)
    pipeline.measure(watch)
    for _ in range(3):
        pipeline.step(batch())
        now.ns += 5  # nobody's
        watch.batch_done()
    lap = {name: ns.tolist() for name, ns in watch.lap().items()}
    assert lap == {"a": [11] * 3, "b": [1100] * 3, "last": [0] * 3}
    assert [len(ns) for ns in watch.lap().values()] == [0, 0, 0]
    pipeline.measure(None)
    pipeline.step(batch())
    watch.batch_done()
    assert [ns.tolist() for ns in watch.lap().values()] == [[0]] * 3


def test_branches_are_measured_stage_by_stage(now: Now) -> None:
    watch = Stopwatch()
    branches = {
        "one": {"x": taking(now, 0, 7), "last": last},
        "two": {"x": taking(now, 0, 20), "last": last},
    }
    pipeline = Pipeline(None, a=taking(now, 1), learners=Branches(branches))
    pipeline.measure(watch)
    for _ in range(2):
        pipeline.step(batch())
        watch.batch_done()
    lap = {name: ns.tolist() for name, ns in watch.lap().items()}
    own = {"one.x": [7, 7], "one.last": [0, 0], "two.x": [20, 20], "two.last": [0, 0]}
    assert lap == {"a": [1, 1], "learners": [0, 0], **own}


def test_a_stage_that_raises_leaves_the_clock_right(now: Now) -> None:
    watch = Stopwatch()
    stages = {"a": taking(now, 1), "b": taking(now, 10, fails=True), "c": taking(now, 100)}
    pipeline = Pipeline(None, **stages, last=last)
    pipeline.measure(watch)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            pipeline.step(batch())
    watch.batch_done()
    lap = {name: ns.tolist() for name, ns in watch.lap().items()}
    assert lap == {"a": [2], "b": [20], "c": [200], "last": [0]}


def test_what_is_measured_does_not_change() -> None:
    def run(watch: Stopwatch | None) -> list[Any]:
        rng = np.random.default_rng(0)
        y = rng.integers(0, 3, 100)
        x = rng.normal(y[:, None], 1.0, (100, 2))
        buffer = ClassBalancedBuffer(20)
        pipeline = Pipeline(
            ArraySource(x, y, batch_size=7),
            buffer=buffer,
            mixer=Mixer(5),
            learner=TorchLearner(linear(), lambda parameters: SGD(parameters, lr=0.1)),
            evaluator=Prequential(report_every=10),
        )
        pipeline.measure(watch)
        reports = [plain(report) for report in pipeline]
        return [reports, plain(pipeline.state_dict())]

    assert run(None) == run(Stopwatch())
