"""Advice is given where a log has the cause, with its figure, and not where it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamreplay.reading.report import make_report
from streamreplay.reading.report.advice import advice
from streamreplay.reading.report.curves import read_curves
from tests.reading.made import Made, retention, write_run

Records = list[dict[str, Any]]

HEALTHY = Made([*"abcd"], accuracy=0.9, kept=0.99, baseline=0.5)
SUM = {"kind": "rows", "v": 1, "position": 4000, "rows_in": 4000, "learned": 4000}
SUM |= {"put_aside": 0, "skipped": 0, "put_aside_share": 0.0}
LATE = SUM | {"label_records": 3000, "joined": 2500, "repeated": 0, "without_event": 500}
LATE |= {"given_up": 600, "put_aside": 500}


def given(folder: Path, records: Records, job: str = "seed = 0\n", **more: Any) -> list[str]:
    (learner,) = read_curves(write_run(folder, records, job=job, **more))
    return [text.replace("\xa0", " ") for text in advice(learner)]


def healthy(**changes: Any) -> Records:
    """Return a log that calls for no change, but for some fields of its last prequential record."""
    records = HEALTHY.records(drifts=False, probe=False)
    return [*records, {**HEALTHY.prequential(4000), **changes}]


def test_a_log_without_a_cause_has_no_advice(tmp_path: Path) -> None:
    records = [*healthy(), SUM]
    assert given(tmp_path / "run", records, timings=HEALTHY.timings()) == []
    report = make_report([tmp_path / "run"])
    (section,) = [each for each in report.sections if each.name == "change"]
    assert section.points == []
    assert "Nothing in the log calls for a change." in section.missing[0]


def test_a_short_log_of_an_older_version_has_none(tmp_path: Path) -> None:
    record = {"kind": "prequential", "position": 9, "experience": 0, "rows": 9, "accuracy": 0.5}
    assert given(tmp_path / "run", [record], job="broken =") == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"put_aside": 100, "put_aside_by_reason": {"not UTF-8": 30, "line has N cells": 70}},
            "100 of 4,000 rows (2.5 %) were put aside, most often since: line has N cells.",
        ),
        ({"put_aside": 39, "put_aside_by_reason": {"not UTF-8": 39}}, ""),
        (
            {"misfits": {"a": 39, "b": 40, "c": 900}},
            "of 4,000 rows, the values 900 of c and 40 of b did not fit",
        ),
        ({"misfits": {"a": 39}}, ""),
        (
            {"skipped": 320},
            "Lower `learner.lr` (now 0.5), or set `learner.clip_grad_norm`: the loss of 320 of",
        ),
    ],
)
def test_rows_that_are_lost(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    found = given(tmp_path / "run", [*healthy(), SUM | changes], "[learner]\nlr = 0.5\n")
    assert len(found) == bool(expected)
    assert expected in " ".join(found)


def test_labels_whose_events_were_given_up(tmp_path: Path) -> None:
    job = "[labels]\nlate = true\nmax_pending = 2000\n"
    latency = {"mean": 9.0, "median_window": 9.0, "q90_window": 9.0, "max": 12_000.0}
    labels = {"kind": "labels", "v": 1, "position": 4000, "pending": 9, "latency_rows": latency}
    (found,) = given(tmp_path / "run", [*healthy(), LATE, labels], job)
    assert found == (
        "Raise `labels.max_pending` (now 2,000): 600 events were given up before their label came, "
        "and 500 of 3,000 labels found no event. Labels came up to 12,000 rows late."
    )
    # labels without an event that no limit has given up are a fault of the stream
    (found,) = given(
        tmp_path / "other", [*healthy(), LATE | {"given_up": 0, "put_aside": 600}], job
    )
    assert "100 of 4,000 rows (2.5 %) were put aside" in found


@pytest.mark.parametrize(("loss", "said"), [(1.5, True), (1.3, False)])
def test_a_loss_above_that_of_knowing_nothing(tmp_path: Path, loss: float, said: bool) -> None:
    found = given(tmp_path / "run", healthy(loss_window=loss), "[learner]\nlr = 0.5\n")
    assert len(found) == said
    if said:  # of four classes: ln 4 is 1.386
        assert found[0].startswith("Try a lower `learner.lr` (now 0.5): over the last 1,000")
        assert "the log loss is 1.5, and giving each of the 4 classes" in found[0]
        assert "would have 1.39." in found[0]
    job = '[learner]\nriver = "forest.ARFClassifier(seed=1)"\n'  # has no learning rate
    assert given(tmp_path / "river", healthy(loss_window=loss), job) == []


@pytest.mark.parametrize(
    ("overall", "window", "said"),
    [(0.4, 0.4, True), (0.9, 0.4, True), (0.4, 0.9, False), (0.9, 0.9, False)],
)
def test_a_model_that_a_baseline_beats_now(
    tmp_path: Path, overall: float, window: float, said: bool
) -> None:
    found = given(tmp_path / "run", healthy(accuracy=overall, accuracy_window=window))
    assert len(found) == said
    if said:
        assert (
            "over the last 1,000 labelled rows its accuracy is 40.0 %, and that of repeating the "
            "last label is 50.0 %."
        ) in found[0]


def forgetting(stored: dict[str, int], **buffer: Any) -> Records:
    """Return a log with class a forgotten, and what the buffer held of each class."""
    first = retention(1000, dict.fromkeys("abcd", 0.9))
    last = retention(4000, {"a": 0.2, "b": 0.9, "c": 0.9, "d": 0.9})
    by_class = {name: {"rows": n, "median_age": 9.0, "replayed": n} for name, n in stored.items()}
    rows = sum(stored.values())
    contents = {"rows": rows, "max_size": rows, "by_class": by_class, **buffer}
    return [HEALTHY.prequential(4000), first, last, {**HEALTHY.buffer(4000), **contents}]


FELL = "on the test set, class a fell from 90.0 % to 20.0 %"


@pytest.mark.parametrize(
    ("stored", "kind", "begins", "ends"),
    [
        (
            {"a": 10, "b": 300, "c": 300, "d": 390},
            "reservoir",
            "Store as many rows of each class, set `buffer.kind` (now reservoir) to",
            "10 of 1,000 stored rows are its (1.0 %).",
        ),
        (
            {"b": 300, "c": 300, "d": 400},
            "reservoir",
            "Store as many rows of each class,",
            "0 of 1,000 stored rows are its (0 %).",
        ),
        (
            {"a": 50, "b": 50, "c": 50, "d": 50},
            "class_balanced",
            "Raise `buffer.max_size` (now 1,000): ",
            "50 of 200 stored rows are its (25.0 %); the buffer is full.",
        ),
        (
            {"a": 250, "b": 250, "c": 250, "d": 250},
            "class_balanced",
            "Rehearse more, with `mixer.batch_size_mem` or `mixer.steps` (now 3): ",
            "(25.0 %); 3 memory rows were learned for each row that came.",
        ),
    ],
)
def test_a_class_is_forgotten_for_what_the_buffer_held(
    tmp_path: Path, stored: dict[str, int], kind: str, begins: str, ends: str
) -> None:
    records = forgetting(stored)
    (found,) = given(tmp_path / "run", records, f'[buffer]\nkind = "{kind}"\n')
    assert found.startswith(begins)
    assert found.endswith(ends)
    assert FELL in found


def test_a_rare_class_in_a_balanced_buffer_calls_for_no_change(tmp_path: Path) -> None:
    records = forgetting({"a": 10, "b": 300, "c": 300, "d": 390})
    assert given(tmp_path / "run", records, '[buffer]\nkind = "class_balanced"\n') == []


def test_what_the_buffer_held_of_a_class_may_not_be_known(tmp_path: Path) -> None:
    records = forgetting({"b": 300, "c": 300, "d": 400}, classes_not_listed=7)
    assert given(tmp_path / "run", records) == []
    no_buffer = [each for each in records if each["kind"] != "buffer"]
    assert given(tmp_path / "none", no_buffer) == []


def test_nothing_was_replayed(tmp_path: Path) -> None:
    job = '[buffer]\nkind = "none"\n'
    records = [each for each in forgetting({}) if each["kind"] != "buffer"]
    records[0]["replayed"] = 0
    (found,) = given(tmp_path / "run", records, job)
    assert found == (
        "Replay stored rows, see `buffer.kind` (now none) and `mixer.batch_size_mem`: "
        f"{FELL}, and nothing was replayed."
    )
    assert given(tmp_path / "kept", [{**HEALTHY.prequential(4000), "replayed": 0}], job) == []


def test_a_fall_in_few_rows_of_a_probe_may_be_chance(tmp_path: Path) -> None:
    def rounds(rows: int) -> Records:
        found = [
            retention(position, {"a": accuracy, "b": 0.9}, sample="probe")
            for position, accuracy in ((1000, 1.0), (4000, 0.8))
        ]
        for each in found:
            each["rows"] = 400
            each["by_class"]["a"]["rows"] = rows
        return [{**HEALTHY.prequential(4000), "replayed": 0}, *found]

    assert given(tmp_path / "few", rounds(10)) == []
    (found,) = given(tmp_path / "many", rounds(200))
    assert "on the probe, class a fell from 100 % to 80.0 %" in found


@pytest.mark.parametrize(
    ("throttled", "forgotten", "expected"),
    [
        (250, False, "Raise `learner.replay_budget` (now 0.3), or draw fewer rows"),
        (100, False, ""),
        (0, False, ""),
        (0, True, "There is time for more rehearsal: `learner.replay_budget` (now 0.3) left out 0"),
    ],
)
def test_a_budget_for_rehearsal(
    tmp_path: Path, throttled: int, forgotten: bool, expected: str
) -> None:
    timings = [{**each, "throttled": throttled} for each in HEALTHY.timings()]
    records = forgetting({"a": 50, "b": 50}, max_size=9999) if forgotten else healthy()
    job = "[learner]\nreplay_budget = 0.3\n"
    found = given(tmp_path / "run", records, job, timings=timings)
    assert len(found) == bool(expected)
    assert expected in " ".join(found)
    if throttled == 250:  # 1,500 are replayed in each interval
        assert "of 14,000 memory rows drawn, 2,000 (14.3 %) were left out" in found[0]
    assert not [
        each for each in given(tmp_path / "none", records, timings=timings) if "budget" in each
    ]


@pytest.mark.parametrize(("never", "said"), [(150, True), (60, False)])
def test_stored_rows_that_were_never_replayed(tmp_path: Path, never: int, said: bool) -> None:
    buffer = HEALTHY.buffer(4000)
    buffer["replays"] = {**buffer["replays"], "never": never}
    found = given(tmp_path / "run", [*healthy(), buffer])
    assert len(found) == said
    if said:
        assert "150 of 200 stored rows were never replayed." in found[0]


@pytest.mark.parametrize(
    ("window", "actions", "level", "said"),
    [
        (0.62, [], "drift", True),
        (0.62, ["forget(200)"], "drift", False),
        (0.87, [], "drift", False),  # it has recovered
        (0.62, [], "warning", False),
    ],
)
def test_a_drift_that_did_harm_and_set_off_nothing(
    tmp_path: Path, window: float, actions: list[str], level: str, said: bool
) -> None:
    drift = HEALTHY.drift(2600, level) | {"before": 0.1, "after": 0.4, "actions": actions}
    found = given(tmp_path / "run", [*healthy(accuracy_window=window), drift])
    assert len(found) == said
    if said:
        assert (
            "at row 2,600 the error rose from 10.0 % to 40.0 %, it is 38.0 % over the last 1,000"
        ) in found[0]


@pytest.mark.parametrize(("rows", "said"), [(63, True), (400, False)])
def test_a_probe_of_few_rows(tmp_path: Path, rows: int, said: bool) -> None:
    last = retention(4000, {"a": 0.8, "b": 0.8}, sample="probe") | {"rows": rows}
    found = given(tmp_path / "run", [HEALTHY.prequential(4000), last], "[probe]\nshare = 0.01\n")
    assert len(found) == said
    if said:
        assert found[0] == (
            "Raise `probe.share` (now 0.01): the probe has 63 rows at the end, so its accuracy of "
            "80.0 % may be 10.1 points off (two standard errors)."
        )


def test_learners_of_one_run_share_what_is_said_of_its_rows(tmp_path: Path) -> None:
    lost = SUM | {"put_aside": 100, "put_aside_by_reason": {"not UTF-8": 100}, "first_line": 3}
    made = [Made([*"abcd"], kept=0.99, learner=name) for name in ("x", "y")]
    records = [each for one in made for each in one.records(drifts=False, probe=False)]
    job = '[[learner]]\nname = "x"\n[[learner]]\nname = "y"\n'
    run = write_run(tmp_path / "run", [*records, lost], job=job)
    (section,) = [each for each in make_report([run]).sections if each.name == "change"]
    (point,) = section.points
    assert point.startswith("x, y: Mend the input")
