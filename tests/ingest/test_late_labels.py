"""Labels that come later than their rows."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.ingest import CsvSource, JsonlSource, LateLabels
from streamreplay.late import Late


def bare(*ids: Any, start: int = 0, **columns: Any) -> Batch:
    """Rows without labels, whose one feature is 10 times their place."""
    x = 10.0 * np.arange(1, len(ids) + 1)[:, None]
    return Batch.from_arrays(x, id=np.array(ids), start=start, **columns)


def labels(*ids: Any, start: int = 100, **columns: Any) -> Batch:
    """Labels 0, 1, ... with features that are none."""
    x = np.full((len(ids), 1), -1.0)
    return Batch.from_arrays(x, np.arange(len(ids)), id=np.array(ids), start=start, **columns)


def late_of(batch: Batch) -> Late[Batch]:
    assert batch.late is not None
    return batch.late


def learned(stage: LateLabels, *batches: Batch) -> list[tuple[int, float, int]]:
    """Return position, feature and label of all rows to be learned, in order."""
    found = []
    for batch in stage(batches):
        rows = batch.learnable()
        assert (rows.y >= 0).all()
        found += list(zip(rows.t.tolist(), rows.x[:, 0].tolist(), rows.y.tolist(), strict=True))
    return found


@pytest.mark.parametrize("ids", [("a", "b", "c"), (7, -5, 2**60)])
def test_a_label_finds_its_row_once(ids: tuple[Any, ...]) -> None:
    stage = LateLabels(10)
    a, b, c = ids
    rows = learned(stage, bare(a, b, c), labels(c, a), labels(a, start=102))
    assert rows == [(2, 30, 0), (0, 10, 1)]
    assert (stage.joined, stage.given_up, stage.put_aside.count, len(stage)) == (2, 0, 0, 1)


def test_events_are_predicted_and_not_learned_and_labels_are_not_predicted() -> None:
    stage = LateLabels(10)
    first, second = stage([bare("a", "b"), labels("b", "zz")])
    assert first.withheld is not None
    assert first.withheld.tolist() == [True, True]
    assert second.withheld is None
    assert (second.t.tolist(), second.x.tolist(), second.y.tolist()) == ([1], [[20.0]], [0])
    late = late_of(second)
    assert late.kind.tolist() == [Late.LABEL, Late.NOTHING]
    assert late.records.y.tolist() == [0, -1]
    assert late.event.tolist() == [1, -1]
    assert (first.arrived, second.arrived) == (2, 2)


def test_a_label_may_come_in_the_batch_of_its_row() -> None:
    both = Batch.from_arrays([[5.0], [0.0]], [-1, 2], id=["a", "a"])
    stage = LateLabels(10)
    (batch,) = stage([both])
    assert batch.x[:, 0].tolist() == [5, 5]
    assert batch.y.tolist() == [-1, 2]
    assert both.x[:, 0].tolist() == [5, 0]
    assert len(stage) == 0


def test_the_oldest_row_is_given_up_and_its_label_put_aside() -> None:
    letters: list[dict[str, Any]] = []
    stage = LateLabels(3, on_dead=letters.append)
    assert learned(stage, bare("a", "b", "c", "d")) == []
    assert (len(stage), stage.given_up) == (3, 1)
    assert learned(stage, labels("a", "b", "q", "d")) == [(1, 20, 1), (3, 40, 3)]
    assert stage.put_aside.reasons == {
        "label whose event was given up": 1,
        "label without event": 1,
    }
    assert [(each["position"], json.loads(each["raw"])) for each in letters] == [
        (100, {"id": "a", "label": 0}),
        (102, {"id": "q", "label": 2}),
    ]


def test_a_second_label_is_repeated_and_not_learned() -> None:
    stage = LateLabels(2)
    batches = list(stage([bare("a"), labels("a", "a"), labels("a", start=102)]))
    assert [late_of(batch).repeated for batch in batches] == [0, 1, 1]
    assert [len(batch.learnable()) for batch in batches] == [0, 1, 0]
    assert (stage.joined, stage.put_aside.count) == (1, 0)


def test_a_row_that_comes_again_replaces_the_first_and_is_new() -> None:
    stage = LateLabels(3)
    again = bare("a", start=3)
    assert learned(stage, bare("x", "a", "b"), again, labels("a", start=4)) == [(3, 10, 0)]
    assert (len(stage), stage.given_up) == (2, 1)


def test_a_row_is_given_up_when_it_is_too_old() -> None:
    stage = LateLabels(10, max_age=60)
    events = bare("a", "b", time=[0.0, 50.0])
    late = labels("b", "a", time=[60.5, 60.5])
    assert learned(stage, events, late) == [(1, 20, 0)]
    assert stage.put_aside.reasons == {"label whose event was given up": 1}
    stage = LateLabels(10, max_age=60)
    assert learned(stage, events, labels("a", time=[60.0])) == [(0, 10, 0)]
    # without a time of its own an event is as old as what came last, and a label ages nothing
    stage = LateLabels(10, max_age=60)
    events = bare("a", "b", time=[7.0, np.nan])
    assert len(learned(stage, events, labels("b", "a", time=[67.0, np.nan]))) == 2


def test_events_without_an_id_are_predicted_only() -> None:
    stage = LateLabels(2)
    first = Batch.from_arrays([[1.0], [2.0]], id=["a", ""])
    (batch,) = stage([first])
    assert late_of(batch).held.tolist() == [True, False]
    assert batch.learnable().t.tolist() == []
    assert len(stage) == 1


def test_held_out_rows_and_empty_batches_pass() -> None:
    stage = LateLabels(5)
    batches = [replace(bare("a"), held_out="test"), bare("a").take(slice(0, 0))]
    assert all(out is given for out, given in zip(stage(batches), batches, strict=True))
    assert len(stage) == 0


def test_what_is_no_row_to_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^max_pending must be at least 1, got 0$"):
        LateLabels(0)
    with pytest.raises(ValueError, match=r"^max_age must be above 0 and finite, got 0$"):
        LateLabels(max_age=0)
    for nameless in (Batch.from_arrays([[1.0]]), Batch.from_arrays([[1.0]], id=[""])):
        with pytest.raises(ConfigError, match=r"^labels.late: the first record has no id .*source"):
            list(LateLabels(5)([nameless]))
    with pytest.raises(ConfigError, match=r"^labels.max_age: the first event has no time"):
        list(LateLabels(5, max_age=3)([bare("a")]))
    wide = Batch.from_arrays([[1.0, 2.0]], id=["b"], start=1)
    with pytest.raises(ValueError, match=r"^x: rows held are float32\[1\], got float32\[2\]$"):
        list(LateLabels(5)([bare("a"), wide]))


def test_a_state_is_resumed_with_the_order_of_its_rows() -> None:
    stage = LateLabels(3)
    learned(stage, bare("a", "b", "c"), labels("b"))
    state = copy.deepcopy(stage.state_dict())
    resumed = LateLabels(3)
    resumed.load_state_dict(state)
    for each in (stage, resumed):
        rows = learned(each, bare("d", "e", start=200), labels("a", "c", "d", "e", "b"))
        assert [row[:2] for row in rows] == [(2, 30), (200, 10), (201, 20)]  # "a" was given up
        assert (each.joined, each.given_up, each.put_aside.count) == (4, 1, 1)
    with pytest.raises(CheckpointError, match=r"^max_pending: saved 3, this pipeline has 4$"):
        LateLabels(4).load_state_dict(state)
    state["rows"]["keys"] = state["rows"]["keys"][1:]
    with pytest.raises(CheckpointError, match=r"^rows.x: saved 2 rows for 1 keys$"):
        LateLabels(3).load_state_dict(state)


def test_the_label_known_last_is_that_before_the_event() -> None:
    ids, y = ["a", "b", "a", "c", "b", "c", "d"], [-1, -1, 4, -1, 5, 6, -1]
    whole = Batch.from_arrays(np.zeros((7, 1)), y, id=ids)
    for size in (1, 2, 7):
        parts = [whole.take(slice(i, i + size)) for i in range(0, 7, size)]
        batches = list(LateLabels(9)(parts))
        known = np.concatenate([late_of(batch).repeat for batch in batches])
        assert known.tolist() == [-2, -2, -2, -2, -2, 4, -2]  # of "c": the label of "a"


def test_latency_is_measured_in_rows_and_seconds() -> None:
    stage = LateLabels(9)
    learned(stage, bare("a", "b", time=[0.0, 10.0]), labels("a", "b", time=[30.0, np.nan]))
    record = stage.latency.record()
    assert record["latency_rows"] == {
        "mean": 100.0, "median_window": 100.0, "q90_window": 100.0, "max": 100.0,
    }  # fmt: skip
    assert record["latency_seconds"]["mean"] == 30.0


@st.composite
def _streams(draw: st.DrawFn) -> tuple[list[tuple[str, int, float]], list[int], int, float | None]:
    records = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "c", "d", "e", ""]),
                st.integers(-1, 2),
                st.integers(0, 40).map(float),
            ),
            min_size=1,
            max_size=30,
        ).filter(lambda found: found[0][0] != "")
    )
    cuts = draw(st.lists(st.integers(0, len(records)), max_size=6))
    return (
        records,
        sorted({0, *cuts, len(records)}),
        draw(st.integers(1, 4)),
        draw(st.sampled_from([None, 15.0])),
    )


def _one_by_one(
    records: list[tuple[str, int, float]], most: int, max_age: float | None
) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the pairs of event and label that are learned, and the fate of each label."""
    held: list[tuple[str, int, float]] = []
    past: list[tuple[str, bool]] = []
    pairs, fates, now = [], [], float("-inf")

    def remember(name: str, labelled: bool) -> None:
        nonlocal past
        past = [*(each for each in past if each[0] != name), (name, labelled)]

    for t, (name, label, time) in enumerate(records):
        now = max(now, time)
        while max_age is not None and held and held[0][2] < now - max_age:
            remember(held.pop(0)[0], False)
        if label < 0:
            if name:
                held = [*(each for each in held if each[0] != name), (name, t, time)]
                past = [each for each in past if each[0] != name]
                if len(held) > most:
                    remember(held.pop(0)[0], False)
            continue
        event = next((each for each in held if each[0] == name), None)
        if event is not None:
            held.remove(event)
            remember(name, True)
            pairs.append((event[1], label))
            fates.append("joined")
        else:
            fates.append("repeated" if (name, True) in past else "without event")
    return pairs, fates


@given(_streams())
def test_any_stream_is_joined_as_one_record_after_the_other(
    drawn: tuple[list[tuple[str, int, float]], list[int], int, float | None],
) -> None:
    records, cuts, most, max_age = drawn
    ids, y, times = zip(*records, strict=True)
    x = np.arange(len(y), dtype=np.float32)[:, None]
    whole = Batch.from_arrays(x, y, id=ids, time=times)
    stage = LateLabels(most, max_age)
    batches = list(stage(whole.take(slice(a, b)) for a, b in pairwise(cuts)))
    rows = [row for batch in batches for row in zip(
        batch.learnable().t.tolist(), batch.learnable().y.tolist(), strict=True
    )]  # fmt: skip
    pairs, fates = _one_by_one(records, most, max_age)
    assert rows == pairs
    assert stage.joined == fates.count("joined")
    assert sum(late_of(batch).repeated for batch in batches) == fates.count("repeated")
    assert stage.put_aside.count == fates.count("without event")
    assert all((batch.x[:, 0] == batch.t).all() for batch in batches)
    events = sum(label < 0 and name != "" for name, label, _ in records)
    assert events == stage.joined + stage.given_up + len(stage)
    kept = {t for batch in batches for t in batch.t[late_of(batch).held].tolist()}
    gone = {t for batch in batches for t in late_of(batch).gone.tolist()}
    assert len(kept) - len(gone) - stage.joined == len(stage)


IDS = [
    ["00123", "45678", "7", "07", "1_000", "+7", "0x10", "x"],
    ["1", "01", "1.0", "1e0", "-1", "\uff11", "12345678901234567890123", "nan"],
]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("form", ["csv", "jsonl", "csv without features", "jsonl of labels alone"])
def test_ids_are_joined_as_text_in_batches_of_any_size(
    tmp_path: Path, form: str, ids: list[str], size: int
) -> None:
    alone = "without" in form or "alone" in form
    cells: list[tuple[str, float | None, str | None]] = [
        (each, 1.0 + i, None) for i, each in enumerate(ids)
    ]
    cells += [
        (each, None if alone else 0.0, f"class {i}") for i, each in reversed([*enumerate(ids)])
    ]
    path = tmp_path / "rows"
    source: CsvSource | JsonlSource
    if form.startswith("csv"):
        lines = [f"{a},{'' if b is None else b},{c or ''}\n" for a, b, c in cells]
        path.write_text("id,u,y\n" + "".join(lines))
        source = CsvSource(path, batch_size=size)
    else:
        records = [{"id": a, "u": b, "y": c} for a, b, c in cells]
        shown = [{k: v for k, v in r.items() if v is not None} for r in records]
        path.write_text("".join(f"{json.dumps(record)}\n" for record in shown))
        source = JsonlSource(path, batch_size=size)
    stage = LateLabels(100)
    joined = []
    for batch in stage(source):
        rows = batch.learnable()
        x = rows.x["number"] if rows.x.dtype.names else rows.x
        joined += [
            (value, source.labels.name(y))
            for value, y in zip(x[:, 0].tolist(), rows.y.tolist(), strict=True)
        ]
    assert joined == [(1.0 + i, f"class {i}") for i in reversed(range(len(ids)))]
    assert (stage.joined, len(stage)) == (len(ids), 0)


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_labels_of_arrays_come_without_the_array(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows.jsonl"
    images = [{"x": [[i, 0.5], [1, 2]], "id": f"{i:03d}"} for i in range(10)]
    given = [{"id": f"{i:03d}", "y": f"c{i % 2}"} for i in range(10)]
    lines = [json.dumps(each) for pair in zip(images, given, strict=True) for each in pair]
    path.write_text("\n".join(lines) + "\n")
    source = JsonlSource(path, batch_size=size)
    source.bare_labels = True
    rows = [batch.learnable() for batch in LateLabels()(source)]
    assert np.concatenate([each.x[:, 0, 0] for each in rows]).tolist() == list(range(10))
    assert source.put_aside.count == 0
    source = JsonlSource(path, batch_size=size)
    assert sum(len(batch) for batch in source) == 10  # else such lines are put aside


@pytest.mark.parametrize("size", [1, 3])
def test_numbers_in_json_join_their_digits(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows"
    path.write_text(
        '{"id": 5, "u": 1}\n{"id": "6", "u": 2}\n{"id": 7.0, "u": 3}\n'
        '{"id": 6, "u": 0, "y": "b"}\n{"id": "5", "u": 0, "y": "a"}\n{"id": 7, "u": 0, "y": "c"}\n'
    )
    stage = LateLabels(10)
    batches = list(stage(JsonlSource(path, batch_size=size)))
    assert np.concatenate([b.learnable().x[:, 0] for b in batches]).tolist() == [2, 1, 3]
    assert stage.joined == 3


def test_a_bounded_number_of_past_ids_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamreplay.ingest.late_labels._PAST", 3)
    stage = LateLabels(2)
    learned(stage, bare("a", "b", "c", "d", "e", "f"), labels("f", "a", "b", "f"))
    # of "a" to "d", which were given up, and "f" the last three are known
    assert stage.put_aside.reasons == {"label without event": 2}
    assert [*stage.state_dict()["past"]] == ["c", "d", "f"]


def test_an_old_label_does_not_bring_its_experience_back() -> None:
    first, second = bare("a", "b", experience=0), bare("c", start=2, experience=1)
    batches = list(LateLabels()([first, second, labels("a", start=3, experience=0)]))
    assert [batch.present_experience for batch in batches] == [0, 1, 1]
    assert batches[2].learnable().experience.tolist() == [0]  # by which a buffer groups it
    assert late_of(batches[2]).records.experience.tolist() == [1]
