"""Tasks and experiences without end: what is kept of them, and what a line lists, has an end."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import metrics as river_metrics

from streamreplay import Inventory, Prequential, ReservoirSamplingBuffer
from streamreplay.batch import Batch
from streamreplay.evaluation.retention.retention_scores import RetentionScores
from streamreplay.evaluation.sums import by_group
from streamreplay.evaluation.sums.by_group import LISTED, MOST, Tally, drop_oldest
from streamreplay.labels import Labels
from streamreplay.log.lines import dump_line
from streamreplay.records import Report, Scored
from streamreplay.state import save_state

Record = dict[str, Any]

metrics: Any = river_metrics  # its constructors have no types


@given(
    blocks=st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=6), max_size=20
    ),
    marks=st.sets(st.integers(0, 20)),
    resumed=st.sets(st.integers(0, 20)),
)
def test_a_tally_keeps_the_groups_that_had_rows_last(
    blocks: list[list[tuple[int, bool]]], marks: set[int], resumed: set[int]
) -> None:
    """The reference: a list of the rows of each group, in order of the groups' last rows."""
    kept: dict[int, list[bool]] = {}
    recent: dict[int, int] = {}  # rows at the mark
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_group, "drop_oldest", lambda slots: drop_oldest(slots, 3))
        live = Tally(endless=True)
        for number, block in enumerate(blocks):
            live.add(*(np.array(column) for column in zip(*block, strict=True)))
            for group in sorted({group for group, _ in block}):
                kept[group] = kept.pop(group, []) + [hit for g, hit in block if g == group]
            for group in list(kept)[:-3]:
                kept.pop(group)
                recent.pop(group, None)
            if number in marks:
                live.mark()
                recent = {group: len(hits) for group, hits in kept.items()}
            if number in resumed:
                state, live = copy.deepcopy(live.state_dict()), Tally(endless=True)
                live.load_state_dict(state)
            found = live.recent_scores()
            assert list(found) == sorted(kept)
            for group, hits in kept.items():
                assert found[group]["rows"] == len(hits)
                assert found[group]["accuracy"] == sum(hits) / len(hits)
                assert found[group]["rows_recent"] == len(hits) - recent.get(group, 0)


def stream(size: int, n: int = 3000) -> Iterator[Scored]:
    """Cut rows of 300 experiences and 700 tasks, some of which come again."""
    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 2, (2, n))
    experience = np.arange(n) // 10 % 250
    task = np.where(rng.random(n) < 0.2, rng.integers(0, 9, n), np.arange(n) // 4)
    edges = sorted({*range(0, n, size), *range(0, n, 10), n})
    for start, stop in pairwise(edges):
        rows = slice(start, stop)
        batch = Batch.from_arrays(
            np.zeros((stop - start, 1)),
            y[rows],
            start=start,
            task=task[rows],
            experience=experience[rows],
        )
        zeros = np.zeros(stop - start, np.float32)
        yield Scored(batch, said[rows], zeros, zeros, square_sum=zeros)


def evaluator() -> Prequential:
    by_name = [metrics.CohenKappa(), metrics.LogLoss(), metrics.RollingROCAUC()]
    return Prequential(report_every=500, window=100, metrics=by_name)


def records(reports: Iterable[Report]) -> list[Record]:
    return [record for report in reports for record in report.metrics]


def test_scores_are_of_the_last_groups_at_any_cut() -> None:
    found = records(evaluator()(stream(3000)))
    assert found == records(evaluator()(stream(7)))
    for record in found:
        for by in ("by_task", "by_experience"):
            groups = record.get(by, {})
            assert len(groups) <= MOST
            assert all(
                each["metrics"].keys() == {"CohenKappa", "LogLoss", "RollingROCAUC"}
                for each in groups.values()
            )
    last = found[-1]
    assert (len(last["by_task"]), len(last["by_experience"])) == (LISTED, LISTED)
    left = MOST - LISTED
    assert (last["tasks_not_listed"], last["experiences_not_listed"]) == (left, left)
    assert min(last["by_task"]) == 0  # comes again and again
    assert max(last["by_task"]) == 749
    assert list(last["by_experience"]) == [*range(30, 50)]
    assert all(each["metrics"]["LogLoss"] is not None for each in last["by_experience"].values())
    assert all(each["metrics"]["LogLoss"] is not None for each in last["by_task"].values())
    # what was dropped and came again is counted anew
    assert {each["rows"] for each in last["by_experience"].values()} == {10}


def test_no_more_groups_are_kept_than_are_listed() -> None:
    live = evaluator()
    list(live(stream(50)))
    found = live.state_dict()["running"]["river"]["families"]
    assert set(found) == {"matrix", "mean", "rows"}
    for family in (found["matrix"], found["mean"]["sums"]):
        assert [len(groups) for groups in family["groups"].values()] == [MOST, MOST]
    rows: Any = live._running.river
    assert [len(groups) for groups in rows._families["rows"]._groups.kept.values()] == [MOST, MOST]


@pytest.mark.parametrize("kind", [np.float64, np.bool_])
def test_groups_of_numbers_and_labels_have_an_end_too(kind: Any) -> None:
    def parts() -> Iterator[Scored]:
        for i in range(250):
            target = np.full((2, 2), i % 2, kind)
            batch = Batch.from_arrays(
                np.zeros((2, 1)), start=2 * i, task=i, experience=i, target=target
            )
            yield Scored(batch, target, np.zeros(2, np.float32), np.zeros(2, np.float32))

    last = records(Prequential(report_every=100)(parts()))[-1]
    assert list(last["by_task"]) == list(last["by_experience"]) == list(range(230, 250))


def test_a_run_that_goes_on_drops_the_same_groups() -> None:
    parts = list(stream(50))
    whole = evaluator()
    want = records(whole(parts))
    for cut in (70, 200, 299):
        first, second = evaluator(), evaluator()
        running = first(iter(parts[:cut]))
        before = records(next(running) for _ in range(cut))
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        assert before + records(second(parts[cut:])) == want


def test_a_class_that_gets_a_name_later_changes_what_is_said_of_older_groups() -> None:
    names = Labels(["a"])
    asked: Any = {"metrics": [metrics.F1(pos_val="b")]}
    one, other = (Prequential(report_every=10, **asked) for _ in range(2))
    zeros = np.zeros(10, np.float32)
    parts = []
    for i, y in enumerate((0, 0, 1)):
        x = np.zeros((10, 1))
        batch = Batch.from_arrays(x, [y] * 10, start=10 * i, experience=i, labels=names)
        parts.append(Scored(batch, np.ones(10, np.int64), zeros, zeros))
    running = one(iter(parts))
    before = records([next(running), next(running)])
    assert before[-1]["by_experience"][0]["metrics"] == {"F1": None}
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    names.index("b")
    whole = records(running)
    assert whole == records(other(parts[2:]))
    assert whole[-1]["by_experience"][0]["metrics"] == {"F1": 0.0}


def test_a_line_about_a_buffer_lists_the_largest_groups() -> None:
    buffer = ReservoirSamplingBuffer(2000)
    experience = np.concatenate([np.arange(500), np.repeat(np.arange(3), 5)])
    buffer.update(Batch.from_arrays(np.zeros((515, 1)), np.zeros(515, int), experience=experience))
    record = {"kind": "prequential", "position": 515}
    (report,) = Inventory(buffer.describe)([Report(None, (record,))])
    listed = report.metrics[-1]["by_experience"]
    assert list(listed) == [0, 1, 2, *range(483, 500)]
    assert listed[0]["rows"] == 6
    assert report.metrics[-1]["experiences_not_listed"] == 480


def test_a_record_lists_what_had_rows_since_the_one_before_it() -> None:
    classes = Tally()
    for tally, most in ((Tally(endless=True), LISTED), (classes, MOST)):
        ids = np.arange(MOST)
        tally.add(ids, np.ones(MOST, np.bool_))
        assert len(tally.recent_scores()) == MOST
        tally.mark()
        tally.add(np.array([3, 7, 7]), np.ones(3, np.bool_))
        assert len(tally.recent_scores()) == most
        assert {3, 7} < tally.recent_scores().keys()
    more = np.arange(MOST, MOST + 5)
    classes.add(more, np.ones(5, np.bool_))
    assert len(classes.recent_scores()) == MOST + 5
    classes.mark()
    classes.add(more[:2], np.ones(2, np.bool_))
    assert [*classes.recent_scores()] == [*range(MOST - 2), MOST, MOST + 1]


def test_a_log_grows_with_the_rows_however_many_experiences_there_are() -> None:
    def parts(n: int) -> Iterator[Scored]:
        for i in range(n):
            y = np.zeros(2, np.int64)
            batch = Batch.from_arrays(np.zeros((2, 1)), y, start=2 * i, task=i, experience=i)
            yield Scored(batch, y, np.zeros(2, np.float32), np.zeros(2, np.float32))

    buffer = ReservoirSamplingBuffer(500)
    sizes = []
    for report in Inventory(buffer.describe)(Prequential(report_every=100)(parts(600))):
        if report.scored is not None:
            buffer.update(report.scored.incoming)
        sizes += [len(dump_line(record)) for record in report.metrics]
    assert len(sizes) > 1200
    assert sum(sizes) / len(sizes) < 5000


def test_what_rounds_are_compared_with_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamreplay.evaluation.retention.retention_scores.KEPT", 4)
    monkeypatch.setattr("streamreplay.evaluation.prequential.KEPT", 4)
    live = Prequential()
    list(live(stream(50, 200)))
    assert live.state_dict()["entry"]["ids"].tolist() == [16, 17, 18, 19]
    retention = RetentionScores("probe")
    for i in range(9):
        rows = np.repeat([i - 1, i], 30)[30 * (i == 0) :]
        batch = Batch.from_arrays(
            np.zeros((len(rows), 1)), np.zeros(len(rows), int), experience=rows
        )
        zeros = np.zeros(len(rows), np.float32)
        retention.add(Scored(batch, np.where(np.arange(len(rows)) % 3, 0, 1), zeros, zeros), 60 * i)
        record = retention.close(60 * i, i, end=True, seen=lambda _: True)
        assert (record["forgetting"] is None) == (i == 0)
    state = save_state(retention)
    assert state["ended"]["ids"].tolist() == state["best"]["ids"].tolist() == [5, 6, 7, 8]
    assert state["stability"]["worst"]["ids"].tolist() == [7]


def test_the_matrix_has_the_last_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamreplay.evaluation.retention.retention_scores.KEPT", 4)
    retention = RetentionScores("test")
    columns = np.arange(MOST + 20)
    batch = Batch.from_arrays(
        np.zeros((len(columns), 1)), np.zeros(len(columns), int), experience=columns
    )
    zeros = np.zeros(len(columns), np.float32)
    for i in range(MOST + 5):
        retention.add(Scored(batch, np.zeros(len(columns), np.int64), zeros, zeros), 10 * i)
        retention.close(10 * i, i, end=True, seen=lambda _: True)
    rows, of, values = retention.matrix
    assert rows.tolist() == list(range(5, MOST + 5))
    assert (of.tolist(), values.shape) == (columns.tolist(), (MOST, MOST + 20))
    assert len(save_state(retention)["ahead"]["ids"]) == 4
