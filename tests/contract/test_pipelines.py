"""Whole pipelines, stopped wherever they can be: a run that was killed ends as one that was not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import drift as river_drift
from torch import nn
from torch.optim import SGD, Adam

from streamreplay.batch import Batch
from streamreplay.branches import Branches
from streamreplay.buffers import ClassBalancedBuffer, ReservoirSamplingBuffer
from streamreplay.checkpoint import load_checkpoint, save_checkpoint
from streamreplay.errors import CheckpointError
from streamreplay.evaluation import (
    Detector,
    DriftMonitor,
    Holdout,
    Prequential,
    Probe,
)
from streamreplay.ingest import (
    ArraySource,
    DelayedLabels,
    Experiences,
    JsonlSource,
    LateLabels,
)
from streamreplay.learners import TorchLearner, Verification, linear, mlp
from streamreplay.learners.neural.schedules import inverse_sqrt
from streamreplay.learners.neural.training import Training
from streamreplay.mixing import Mixer
from streamreplay.pipeline import Pipeline
from streamreplay.records import Rehearsal, Report, Scored
from streamreplay.stage import Source
from tests.contract.components import FEATURES, SOURCES, AnyStage, fixed_backbone, rows
from tests.contract.digest import global_randomness, plain
from tests.contract.faults import Crash, Stream, until_the_crash
from tests.contract.replays import REPLAYS, MethodCase

drift: Any = river_drift  # its constructors have no types

Make = Callable[[Path, int], Pipeline]
"""Given a folder for its source's file, and a seed."""


def _test(source: Source) -> Batch:
    """Hold rows out that look like a source's own: every third of them."""
    whole = Batch.concat([replace(b, id=None, time=None) for b in source])
    return replace(whole, y=np.maximum(whole.y, 0)).take(slice(0, None, 3))


def _noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 4), nn.Dropout(0.3), nn.Linear(4, classes))


def _classes(name: str, folder: Path, seed: int) -> Pipeline:
    return Pipeline(
        SOURCES[name](folder, 4),
        holdout=Holdout(_test(SOURCES[name](folder, 4)), chunk=3),
        buffer=ClassBalancedBuffer(8, seed),
        mixer=Mixer(4, "class", steps=2, seed=seed),
        learner=TorchLearner(_noisy, partial(Adam, lr=0.01), seed=seed),
        evaluator=Prequential(report_every=6, window=7),
    )


def _images(folder: Path, seed: int) -> Pipeline:
    source = SOURCES["idx.gz"]
    return Pipeline(
        source(folder, 5),
        holdout=Holdout(_test(source(folder, 5)), every=6),
        buffer=ReservoirSamplingBuffer(100, seed),
        mixer=Mixer(3, seed=seed),
        learner=TorchLearner(mlp([4]), partial(SGD, lr=0.1, momentum=0.9), seed=seed),
        evaluator=Prequential(report_every=10),
    )


def _latent(folder: Path, seed: int) -> Pipeline:
    """Learn from a frozen backbone's features, with a head of another kind."""
    source = SOURCES["idx.gz"]
    return Pipeline(
        source(folder, 5),
        holdout=Holdout(_test(source(folder, 5)), every=6),
        backbone=fixed_backbone(4, seed),
        buffer=ClassBalancedBuffer(8, seed),
        mixer=Mixer(3, seed=seed),
        learner=TorchLearner(mlp([4], head="cosine"), partial(SGD, lr=0.1), seed=seed),
        evaluator=Prequential(report_every=10),
    )


def _goals(name: str, folder: Path, seed: int) -> Pipeline:
    whole = Batch.concat(list(SOURCES[name](folder, 4)))
    return Pipeline(
        SOURCES[name](folder, 4),
        holdout=Holdout(whole.take(whole.y == 0).take(slice(0, None, 3)), chunk=3),
        buffer=ReservoirSamplingBuffer(8, seed),
        mixer=Mixer(4, steps=2, seed=seed),
        learner=TorchLearner(_noisy, partial(Adam, lr=0.01), method="der++", seed=seed),
        evaluator=Prequential(report_every=6, window=7),
    )


def _plain(folder: Path, seed: int) -> Pipeline:
    return Pipeline(
        SOURCES["csv.gz"](folder, 5),
        learner=TorchLearner(linear(), partial(SGD, lr=0.1), seed=seed),
        evaluator=Prequential(report_every=10),
    )


def _late(folder: Path, seed: int) -> Pipeline:
    """Labels come some lines later, in another order; some twice, some never, some too late."""
    path = folder / "late.jsonl"
    rng = np.random.default_rng(3)
    lines: list[tuple[float, dict[str, Any]]] = []
    for i in range(24):
        y = int(rng.integers(3))
        event = {"id": f"{i:02d}", "time": i, "x": (rng.standard_normal(FEATURES) + y).tolist()}
        label = {"id": f"{i:02d}", "time": i + 5, "y": f"c{y}"}
        lines += [(i, event), *[(i + 9 * rng.random(), label)] * int(rng.integers(3))]
    ordered = sorted(lines, key=lambda line: line[0])
    path.write_text("".join(f"{json.dumps(line)}\n" for _, line in ordered))
    source = JsonlSource(path, batch_size=5)
    source.bare_labels = True
    return Pipeline(
        source,
        experiences=Experiences(rows=20),
        late=LateLabels(6),
        probe=Probe(0.3, max_size=5, every=10, chunk=3, seed=1),
        buffer=ClassBalancedBuffer(8, seed),
        mixer=Mixer(4, steps=2, seed=seed),
        learner=TorchLearner(_noisy, partial(Adam, lr=0.01), method="lwf", seed=seed),
        verification=Verification(),
        evaluator=Prequential(report_every=6, window=7),
    )


def _delayed(name: str, folder: Path, seed: int) -> Pipeline:
    return Pipeline(
        SOURCES[name](folder, 4),
        late=DelayedLabels(7),
        holdout=Holdout(_test(SOURCES[name](folder, 4)), chunk=3),
        buffer=ReservoirSamplingBuffer(8, seed),
        mixer=Mixer(4, seed=seed),
        learner=TorchLearner(_noisy, partial(Adam, lr=0.01), seed=seed),
        verification=Verification(),
        evaluator=Prequential(report_every=6, window=7),
        drift=DriftMonitor([Detector(drift.ADWIN(clock=1, grace_period=2), "error")], delay=7),
    )


def _several(folder: Path, seed: int, *, shared: bool) -> Pipeline:
    """Two learners, behind one buffer or with one each, that report at other rows."""
    source = SOURCES["split_by_class"]
    buffers = {"buffer": ReservoirSamplingBuffer(8, seed)} if shared else {}
    branches: dict[str, dict[str, AnyStage]] = {
        name: {
            **({} if shared else {"buffer": ClassBalancedBuffer(size, seed)}),
            "mixer": Mixer(3, seed=seed),
            "learner": TorchLearner(module, partial(Adam, lr=0.01), seed=seed),
            "evaluator": Prequential(report_every=every),
        }
        for name, module, size, every in (("a", _noisy, 8, 6), ("b", mlp([4]), 5, 10))
    }
    return Pipeline(
        source(folder, 4),
        holdout=Holdout(_test(source(folder, 4)), chunk=3),
        **buffers,
        learners=Branches(branches),
    )


def _drifting(folder: Path, seed: int) -> Pipeline:
    """Drifts all the time, and each changes every other stage."""
    source = SOURCES["arrays"]
    experiences = Experiences(rows=11)
    buffer = ClassBalancedBuffer(20, seed)
    mixer = Mixer(3, steps=2, seed=seed)
    training = Training(schedule=inverse_sqrt(20))
    learner = TorchLearner(_noisy, partial(Adam, lr=0.01), training=training, seed=seed)
    plain = TorchLearner(_noisy, partial(SGD, lr=0.01), seed=seed)
    actions: dict[str, Callable[[dict[str, Any]], Any]] = {
        "begin": lambda _: experiences.begin(),
        "replay": lambda _: mixer.boost(1.5, rows=5),
        "lr": lambda _: plain.scale_lr(0.5, rows=5),
        "lr for good": lambda _: learner.scale_lr(0.9),
        "shrink": lambda _: buffer.resize(buffer.max_size - 1),
        "forget": lambda record: buffer.forget(where=lambda b: b.t < record["position"] - 9),
        "restart": lambda _: learner.restart_schedule(),
    }
    ddm = Detector(drift.binary.DDM(3, 0.5, 1.0), warning_actions=actions)
    ph = Detector(drift.PageHinkley(2, threshold=0.5), "feature:0", actions=actions, cooldown=3)
    return Pipeline(
        source(folder, 3),
        experiences=experiences,
        holdout=Holdout(_test(source(folder, 3)), every=8, chunk=5),
        buffer=buffer,
        mixer=mixer,
        learners=Branches(
            {
                "scheduled": {"learner": learner, "evaluator": Prequential(report_every=6)},
                "plain": {
                    "learner": plain,
                    "evaluator": Prequential(report_every=4),
                    "drift": DriftMonitor([ddm, ph]),
                },
            }
        ),
    )


def _replayed(case: MethodCase, folder: Path, seed: int) -> Pipeline:
    """Late classes, experiences, held-out rows, two passes, memory that is full half-way."""
    return Pipeline(
        SOURCES["arrays"](folder, 3),
        holdout=Holdout(_test(SOURCES["arrays"](folder, 3)), chunk=5),
        buffer=ClassBalancedBuffer(10, seed),
        mixer=Mixer(2, steps=2, candidates=4 if case.chooses else None, seed=seed),
        learner=TorchLearner(
            case.module,
            partial(SGD, lr=0.05, momentum=0.9),
            method=case.method,
            training=case.training,
            seed=seed,
        ),
        evaluator=Prequential(report_every=9, window=7),
    )


PIPELINES: dict[str, Make] = {
    "split": partial(_classes, "split_by_class"),
    "jsonl": partial(_classes, "jsonl"),
    "images": _images,
    "latent": _latent,
    "numbers": partial(_goals, "goals"),
    "labels": partial(_goals, "goals.jsonl"),
    "without replay": _plain,
    "drifting": _drifting,
    "late labels": _late,
    "delayed labels": partial(_delayed, "jsonl"),
    "delayed labels of experiences": partial(_delayed, "split_by_class"),
    "several": partial(_several, shared=False),
    "several(shared)": partial(_several, shared=True),
    **{name: partial(_replayed, case) for name, case in REPLAYS.items()},
}


def tell(reports: Iterator[Report] | list[Report]) -> list[Any]:
    return [plain(r) for r in reports if r.scored is not None or r.metrics]


def log(reports: list[Report]) -> list[dict[str, Any]]:
    return [record for report in reports for record in report.metrics]


def carry_over(make: Make, folder: Path, carry: Callable[[Pipeline], Pipeline]) -> None:
    whole = make(folder, 0)
    reports = list(whole)
    assert len(reports) > 4
    assert log(reports)
    want, end = tell(reports), plain(whole.state_dict())
    for cut in range(len(reports) + 1):
        pipeline = make(folder, 0)
        running = iter(pipeline)
        first = [next(running) for _ in range(cut)]
        carried = carry(pipeline)
        assert tell(first) + tell(iter(carried)) == want, f"stopped after report {cut}"
        assert plain(carried.state_dict()) == end, f"stopped after report {cut}"


def check_resumes_at_every_report(make: Make, folder: Path) -> None:
    def carry(pipeline: Pipeline) -> Pipeline:
        state = copy.deepcopy(pipeline.state_dict())
        fresh = make(folder, 1)
        fresh.load_state_dict(state)
        assert plain(fresh.state_dict()) == plain(state)
        return fresh

    carry_over(make, folder, carry)
    carry_over(make, folder, lambda pipeline: carry(carry(pipeline)))


def check_resumes_from_disk_at_every_report(make: Make, folder: Path) -> None:
    def carry(pipeline: Pipeline) -> Pipeline:
        state = pipeline.state_dict()
        path = save_checkpoint(folder / "checkpoints", state, position=pipeline.position)
        loaded, manifest = load_checkpoint(path)
        assert plain(loaded) == plain(state)
        fresh = make(folder, 1)
        fresh.load_state_dict(loaded)
        assert fresh.position == manifest["position"] == pipeline.position
        return fresh

    carry_over(make, folder, carry)


def check_goes_on_when_iterated_again(make: Make, folder: Path) -> None:
    # after the last report nothing is left to read
    with pytest.warns(UserWarning, match="has been read to its end, and this pass had no rows"):
        carry_over(make, folder, lambda pipeline: pipeline)


def check_asking_for_the_state_changes_nothing(make: Make, folder: Path) -> None:
    asked, left_alone = make(folder, 0), make(folder, 0)
    reports = []
    for report in asked:
        reports.append(report)
        assert plain(asked.state_dict()) == plain(asked.state_dict())
    assert tell(reports) == tell(iter(left_alone))
    assert plain(asked.state_dict()) == plain(left_alone.state_dict())


def check_seeds_decide_and_no_global_one_moves(make: Make, folder: Path) -> None:
    before = global_randomness()
    a, b, c = (list(make(folder, seed)) for seed in (3, 3, 4))
    assert global_randomness() == before
    assert tell(a) == tell(b)
    assert tell(a) != tell(c)


def check_step_does_what_iterating_does(make: Make, folder: Path) -> None:
    iterated, stepped = make(folder, 0), make(folder, 0)
    reports = [stepped.step(batch) for batch in stepped.source or ()]
    reports.append(stepped.finish())
    assert tell(reports) == tell(iter(iterated))
    assert plain(stepped.state_dict()) == plain(iterated.state_dict())


def check_step_and_state_take_turns(make: Make, folder: Path) -> None:
    """A service that saves after each batch, and is killed after each."""
    want = tell(iter(make(folder, 0)))
    reports, pipeline = [], make(folder, 0)
    for batch in make(folder, 0).source or ():
        reports.append(pipeline.step(batch))
        state = copy.deepcopy(pipeline.state_dict())
        pipeline = make(folder, 1)
        pipeline.load_state_dict(state)
    reports.append(pipeline.finish())
    assert tell(reports) == want


def check_a_crash_of_the_stream_loses_and_repeats_nothing(make: Make, folder: Path) -> None:
    batches = list(make(folder, 0).source or ())
    whole = make(folder, 0)
    want = tell(iter(whole))
    for place in range(len(batches) + 1):
        pipeline = make(folder, 0)
        pipeline.source = Stream([*batches[:place], Crash(), *batches[place:]])
        reports = until_the_crash(pipeline)
        assert tell(reports) + tell(iter(pipeline)) == want, f"crashed at {place}"
        for name in pipeline.stages:
            assert plain(pipeline[name].state_dict()) == plain(whole[name].state_dict()), name


CHECKS = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("check", CHECKS)
def test_pipelines(check: str, pipeline: str, tmp_path: Path) -> None:
    CHECKS[check](PIPELINES[pipeline], tmp_path)


@pytest.mark.parametrize("size", [1, 3, 12])
def test_records_do_not_depend_on_the_cut(size: int) -> None:
    """All but the learner, whose step is a batch."""

    def run(size: int) -> Any:
        test = Batch.concat([replace(b, id=None) for b in rows()])
        pipeline = Pipeline(
            rows(size),
            holdout=Holdout(replace(test, y=np.maximum(test.y, 0))),
            buffer=ClassBalancedBuffer(9, 5),
            learner=_guess,
            evaluator=Prequential(report_every=5, window=8),
        )
        records = log(list(pipeline))
        return plain(records), sorted(pipeline["buffer"].buffer.t.tolist())

    assert run(size) == run(4)


def _guess(stream: Iterable[Rehearsal]) -> Iterator[Scored]:
    """Say of a row what follows from the row."""
    for rehearsal in stream:
        batch = rehearsal.incoming
        loss = np.where(batch.y < 0, np.nan, np.abs(batch.x[:, 0])).astype(np.float32)
        probability = np.abs(np.sin(batch.x[:, 1]))
        yield Scored(batch, (batch.x[:, 2] > 0).astype(np.int64), probability, loss)


def test_a_batch_larger_than_everything() -> None:
    x = np.random.default_rng(0).standard_normal((200, FEATURES))
    pipeline = Pipeline(
        ArraySource(x, np.arange(200) % 3, batch_size=1000),
        buffer=ReservoirSamplingBuffer(8),
        mixer=Mixer(50),
        learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
        evaluator=Prequential(report_every=30, window=10),
    )
    first, last = pipeline
    assert [record["position"] for record in first.metrics] == [30, 60, 90, 120, 150, 180]
    assert [record["position"] for record in last.metrics] == [200]
    assert len(pipeline["buffer"]) == 8


def test_an_empty_stream_gives_one_empty_report() -> None:
    pipeline = _plain_over(ArraySource(np.empty((0, FEATURES)), []))
    before = plain(pipeline.state_dict())
    (report,) = pipeline
    assert (len(report), report.metrics) == (0, ())
    assert plain(pipeline.state_dict()) == before


def test_a_state_of_other_stages_is_refused() -> None:
    a, b, c = (
        Pipeline(
            rows(),
            **buffer,
            learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
            evaluator=Prequential(),
        )
        for buffer in (
            {},
            {"buffer": ReservoirSamplingBuffer(3)},
            {"buffer": ClassBalancedBuffer(3)},
        )
    )
    message = (
        "saved stages: source, learner, evaluator; "
        "this pipeline has: source, buffer, learner, evaluator"
    )
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        b.load_state_dict(a.state_dict())
    message = "buffer: saved ReservoirSamplingBuffer, this pipeline has ClassBalancedBuffer"
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        c.load_state_dict(b.state_dict())


def test_the_path_of_a_mismatch_begins_with_the_stage() -> None:
    a, b = (_plain_over(rows(), hidden) for hidden in ([4], [6]))
    list(a)
    message = (
        r"learner\.network\.module\.0\.weight: saved float32\[4, 3\], "
        r"this pipeline has float32\[6, 3\]"
    )
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        b.load_state_dict(a.state_dict())


def _plain_over(source: Any, hidden: Sequence[int] = ()) -> Pipeline:
    return Pipeline(
        source,
        learner=TorchLearner(mlp(hidden), partial(SGD, lr=0.1)),
        evaluator=Prequential(),
    )
