"""Every row that comes has one fate: the counts, and that their sum holds over kills."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch.optim import SGD

from streamreplay import (
    ArraySource,
    Batch,
    CsvSource,
    DelayedLabels,
    JsonlSource,
    LateLabels,
    Pipeline,
    Prequential,
    Probe,
    TorchLearner,
    Verification,
    linear,
)
from streamreplay.errors import NoUsableRowError
from streamreplay.evaluation.retention.probe import hash_rows
from streamreplay.ingest.dead_letters import FIRST_RECORDS
from streamreplay.ingest.splits import in_memory
from streamreplay.put_aside import OTHER, STRETCH, PutAside, reason_group, reasons_text
from streamreplay.records import Report, Scored
from streamreplay.row_counts import RowLedger

SHARE = 0.3  # of labelled rows that the probe withholds
KINDS = ("labelled", "unlabelled", "bad", "blank")
LINES: dict[str, dict[str, bytes]] = {
    "jsonl": {
        "labelled": b'{"a": 1, "b": 2, "y": "k"}',
        "unlabelled": b'{"a": 3, "b": 4}',
        "bad": b'{"a": "x"',
        "blank": b"  ",
    },
    "csv": {"labelled": b"1,2,k", "unlabelled": b"3,4,", "bad": b"1,2,3,4,5", "blank": b""},
}


def make(path: Path, size: int) -> Pipeline:
    made = CsvSource if path.suffix == ".csv" else JsonlSource
    source: Any = made(path, batch_size=size)
    return Pipeline(
        source,
        probe=Probe(SHARE, every=5),
        learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
        evaluator=Prequential(report_every=3),
    )


def fates(kinds: list[str]) -> dict[str, int]:
    """Count what must become of lines, one at a time."""
    found: Counter[str] = Counter()
    row = 0
    for kind in kinds:
        if kind == "bad":
            found["put_aside"] += 1
        elif kind != "blank":
            key = hash_rows(None, np.array([row]), 0)[0]
            apart = kind == "labelled" and key < np.uint64(int(SHARE * 2**64))
            found["withheld" if apart else FATES[kind]] += 1
            row += 1
    return found


FATES = {"labelled": "learned", "unlabelled": "predicted_only"}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    form=st.sampled_from(["jsonl", "csv"]),
    kinds=st.lists(st.sampled_from(KINDS), max_size=40),
    size=st.integers(1, 9),
    kills=st.sets(st.integers(0, 40), max_size=3),
)
@example(form="csv", kinds=["bad"] * 3, size=2, kills=set())
def test_the_sum_holds_over_kills(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    kinds: list[str],
    size: int,
    kills: set[int],
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"rows.{form}"
    head = [b"a,b,y"] if form == "csv" else []
    path.write_bytes(b"\n".join([*head, *(LINES[form][kind] for kind in kinds)]) + b"\n")
    pipeline, state = make(path, size), make(path, size).state_dict()
    batches, number = iter(pipeline.source or ()), 0
    while (batch := next(batches, None)) is not None:
        pipeline.step(batch)
        counts = pipeline.rows
        assert counts.pending == 0
        assert counts.rows_in == pipeline.position + counts.put_aside
        if number % 2:
            state = pipeline.state_dict()
        number += 1
        if number in kills:  # and everything since the last state is done again
            pipeline = make(path, size)
            pipeline.load_state_dict(state)
            batches = iter(pipeline.source or ())
    pipeline.finish()
    counts, expected = pipeline.rows, fates(kinds)
    for fate in ("learned", "predicted_only", "withheld", "put_aside", "pending", "skipped"):
        assert getattr(counts, fate) == expected.get(fate, 0), fate
    assert counts.rows_in == sum(kind != "blank" for kind in kinds)
    assert sum(counts.why.reasons.values()) == counts.put_aside


def test_iterating_counts_as_stepping_does(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [LINES["jsonl"][KINDS[i % 4]] for i in range(50)]
    path.write_bytes(b"\n".join(lines))
    pipeline = make(path, 4)
    for _ in pipeline:
        assert pipeline.rows.pending == 0
    assert pipeline.rows.rows_in == 38
    read = make(path, 4)
    read.source = in_memory(JsonlSource(path))
    assert sum(1 for _ in read) > 1
    assert read.rows == pipeline.rows
    fresh = make(path, 4)
    fresh.source = in_memory(JsonlSource(path))
    fresh.load_state_dict(read.state_dict())
    assert fresh.rows == read.rows


def test_rows_behind_a_limit_do_not_come(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    kinds = ["bad", "labelled", "bad", "labelled", "bad", "bad"]
    path.write_bytes(b"\n".join(LINES["jsonl"][kind] for kind in kinds))
    for limit, put_aside in ((1, 1), (2, 2), (3, 4)):
        source = JsonlSource(path, limit=limit, batch_size=1)
        list(source)
        assert source.put_aside.count == put_aside


def test_late_labels_are_pending_until_they_come() -> None:
    pipeline = Pipeline(
        late=LateLabels(2),
        learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
        verification=Verification(),
        evaluator=Prequential(),
    )

    def step(name: str, label: int) -> tuple[int, int, int]:
        pipeline.step(Batch.from_arrays([[1.0]], [label], id=[name]))
        counts = pipeline.rows
        labels = counts.labels
        assert labels is not None
        # a label without an event is put aside, as a row of its own
        assert counts.rows_in + labels.joined + labels.repeated == pipeline.position
        assert counts.put_aside == labels.without_event
        return counts.pending, counts.predicted_only, counts.learned

    assert step("a", -1) == (1, 0, 0)
    assert step("b", -1) == (2, 0, 0)
    assert step("c", -1) == (2, 1, 0)  # "a" was given up
    assert step("b", 1) == (1, 1, 1)
    assert step("b", 0) == (1, 1, 1)
    assert step("a", 1) == (1, 1, 1)
    record = pipeline.rows.as_record(6)
    names = ("rows_in", "label_records", "joined", "repeated", "without_event", "given_up")
    assert [record[name] for name in names] == [4, 3, 1, 1, 1, 1]
    assert record["put_aside_by_reason"] == {"label whose event was given up": 1}


def test_rows_of_a_delay_are_pending_until_they_are_learned() -> None:
    pipeline = Pipeline(
        late=DelayedLabels(3),
        learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
        verification=Verification(),
        evaluator=Prequential(),
    )
    fates = []
    for i in range(6):
        pipeline.step(Batch.from_arrays([[1.0], [2.0]], [-1 if i == 2 else 0, 0]))
        counts = pipeline.rows
        assert (counts.rows_in, counts.labels) == (pipeline.position, None)
        fates.append((counts.pending, counts.predicted_only, counts.learned))
    assert fates == [(2, 0, 0), (3, 0, 1), (2, 1, 3), (3, 1, 4), (3, 1, 6), (3, 1, 8)]
    pipeline.finish()
    counts = pipeline.rows
    assert (counts.pending, counts.predicted_only, counts.learned) == (0, 1, 11)


def test_rows_that_a_stage_keeps_back_are_pending() -> None:
    def pairs(stream: Any) -> Any:
        for batch in stream:
            if batch.t[0] % 2:
                yield batch

    pipeline = Pipeline(
        pairs=pairs,
        learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
        evaluator=Prequential(),
    )
    for i in range(4):
        pipeline.step(Batch.from_arrays([[1.0]], [0]))
        assert (pipeline.rows.pending, pipeline.rows.learned) == ((i + 2) // 2, (i + 1) // 2)


def test_a_row_is_skipped_if_no_learner_learned_it() -> None:
    batch = Batch.from_arrays([[0.0], [1.0], [2.0]], [0, -1, 1])
    batch = batch.withholding(np.array([False, False, True]))
    nothing = np.zeros(3, np.float32)
    learned = Scored(batch, np.zeros(3, np.int64), nothing, nothing)
    skipped = replace(learned, learned=False)
    for one, other, fate in (
        (skipped, skipped, "skipped"),
        (skipped, learned, "learned"),
        (learned, skipped, "learned"),
    ):
        ledger = RowLedger()
        ledger.add(Report(one, by_learner={"a": one, "b": other}))
        counts = ledger.counts(3)
        assert (getattr(counts, fate), counts.predicted_only, counts.withheld) == (1, 1, 1)
        assert counts.rows_in == 3


def test_a_pipeline_saves_its_counts() -> None:
    pipeline = Pipeline(
        ArraySource([[0.0], [1.0]], ["a", None]),
        learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
        evaluator=Prequential(),
    )
    list(pipeline)
    state = pipeline.state_dict()
    counts = {"learned": 1, "unlabelled": 1, "withheld": 0, "skipped": 0}
    assert state["rows"] == {**counts, "late": [0, 0, 0, 0]}
    with pytest.raises(ValueError, match="'rows' cannot name a stage"):
        Pipeline(rows=Prequential())


@settings(max_examples=40, deadline=None)
@given(bad=st.lists(st.booleans(), max_size=300), cut=st.integers(0, 300))
def test_worst_is_over_every_stretch(bad: list[bool], cut: int) -> None:
    aside = PutAside()
    times = STRETCH // 50  # each boolean stands for so many records: a stretch is 50 of them
    for i in np.flatnonzero(bad).tolist():
        if i >= cut >= 0:
            other = PutAside()
            other.load_state_dict(aside.state_dict())
            aside, cut = other, -1
        for record in range(i * times, (i + 1) * times, times // 4):
            aside.add("why", record=record, line=record + 1)
    slow = max((4 * sum(bad[i : i + 50]) for i in range(max(1, len(bad) - 49))), default=0)
    assert aside.worst == slow
    assert aside.count == 4 * sum(bad)


def test_reasons_are_grouped_and_bounded() -> None:
    for reason, group in {
        "line has 3 cells, expected 5": "line has N cells, expected N",
        "feature 'col 7' is not a number: 'n/a: 3'": "feature 'col 7' is not a number",
        "feature 'x: y' is missing": "feature 'x: y' is missing",
        "label 3.5 is neither a string nor an integer": "label N is neither a string nor an "
        "integer",
        "task 'A' is not an integer": "task … is not an integer",
        "not JSON: unexpected character at column 12": "not JSON: unexpected character at column N",
        "not a JSON object: [1, 2]": "not a JSON object",
        "x has shape [3, 2], expected [3, 4]": "x has shape [N, N], expected [N, N]",
    }.items():
        assert reason_group(reason) == group
    assert len(reason_group("feature '" + "x" * 500)) == 160
    aside = PutAside()
    for i in range(250):
        aside.add(f"feature 'f{i}' is missing", record=i, line=i + 1)
    assert len(aside.reasons) == 101
    assert aside.reasons[OTHER] == 150
    assert reasons_text(aside.reasons, 1).startswith("150x other reasons; 1x feature 'f0' is")


@pytest.mark.parametrize("size", [1, 32, 5000])
@pytest.mark.parametrize("good", [FIRST_RECORDS - 1, FIRST_RECORDS])
def test_one_of_the_first_records_must_be_usable(tmp_path: Path, size: int, good: int) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(i) for i in range(good)]
    lines.insert(700, "")  # a blank line is no record
    path.write_text("\n".join([*lines, '{"x": [1]}', "5"]))
    letters: list[Any] = []
    source = JsonlSource(path, batch_size=size, on_dead=letters.append)
    if good < FIRST_RECORDS:
        assert sum(map(len, source)) == 1
        return
    message = r"rows.jsonl: none of the first 1,000 records can be used \(not a JSON object; the "
    with pytest.raises(NoUsableRowError, match=message):
        list(source)
    assert len(letters) == source.put_aside.count == FIRST_RECORDS
    with pytest.raises(NoUsableRowError):
        in_memory(JsonlSource(path))


def test_memory_needs_a_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("5\n")
    with pytest.raises(NoUsableRowError, match="its only record cannot be used"):
        in_memory(JsonlSource(path))
