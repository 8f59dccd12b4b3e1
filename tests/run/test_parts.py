"""The small parts of a run: logs, records, signals, the clock, progress."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.config.job import Emit
from streamreplay.errors import StreamReplayError
from streamreplay.labels import Labels
from streamreplay.log.lines import dump_line
from streamreplay.log.records import named_record, prediction_lines
from streamreplay.log.score_table import compare, keep_last
from streamreplay.reading.run import Run
from streamreplay.records import Report, Scored
from streamreplay.run import event_log
from streamreplay.run.clock import Clock
from streamreplay.run.event_log import EventLog
from streamreplay.run.output import OutputClosed, StandardOutput
from streamreplay.run.progress import choose_output, make_progress
from streamreplay.run.signals import StopSignals


def test_events_carry_the_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.log")
    log.write("start")
    log.close()
    stamp, event = (tmp_path / "events.log").read_text().split()
    assert stamp.endswith("Z")
    assert event == "start"


def test_output_that_nobody_reads_is_closed() -> None:
    reader, writer = os.pipe()
    output = StandardOutput(writer)
    output.write(b"line\n")
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)
    with pytest.raises(OutputClosed):
        output.write(b"line\n")
    os.close(writer)


def test_output_that_cannot_be_written_is_named() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StreamReplayError, match=r"^standard output: cannot be written: No space"):
        StandardOutput(full).write(b"line\n")
    os.close(full)


def test_events_do_not_hide_why_a_run_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    unbuffered = partial(Path.open, mode="ab")
    monkeypatch.setattr(event_log, "open_to_append", unbuffered)
    log = EventLog(Path("/dev/full"))
    log.write("failed: the disk is full")
    log.close()


def test_long_output_is_written_whole() -> None:
    reader, writer = os.pipe()
    text, got = b"x" * 1_000_000, bytearray()

    def read() -> None:
        while part := os.read(reader, 1 << 16):
            got.extend(part)

    thread = threading.Thread(target=read)
    thread.start()
    StandardOutput(writer).write(text)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert bytes(got) == text


def test_records_name_their_classes() -> None:
    record = {
        "kind": "prequential",
        "by_class": {1: {"rows": 3}, 0: {"rows": 1}},
        "by_task": {5: 1},
    }
    line = json.loads(dump_line(named_record(record, Labels(["cat", 7]))))
    assert line == {
        "kind": "prequential",
        "v": 1,
        "by_class": {"7": {"rows": 3}, "cat": {"rows": 1}},
        "by_task": {"5": 1},
    }
    assert json.loads(dump_line({"a": float("nan")})) == {"a": None}


def test_a_row_without_an_id_has_none_beside_rows_that_have_one() -> None:
    batch = Batch.from_arrays([[0.0], [1.0]], [0, 0], id=["a", ""], labels=Labels(["cat"]))
    scored = Scored(batch, np.array([0, 0]), np.ones(2, "f4"), np.zeros(2, "f4"))
    lines = prediction_lines(scored)
    assert [json.loads(line)["id"] for line in lines] == ["a", None]


def test_predictions_by_name() -> None:
    x, y, names = [[0.0], [1.0], [2.0]], [0, -1, 1], Labels(["cat", 9])
    batch = Batch.from_arrays(x, y, start=7, id=["a", "b", "c"], labels=names)
    scored = Scored(
        batch, np.array([-1, 0, 1]), np.array([np.nan, 0.1, 0.7], np.float32), np.zeros(3, "f4")
    )
    first, second, third = map(json.loads, prediction_lines(scored))
    assert first == {
        "position": 7, "id": "a", "prediction": None, "probability": None, "label": "cat",
        "correct": False,
    }  # fmt: skip
    assert second["label"] is None
    assert second["correct"] is None
    assert second["probability"] == 0.1  # float32's own digits
    assert (third["prediction"], third["label"], third["correct"]) == (9, 9, True)
    unnamed = replace(scored, incoming=replace(batch, labels=None))
    lines = list(map(json.loads, prediction_lines(unnamed)))
    assert [(line["prediction"], line["label"]) for line in lines] == [(None, 0), (0, None), (1, 1)]


def test_signals_are_noted_and_handlers_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        assert not signals.requested()
        assert signals.exit_code == 0
        signal.raise_signal(signal.SIGTERM)
        assert signals.requested()
        assert signals.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert not signals.requested()
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_second_signal_ends_the_process() -> None:
    script = (
        "import signal\nfrom streamreplay.run.signals import StopSignals\n"
        "with StopSignals():\n"
        "    signal.raise_signal(signal.SIGINT)\n    signal.raise_signal(signal.SIGINT)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 130


def test_threads_may_run_jobs_too() -> None:
    codes: list[int] = []

    def run() -> None:
        with StopSignals() as signals:
            codes.append(signals.exit_code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0]


def test_the_clock_measures_each_interval_alone() -> None:
    clock = Clock(position=100)
    clock.arrived()
    batch, nothing = Batch.from_arrays([[1.0]]), np.zeros(1, np.float32)
    clock.learned(Report(Scored(batch, np.zeros(1, np.int64), nothing, nothing, 5, throttled=3)))
    clock.learned(Report(None))
    clock.written()
    assert not clock.idle
    first = clock.lap(164)
    assert clock.idle
    assert (first["replayed"], first["throttled"]) == (5, 3)
    assert first["position"] == 164
    assert first["rows_per_s"] > 0
    assert 0 < first["latency_ms"]["p50"] <= first["latency_ms"]["p99"]
    assert 0 <= first["share"]["source"] + first["share"]["stages"] <= 1.01
    second = clock.lap(164)
    assert second["rows_per_s"] == 0
    assert second["latency_ms"] == {"p50": 0.0, "p99": 0.0}
    assert (second["replayed"], second["throttled"], clock.throttled) == (0, 0, 3)
    one, other = (
        Scored(batch, np.zeros(1, np.int64), nothing, nothing, k, throttled=1) for k in (2, 40)
    )
    clock.learned(Report(one, by_learner={"one": one, "other": other}))
    third = clock.lap(165)
    assert (third["replayed"], third["throttled"], clock.throttled) == (42, 2, 5)


def test_plain_progress_is_messages_only_at_first(capfd: pytest.CaptureFixture[str]) -> None:
    progress = make_progress(quiet=False)
    progress.show(10, {"accuracy": 0.5}, 3)
    progress.say("hello")
    progress.close("finished")
    assert capfd.readouterr().err == "streamreplay: hello\n"


class Shown:
    """A table that notes how it was opened."""

    opened: tuple[str, int | None] | None = None

    def open(self, name: str, total: int | None) -> None:
        self.opened = (name, total)

    def record(self, records: object, timing: object) -> None: ...
    def show(self, position: int, scores: object, buffered: int | None) -> None: ...
    def say(self, message: str) -> None: ...
    def close(self, outcome: str) -> None: ...


@pytest.mark.parametrize(
    ("emit", "terminal", "quiet", "goes_out", "is_shown"),
    [
        ("auto", True, False, "none", True),
        ("auto", True, True, "none", False),
        ("auto", False, False, "metrics", False),
        ("auto", False, True, "metrics", False),
        ("metrics", True, False, "metrics", False),
        ("predictions", True, False, "predictions", False),
        ("none", True, False, "none", False),
    ],
)
def test_what_goes_to_standard_output(
    emit: Emit, goes_out: Emit, *, terminal: bool, quiet: bool, is_shown: bool
) -> None:
    table = Shown()
    found, progress = choose_output(
        emit, table if terminal else None, quiet=quiet, name="rows.csv", total=9
    )
    assert found == goes_out
    assert (progress is table) == is_shown
    assert table.opened == (("rows.csv", 9) if is_shown else None)


def test_plain_progress_comes_now_and_then(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = make_progress(quiet=False)
    for now in (1.0, 2.0, 11.0, 12.0):
        progress.show(int(1000 + 100 * now), {"accuracy": 0.5}, 3)
    assert capfd.readouterr().err == (
        "streamreplay: 2,100 rows, 100 rows/s, accuracy 0.500, buffer 3\n"
    )


@pytest.mark.parametrize(
    ("order", "kept"),
    [("tp", 0), ("pt", 1), ("ptp", 1), ("tptp", 2), ("pp", 1), ("tt", 1), ("ptt", 2)],
)
def test_retention_is_that_of_the_test_set(tmp_path: Path, order: str, kept: int) -> None:
    """Of the last of its records, or of the probe's where there is none; never of both in turn."""
    samples = {"t": "test", "p": "probe"}
    records = [
        {"kind": "retention", "v": 1, "position": at, "sample": samples[letter], "accuracy": at / 4}
        for at, letter in enumerate(order)
    ]
    last: dict[str, dict[str, dict[str, Any]]] = {}
    for record in records:
        keep_last(last, record)
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(map(dump_line, records)))
    (learner,) = Run(tmp_path).learners()
    assert learner.last == last[""] == {"retention": records[kept]}
    assert compare(last)[0][1] == ("retained" if "t" in order else "retained (probe)")
