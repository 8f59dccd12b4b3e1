"""The pipeline: composition, stepping, errors, state."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pytest
import torch

from streamreplay.batch import Batch
from streamreplay.branches import Branches
from streamreplay.buffers import ClassBalancedBuffer, ReservoirSamplingBuffer
from streamreplay.errors import CheckpointError, CorruptCheckpointError
from streamreplay.evaluation import Prequential
from streamreplay.memory import empty_memory
from streamreplay.mixing import Mixer
from streamreplay.pipeline import Pipeline
from streamreplay.records import Rehearsal, Report, Scored
from streamreplay.stage import Source
from streamreplay.state import State, Stateful, expect, save_parts


def rows(n: int, start: int = 0) -> Batch:
    t = np.arange(start, start + n)
    return Batch.from_arrays(t[:, None].astype(np.float32), t % 3, start=start)


def stream(n: int = 12, size: int = 5) -> list[Batch]:
    return [rows(size, size * i) for i in range(n)]


class Counting:
    """A source with a position, in rows."""

    def __init__(self, n: int = 12, size: int = 5) -> None:
        self.n, self.size, self.position = n, size, 0

    def __iter__(self) -> Iterator[Batch]:
        while self.position < self.n * self.size:
            start = self.position
            self.position += self.size
            yield rows(self.size, start)

    def state_dict(self) -> State:
        return {"position": self.position}

    def load_state_dict(self, state: State) -> None:
        self.position = state["position"]


class Summing:
    """A learner: what it predicts depends on all it was given, incoming and drawn."""

    def __init__(self, fail_at: int = -1) -> None:
        self.total = 0
        self.fail_at = fail_at

    def __call__(self, stream: Iterable[Rehearsal]) -> Iterator[Scored]:
        for mixed in stream:
            n = len(mixed.incoming)
            if n and mixed.incoming.t[0] <= self.fail_at < mixed.incoming.t[0] + n:
                self.fail_at = -1
                raise ZeroDivisionError("stage failed")
            said = np.full(n, self.total)
            self.total += int(mixed.incoming.t.sum()) + 7 * int(mixed.drawn().t.sum())
            nothing = np.zeros(n, np.float32)
            yield Scored(mixed.incoming, said, nothing, nothing, mixed.rows.size)

    def state_dict(self) -> State:
        return {"total": self.total}

    def load_state_dict(self, state: State) -> None:
        expect("total", type(state["total"]), int)
        self.total = state["total"]


def reports(stream: Iterable[Scored]) -> Iterator[Report]:
    """Report each record: a plain generator function is a stage too."""
    for scored in stream:
        yield Report(scored, ({"said": int(scored.prediction[0]), "replayed": scored.replayed},))
    yield Report(None, ({"end": True},))


def build(source: Any = None, fail_at: int = -1, seed: int = 0) -> Pipeline:
    return Pipeline(
        source,
        buffer=ClassBalancedBuffer(9, seed),
        mixer=Mixer(4, "class", seed=seed),
        learner=Summing(fail_at),
        evaluator=reports,
    )


def said(reports: Iterable[Report]) -> list[dict[str, Any]]:
    return [record for report in reports for record in report.metrics]


def test_iterating_gives_a_report_a_batch_and_a_last_one() -> None:
    made = list(build(stream()))
    assert [len(report) for report in made] == [5] * 12 + [0]
    assert made[-1].metrics == ({"end": True},)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_stepping_is_iterating(size: int) -> None:
    iterated, stepped = build(stream(12, size)), build()
    expected = said(iterated)
    found = [stepped.step(batch) for batch in stream(12, size)]
    assert said([*found, stepped.finish()]) == expected
    assert len({record["said"] for record in expected[:-1]}) > 10
    state, other = stepped.state_dict(), iterated.state_dict()
    assert state["position"] == other["position"] == 12 * size
    assert state["learner"] == other["learner"]
    assert (
        state["buffer"]["rows"]["columns"]["t"].tolist()
        == other["buffer"]["rows"]["columns"]["t"].tolist()
    )


def test_stepping_numbers_rows_on() -> None:
    pipeline = build()
    given = rows(3, start=100)
    for start in (0, 3):
        scored = pipeline.step(given).scored
        assert scored is not None
        assert scored.incoming.t.tolist() == [start, start + 1, start + 2]
    assert given.t.tolist() == [100, 101, 102]
    assert pipeline.position == 6


def test_stepping_and_iterating_may_take_turns() -> None:
    expected = said(build(stream()))
    pipeline = build(stream()[4:8])
    found = [pipeline.step(batch) for batch in stream()[:4]]
    found += list(pipeline)[:-1]
    found += [pipeline.step(batch) for batch in stream()[8:]]
    assert said([*found, pipeline.finish()]) == expected


def test_goes_on_after_finishing() -> None:
    expected = said(build(stream()))
    pipeline = build()
    found = [pipeline.step(batch) for batch in stream()[:6]]
    assert pipeline.finish().metrics == ({"end": True},)
    found += [pipeline.step(batch) for batch in stream()[6:]]
    assert said([*found, pipeline.finish()]) == expected


def test_an_empty_stream() -> None:
    assert said(build([])) == [{"end": True}]
    assert build().finish().metrics == ({"end": True},)


@pytest.mark.parametrize("how", ["iterate", "step"])
def test_goes_on_after_an_error_inside_a_stage(how: str) -> None:
    """The batch that failed is lost to the learner; all that came before it and after is not."""
    pipeline = build(Counting(), fail_at=22)
    found: list[Report] = []
    if how == "iterate":
        with pytest.raises(ZeroDivisionError, match="stage failed"):
            found.extend(pipeline)
        found.extend(pipeline)
    else:
        for place, batch in enumerate(stream()):
            if place == 4:
                with pytest.raises(ZeroDivisionError, match="stage failed"):
                    pipeline.step(batch)
            else:
                found.append(pipeline.step(batch))
        found.append(pipeline.finish())
    starts = [int(r.scored.incoming.t[0]) for r in found if r.scored is not None]
    assert starts == [0, 5, 10, 15, 25, 30, 35, 40, 45, 50, 55]
    assert pipeline.position == 60
    assert pipeline["buffer"].seen == 60  # the buffer had taken it in


def in_pairs(stream: Iterable[Batch]) -> Iterator[Rehearsal]:
    """Hold every other batch back."""
    for batch in stream:
        HELD.append(batch)
        if len(HELD) == 2:
            joined = Batch.concat(HELD)
            HELD.clear()
            yield Rehearsal(joined, empty_memory(joined))


HELD: list[Batch] = []


def test_a_stage_that_keeps_a_batch_back_gives_an_empty_report() -> None:
    pipeline = Pipeline(pairs=in_pairs, learner=Summing(), evaluator=reports)
    found = [pipeline.step(batch) for batch in stream(6)]
    assert [len(report) for report in found] == [0, 10, 0, 10, 0, 10]
    assert [r.scored is None for r in found] == [True, False] * 3
    assert pipeline.position == 30
    iterated = Pipeline(stream(6), pairs=in_pairs, learner=Summing(), evaluator=reports)
    assert said(found) == said(iterated)[:-1]


@pytest.mark.parametrize("cut", range(13))
def test_a_state_at_any_cut_gives_the_same_rest(cut: int) -> None:
    whole = build(Counting())
    expected = said(whole)
    first = build(Counting())
    found = list(islice(first, cut))
    resumed = first
    for seed in (5, 6):  # other seeds: what counts is in the state
        state = copy.deepcopy(resumed.state_dict())
        resumed = build(Counting(), seed=seed)
        resumed.load_state_dict(state)
        assert resumed.position == 5 * cut
    assert said(found) + said(resumed) == expected
    assert resumed["learner"].total == whole["learner"].total


def test_asking_for_the_state_between_steps_changes_nothing() -> None:
    asked = build(Counting())
    found = []
    for report in asked:
        asked.state_dict()
        found.append(report)
    assert said(found) == said(build(Counting()))


def test_state_by_name() -> None:
    state = build(stream()).state_dict()
    assert list(state) == ["position", "rows", "source", "buffer", "mixer", "learner", "evaluator"]
    assert state["source"] == state["evaluator"] == {}
    assert state["learner"] == {"kind": "Summing", "total": 0}
    assert build(Counting()).state_dict()["source"] == {"kind": "Counting", "position": 0}


class Damaged(Summing):
    def load_state_dict(self, state: State) -> None:
        raise CorruptCheckpointError(f"total: cut off at {len(state)}")


def without(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if key != name}


def stateless(stream: Iterable[Rehearsal]) -> Iterator[Scored]:
    yield from Summing()(stream)


def unchecked(stream: Any) -> Any:
    return stream


NAMES = "source, buffer, mixer, learner, evaluator"
MISMATCHES: list[tuple[dict[str, Any], str]] = [
    ({"buffer": ClassBalancedBuffer(8)}, "buffer.max_size: saved 9, this pipeline has 8"),
    (
        {"buffer": ReservoirSamplingBuffer(9)},
        "buffer: saved ClassBalancedBuffer, this pipeline has ReservoirSamplingBuffer",
    ),
    ({"mixer": Mixer(5, "class")}, "mixer.batch_size_mem: saved 4, this pipeline has 5"),
    ({"learner": Damaged()}, "learner: saved Summing, this pipeline has Damaged"),
    ({"learner": stateless}, "learner: saved Summing, this pipeline has None"),
    ({"evaluator": Prequential()}, "evaluator: saved None, this pipeline has Prequential"),
    (
        {"extra": unchecked},
        f"saved stages: {NAMES}; this pipeline has: {NAMES}, extra",
    ),
]


@pytest.mark.parametrize(("changed", "message"), MISMATCHES)
def test_a_state_of_another_pipeline_is_refused(changed: dict[str, Any], message: str) -> None:
    pipeline = build()
    pipeline.step(rows(5))
    live = Pipeline(**{**build().stages, **changed})
    with pytest.raises(CheckpointError) as error:
        live.load_state_dict(pipeline.state_dict())
    assert str(error.value) == message
    assert live.position == 0


def test_a_state_without_a_stage_or_with_another_source_is_refused() -> None:
    state = build(Counting()).state_dict()
    with pytest.raises(CheckpointError, match=r"^saved stages: source, mixer, learner, evaluator;"):
        build(Counting()).load_state_dict(without(state, "buffer"))
    with pytest.raises(CheckpointError, match=r"^source: saved Counting, this pipeline has None$"):
        build(stream()).load_state_dict(state)


def test_the_kind_of_error_is_kept() -> None:
    live = Pipeline(pairs=in_pairs, learner=Damaged(), evaluator=reports)
    with pytest.raises(CorruptCheckpointError, match=r"^learner\.total: cut off at 1$"):
        live.load_state_dict(live.state_dict() | {"position": 0})


def test_what_cannot_be_a_pipeline() -> None:
    with pytest.raises(ValueError, match=r"^a pipeline needs at least one stage, got 0$"):
        Pipeline([])
    with pytest.raises(ValueError, match=r"^'position' cannot name a stage"):
        Pipeline([], position=reports)
    with pytest.raises(TypeError, match=r"^learner: a stage is callable, got int$"):
        Pipeline([], learner=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no source: drive it with step"):
        list(build())


def test_stages_by_name_and_protocols() -> None:
    pipeline = build()
    assert pipeline["learner"] is pipeline.stages["learner"]
    with pytest.raises(KeyError):
        pipeline["lerner"]
    assert isinstance(Counting(), Stateful)
    assert not isinstance(Counting(), Source)  # enough for a pipeline, not for the driver
    assert not isinstance(stream(), Source)
    assert not isinstance(reports, Stateful)


class TestWrongThings:
    """What is given in place of a source, a batch or a stage gets an error that says what to do."""

    def refusal(self, source: Any = None, **stages: Any) -> str:
        with pytest.raises(TypeError) as error:
            Pipeline(source, **(stages or {"evaluator": unchecked}))
        return str(error.value)

    def test_sources(self) -> None:
        x = np.zeros((4, 2), np.float32)
        data: Any = torch.utils.data.TensorDataset(torch.zeros(4, 2), torch.zeros(4))
        for source, message in [
            (x, "got ndarray: wrap arrays, ArraySource(x, y)"),
            (torch.zeros(4, 2), "got Tensor: wrap arrays, ArraySource(x, y)"),
            ({"x": x}, "got dict: give its columns, ArraySource(x, y)"),
            ("rows.csv", "got str: open the file, CsvSource(path) or JsonlSource(path)"),
            (rows(3), "got Batch: put it into a list, [batch]"),
            (data, "got TensorDataset: wrap it, open_dataset(dataset)"),
            (
                torch.utils.data.DataLoader(data),
                "got DataLoader: make batches, (Batch.from_arrays(x, y) for x, y in loader)",
            ),
            (Mixer(3), "got Mixer"),
        ]:
            assert self.refusal(source) == f"source: must be an iterable of Batch, {message}"
        message = "source: must be a list of Batch, got list at 1"
        assert self.refusal([rows(2), [[1.0, 2.0]]]) == message

    def test_batches(self) -> None:
        message = "^a pipeline takes Batch, got tuple: build one with Batch.from_arrays\\(x, y\\)$"
        with pytest.raises(TypeError, match=message):
            list(build((x, 0) for x in range(3)))
        with pytest.raises(TypeError, match=r"got ndarray: .*; with Features"):
            build().step(np.zeros((2, 1)))

    def test_torch_sources_of_batches_are_none(self) -> None:
        class Batches(torch.utils.data.IterableDataset[Batch]):
            def __iter__(self) -> Iterator[Batch]:
                return iter(stream())

        data: Any = [(0.0, 1)] * 12
        loader: Any = torch.utils.data.DataLoader(
            data, batch_size=4, collate_fn=lambda items: rows(len(items))
        )
        assert len(list(build(loader))) == 4
        assert len(list(build(Batches()))) == 13

    def test_stages(self) -> None:
        assert self.refusal(None, mixer=Mixer) == (
            "mixer: a stage is an object, got the class: write Mixer(...)"
        )
        assert self.refusal(None, stages=[Mixer(3)]).startswith(
            "stages: a stage is callable, got list: give each stage by its name, as in Pipeline("
        )

    def test_order(self) -> None:
        buffer, mixer, evaluator = ReservoirSamplingBuffer(5), Mixer(3), Prequential()
        usual = "the usual order is buffer, mixer, learner, evaluator"
        assert self.refusal(None, learner=Summing(), buffer=buffer, evaluator=evaluator) == (
            f"learner: takes Rehearsal, and the source before it yields Batch: {usual}"
        )
        assert self.refusal(None, buffer=buffer, evaluator=evaluator, learner=Summing()) == (
            f"evaluator: takes Scored, and buffer before it yields Rehearsal: {usual}"
        )
        assert self.refusal(None, mixer=mixer, buffer=buffer, evaluator=evaluator) == (
            f"mixer: takes Rehearsal, and the source before it yields Batch: {usual}"
        )

    def test_no_evaluator(self) -> None:
        buffer = ReservoirSamplingBuffer(5)
        assert self.refusal(None, buffer=buffer, mixer=Mixer(3), learner=Summing()) == (
            "learner: the last stage must yield Report, and it yields Scored: add an evaluator, "
            "as in evaluator=Prequential()"
        )

    def test_other_annotations_are_not_checked(self) -> None:
        class Labelled(Protocol):
            y: Any

        def of_objects(stream: Iterable[object]) -> Iterator[object]:
            yield from stream

        def of_a_protocol(stream: Iterable[Labelled]) -> Iterator[Labelled]:
            yield from stream

        def with_option(stream, names: Sequence[Report] = ()):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
            yield from stream

        def at_times(stream: Iterable[Report]) -> Iterator[Report | None]:
            yield from stream

        evaluator: Any = Prequential()
        for stage in (of_objects, of_a_protocol, with_option):
            Pipeline(None, first=stage, learner=Summing(), evaluator=evaluator, last=at_times)

    def test_branches(self) -> None:
        with pytest.raises(TypeError, match=r"^a\.learner: the last stage must yield Report"):
            Branches({"a": {"learner": Summing()}})


def test_a_second_pass_over_an_iterator_is_warned_about() -> None:
    pipeline = build(iter(stream()))
    assert len(list(pipeline)) == 13
    message = "^the source, a list_iterator, has been read to its end before, and this pass had no"
    with pytest.warns(UserWarning, match=message):
        assert len(list(pipeline)) == 1
    again = build(stream())
    assert [len(list(again)) for _ in range(2)] == [13, 13]  # a list can be read again


def test_an_attribute_called_state_is_no_state_of_its_own() -> None:
    class Named:
        STATE = "Ohio"

        def __iter__(self) -> Iterator[Batch]:
            return iter(())

    assert save_parts({"source": Named()}) == {"source": {}}
