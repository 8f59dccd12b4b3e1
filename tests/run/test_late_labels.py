"""Runs of streams whose labels come late: joined, counted, shown, and exact after any crash."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from streamreplay import build, data_path
from streamreplay.config import load_job
from streamreplay.errors import ConfigError
from streamreplay.log.lines import read_lines
from streamreplay.log.rows_text import latency_text
from streamreplay.log.schema import KINDS, LOGS
from streamreplay.reading.compare.comparison import compare_runs
from streamreplay.reading.compare.text import comparison_lines
from streamreplay.reading.inspect import inspect_path
from streamreplay.reading.live.state import RunState
from streamreplay.reading.live.tail import view_run
from streamreplay.reading.report import make_report, write_page
from streamreplay.run import RunOptions, run_job
from tests.run.runs import contents, run_through_crashes
from tests.run.test_crash import SETTINGS

Row = dict[str, Any]
N = 300
LATE = ["labels.late=true", "source.label=arrival", "source.time=scheduled"]
FEW = [*SETTINGS, "learner.slda_features=20"]


def flights() -> list[Row]:
    with gzip.open(data_path("flights.csv.gz"), "rt") as file:
        return list(csv.DictReader(file))[:N]


def in_event_time(rows: Sequence[Row]) -> list[Row]:
    """Return each flight without its label when it is due, and its label when it is known."""
    timed: list[tuple[str, int, Row]] = []
    for row in rows:
        event = {key: value for key, value in row.items() if key not in ("known_at", "arrival")}
        label = {"id": row["id"], "scheduled": row["known_at"], "arrival": row["arrival"]}
        timed += [(row["scheduled"], 0, event), (row["known_at"], 1, label)]
    return [row for *_, row in sorted(timed, key=lambda each: each[:2])]


def write(folder: Path, rows: Sequence[Row], form: str = "csv") -> Path:
    path = folder / f"rows.{form}"
    with path.open("w", newline="") as file:
        if form == "jsonl":
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
            return path
        names = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(out: Path, path: Path, settings: Sequence[str], *, quiet: bool = True) -> int:
    job = load_job(None, [f"source.path={path}", *settings])
    return run_job(job, RunOptions(out, quiet=quiet))


def records(out: Path, name: str = "metrics", kind: str = "") -> list[Row]:
    found = [json.loads(line) for line in read_lines(out, name)]
    return [record for record in found if not kind or record["kind"] == kind]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_all_rows_of_a_stream_in_event_time_are_learned(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, in_event_time(flights()), form)
    out = tmp_path / "out"
    run(out, path, [*FEW, *LATE])
    last = records(out, kind="rows")[-1]
    assert last["rows_in"] == last["learned"] == last["joined"] == last["label_records"] == N
    assert (last["pending"], last["repeated"], last["without_event"]) == (0, 0, 0)
    lines = records(out, "predictions")
    events = {line["position"]: line for line in lines if "event" not in line}
    labels = [line for line in lines if "event" in line]
    assert len(events) == len(labels) == N
    for label in labels:  # scored by the prediction of the event, however much was learned since
        event = events[label["event"]]
        assert event["position"] < label["position"]
        assert (event["label"], event["correct"]) == (None, None)
        for name in ("id", "prediction", "probability"):
            assert label[name] == event[name]
        assert label["correct"] == (label["prediction"] == label["label"])
    scores = records(out, kind="prequential")[-1]
    assert scores["rows"] == N
    assert scores["accuracy"] == np.mean([label["correct"] for label in labels])
    late = records(out, kind="labels")[-1]
    distance = [label["position"] - label["event"] for label in labels]
    assert late["latency_rows"]["mean"] == pytest.approx(np.mean(distance))
    assert late["latency_rows"]["max"] == max(distance)
    assert late["latency_seconds"]["mean"] > 3600
    for record in records(out):
        models = KINDS[record["kind"]]
        assert any(set(record) <= set(model.model_fields) for model in models)
    assert all(set(line) <= set(LOGS["predictions"][0].model_fields) for line in lines)


VARIANTS: dict[str, list[str]] = {
    "classes": LATE,
    "few are held": [*LATE, "labels.max_pending=40"],
    "held for an hour": [*LATE, "labels.max_age=3600"],
    "probe": [*LATE, "probe.share=0.2", "probe.every=100"],
    "drift": [*LATE, "drift.0.on=feature:distance", "drift.1.on=error"],
    "several": [*LATE, "learner=[{}, {}]", "learner.1.module=linear"],
    "shared": [*LATE, "learner=[{}, {}]", "buffer.shared=true", "learner.1.method=er"],
    "river": [
        *LATE,
        "learner.river=naive_bayes.GaussianNB()",
        "learner.allow_pickle=true",
        "features.exclude=['temp', 'wind*', 'carrier', 'tailnum', 'origin', 'dest']",
    ],
    "experiences": [*LATE, "experiences.by=count", "experiences.rows=150", "learner.method=lwf"],
    "number": ["labels.late=true", "source.target=delay"],
    "arrays": ["labels.late=true"],
    "delay": ["labels.delay=70", "source.label=arrival", "features.exclude=['known_at']"],
    "delay, river": [
        *("labels.delay=70", "source.label=arrival", "learner.allow_pickle=true"),
        "learner.river=naive_bayes.GaussianNB()",
        "source.features=['distance', 'humid', 'wind_gust']",  # with gaps: rows of a table
    ],
    "delay, watched": [
        *("labels.delay=33", "source.label=arrival", "features.exclude=['known_at']"),
        *("probe.share=0.2", "drift.0.on=error"),
    ],
}


PLAIN = (
    "several",
    "shared",
    "river",
    "delay, river",
    "experiences",
    "number",
)  # without FEW's settings of SLDA


def rows_of(variant: str) -> list[Row]:
    if variant.startswith("delay"):
        return flights()
    rows = in_event_time(flights())
    if variant == "arrays":
        return [
            {"id": row["id"], "y": row["arrival"]}
            if "arrival" in row
            else {"id": row["id"], "x": [[float(row["distance"]), 1.0], [2.0, 3.0]]}
            for row in rows
        ]
    if variant == "number":
        for row in rows:
            row.pop("temp", None)
            if "arrival" in row:
                row["delay"] = float(len(row.pop("arrival")))
    if variant in ("few are held", "classes"):
        rows += [*rows[-3:], {"id": "no such flight", "arrival": "late"}]
        rows.insert(9, {"distance": 1.0, "carrier": "XX"})  # it has no id
    return rows


@pytest.mark.parametrize("variant", VARIANTS)
def test_crash_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    path = write(tmp_path, rows_of(variant), "jsonl")
    own = [each for each in FEW if variant not in PLAIN or not each.startswith("learner.")]
    overrides = [f"source.path={path}", *own, *VARIANTS[variant]]
    whole = tmp_path / "whole"
    assert run_job(load_job(None, overrides), RunOptions(whole, quiet=True)) in (0, 3)
    expected = contents(whole)
    out = tmp_path / "out"
    run_through_crashes(out, overrides, monkeypatch, trust=True)
    found = contents(out)
    if "river" in variant:  # the same model can be pickled in different ways
        found, expected = (
            {name: log for name, log in each.items() if "checkpoints" not in name}
            for each in (found, expected)
        )
    assert found == expected
    last = records(out, kind="rows")[-1]
    fates = ("learned", "predicted_only", "withheld", "pending", "put_aside", "skipped")
    assert last["rows_in"] == sum(last[fate] for fate in fates)
    if "label_records" in last:
        parts = last["joined"] + last["repeated"] + last["without_event"]
        assert last["label_records"] == parts
        assert last["rows_in"] + last["joined"] + last["repeated"] == len(rows_of(variant))
    else:
        assert last["rows_in"] == N == last["learned"] + last["withheld"]


def test_what_became_of_labels_is_shown_everywhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, out = write(tmp_path, rows_of("few are held"), "jsonl"), tmp_path / "out"
    settings = [*FEW, *LATE, "labels.max_pending=40", "source.max_bad_share=1"]
    assert run(out, path, settings, quiet=False) == 0
    last = records(out, kind="rows")[-1]
    assert last["repeated"] == 3
    assert last["without_event"] == last["put_aside"] > 50
    assert last["given_up"] > 50
    shown = (
        f"{last['label_records']:,} labels = {last['joined']:,} joined + 3 repeated + "
        f"{last['without_event']:,} without event; {last['given_up']:,} events given up"
    )
    assert shown in " ".join(capfd.readouterr().err.split())
    letters = records(out, "dead_letters")
    assert len(letters) == last["without_event"]
    assert json.loads(letters[-1]["raw"]) == {"id": "no such flight", "label": "late"}
    assert letters[-1]["reason"] == "label without event"
    described = inspect_path(out)
    assert {k: v for k, v in described["rows"].items() if k in last} == {
        k: v for k, v in last.items() if k in described["rows"]
    }
    state = RunState(out)
    state.update()
    screen = Console(width=200, file=io.StringIO(), record=True)
    screen.print(view_run(state, now=0.0))
    lines = " ".join(screen.export_text().split())
    assert shown.replace(" = ", " ").replace(" + ", " ") in lines
    late = latency_text(records(out, kind="labels")[-1])
    assert late.replace(", ", " ") in lines
    assert late.startswith("median ")
    page = tmp_path / "page.html"
    write_page(make_report([out], None), page)
    assert shown in page.read_text()
    assert f"How late labels came: {late}." in page.read_text()


def test_too_many_labels_without_event_are_a_fault(tmp_path: Path) -> None:
    rows = in_event_time(flights())
    labels_first = sorted(rows, key=lambda row: "arrival" not in row)
    labels_first.insert(0, rows[0])
    path = write(tmp_path, labels_first)
    out = tmp_path / "out"
    assert run(out, path, [*FEW, *LATE]) == 3
    assert records(out, kind="rows")[-1]["learned"] <= 1


def test_the_same_rows_are_scored_with_any_delay(tmp_path: Path) -> None:
    path = write(tmp_path, flights())
    own = [*FEW, "source.label=arrival", "features.exclude=['known_at']"]
    lines, scores = [], []
    for delay in (0, 1, 60, 1000):
        out = tmp_path / f"{delay}"
        assert run(out, path, [*own, f"labels.delay={delay}"]) == 0
        lines.append([(line["position"], line["label"]) for line in records(out, "predictions")])
        scores.append(records(out, kind="prequential")[-1])
        last = records(out, kind="rows")[-1]
        assert (last["learned"], last["pending"]) == (N, 0)
    assert lines[0] == lines[1] == lines[2] == lines[3]
    table = list(comparison_lines(compare_runs([tmp_path / "0", tmp_path / "60"], resamples=100)))
    (known,) = (line.split() for line in table if line.startswith("last known"))
    assert known[2:4] == [
        f"{scores[0]['no_change']['accuracy']:.4f}",
        f"{scores[2]['last_known']['accuracy']:.4f}",
    ]
    assert any(line.split() == ["labels.delay", "0", "60"] for line in table)
    assert any("paired row by row" in line for line in table)
    assert all(each["no_change"] == scores[0]["no_change"] for each in scores)
    assert "last_known" not in scores[0]
    assert scores[3]["accuracy"] == scores[3]["last_known"]["accuracy"] == 0  # nothing was known
    truth = [label for _, label in lines[0]]
    for delay, each in ((1, scores[1]), (60, scores[2])):
        behind = delay + 1
        right = [a == b for a, b in zip(truth[:-behind], truth[behind:], strict=True)]
        hits = np.mean([False] * behind + right)
        assert each["last_known"]["accuracy"] == pytest.approx(hits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["labels.max_age=3.0"], "labels.max_age: goes with labels.late = true, got 3.0"),
        (["labels.late=true", "labels.delay=3"], "labels.delay: is for labels that come in time"),
        (["labels.late=true", "test.share=0.1"], "labels.late: goes without test.share"),
        (
            ["labels.late=true", "source.split.n_experiences=2"],
            "labels.late: goes without source.split",
        ),
    ],
)
def test_settings_that_do_not_go_together(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(load_job(None, [*settings, f"source.path={data_path('digits.npz')}"]))


def test_a_stream_without_ids_is_refused(tmp_path: Path) -> None:
    rows = [{"flight_id": row["id"], **row} for row in in_event_time(flights())]
    for row in rows:
        del row["id"]
    path = write(tmp_path, rows)
    with pytest.raises(
        ConfigError, match=r"^labels.late: the first record has no id .* source.id$"
    ):
        run(tmp_path / "out", path, [*FEW, *LATE])
    assert run(tmp_path / "named", path, [*FEW, *LATE, "source.id=flight_id"]) == 0
