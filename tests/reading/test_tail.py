from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.reading.live.state import RetentionState, RunState
from streamreplay.reading.live.tail import show_once, tail_run, view_run
from streamreplay.reading.live.view import View, print_view
from streamreplay.reading.status import run_status
from tests.reading.logs import buffer, dependent, drift, dump, make_run, retention, timing

LABELS = np.random.default_rng(0).integers(0, 3, 1000)
HITS = dependent(1000, 0.75, 0.5, seed=1)


def events(run: Path, *messages: str) -> None:
    lines = (f"2026-01-02T03:04:05.678Z {message}\n" for message in messages)
    (run / "events.log").write_text("".join(lines))


def whole_run(folder: Path) -> Path:
    """Return a run with a record of everything that a log can hold."""
    run = make_run(folder / "run", {"": HITS}, LABELS)
    kept = [
        retention(300, {"cat": 0.9, "dog": 0.5, "emu": 0.75}),
        retention(600, {"cat": 0.4, "dog": 0.6, "emu": 0.5}),
        retention(900, {"cat": 0.65, "dog": 0.7, "emu": 0.5}),
    ]
    found = [drift(310, level="warning"), *(drift(320 + 10 * i) for i in range(4))]
    stored = [buffer(1000, {"cat": 30, "dog": 50, "emu": 20})]
    dump(run / "metrics.jsonl", [*kept, *found, *stored], append=True)
    dump(run / "timings.jsonl", [timing(500, 900.0), timing(1000, 990.0)])
    events(run, "start", "checkpoint at row 1000")
    return run


def shown(run: Path, width: int = 100, now: float = 1000.0, **options: Any) -> str:
    state = RunState(run)
    state.update()
    return render(view_run(state, now, **options), width)


def render(view: View, width: int, **options: Any) -> str:
    file = io.StringIO()
    print_view(Console(file=file, width=width, highlight=False, markup=False, **options), view)
    return file.getvalue()


def line(text: str, label: str) -> str:
    (found,) = (each for each in text.splitlines() if each.startswith(label))
    return found[len(label) :].strip()


def test_everything_is_shown(tmp_path: Path) -> None:
    text = shown(whole_run(tmp_path))
    window = HITS[900:].mean()
    assert text.splitlines()[0] == "run  killed"
    assert line(text, "row") == "1,000  last record 10 s ago"
    scores = line(text, "accuracy")
    assert scores.startswith(f"{window:.4f} in window  ")
    assert scores.endswith(f"{HITS.mean():.4f} so far")
    assert len(re.findall("[▁▂▃▄▅▆▇█]", scores)) == 10
    assert line(text, "  baselines") == (
        "repeating the last label 0.2500  the most frequent class 0.5000"
    )
    assert line(text, "probe") == "0.6167 retained  █▁▅  class forgetting 0.1250  at row 900"
    assert line(text, "forgotten") == "cat -0.25  emu -0.25"
    assert line(text, "weakest") == "emu 0.50  cat 0.65  dog 0.70"
    last = [each for each in text.splitlines() if each.startswith("drift")]
    assert [each.split()[4] for each in last] == ["350", "340", "330"]
    assert "drift  at row 350  errors (ADWIN on error)  -> new_experience, replay(2)" in last[0]
    assert line(text, "buffer") == "100 of 1,000 rows  3 classes  dog: 50  cat: 30  emu: 20"
    assert line(text, "replay ") == "2,000 rows  2.00 for each row that came"
    assert line(text, "batch") == (
        "p50 3.2 ms  p99 9.8 ms  learner 62%  source 12%  buffer 6%  memory 512 MiB"
    )


def test_a_baseline_that_is_better_is_marked(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"": HITS & False}, LABELS)
    assert line(shown(run), "  baselines") == (
        "repeating the last label 0.2500, better  the most frequent class 0.5000, better"
    )


def test_classes_are_told_by_the_test_set_if_there_is_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"": HITS}, LABELS)
    rounds = [
        retention(position, {"cat": cat, "dog": dog}, sample=sample)
        for position, sample, cat, dog in (
            (100, "probe", 1.0, 1.0),
            (100, "test", 0.9, 0.8),
            (900, "probe", 0.1, 0.2),
            (900, "test", 0.6, 0.7),
        )
    ]
    dump(run / "metrics.jsonl", rounds, append=True)
    text = shown(run)
    assert line(text, "forgotten") == "cat -0.30  dog -0.10"
    assert line(text, "weakest") == "cat 0.60  dog 0.70"


def test_several_learners_have_a_line_each(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"er": HITS, "none": ~HITS}, LABELS)
    kept = [retention(1000, {"cat": 0.75}, learner="er", sample="test")]
    dump(run / "metrics.jsonl", [*kept, buffer(1000, {"cat": 9}, learner="er")], append=True)
    text = shown(run, width=130)
    assert line(text, "er").startswith(f"{HITS[900:].mean():.4f} in window")
    assert line(text, "er").endswith(
        f"{HITS.mean():.4f} so far  0.7500 retained  class forgetting 0.1250  replayed 2,000"
    )
    assert line(text, "none").endswith(f"{1 - HITS.mean():.4f} so far  replayed 2,000")
    assert line(text, "baselines") == (
        "repeating the last label 0.2500  the most frequent class 0.5000"
    )
    assert line(text, "buffer") == "er  9 of 1,000 rows  1 class  cat: 9"
    dump(run / "metrics.jsonl", [buffer(1000, {"cat": 7})], append=True)
    assert line(shown(run), "buffer") == "7 of 1,000 rows  1 class  cat: 7"
    without = {key: value for key, value in buffer(1000, {"": 8}).items() if key != "by_class"}
    dump(run / "metrics.jsonl", [without, {"learner": "er", **drift(990)}], append=True)
    assert line(shown(run), "buffer") == "8 of 1,000 rows"
    assert line(shown(run), "drift").startswith("er  drift  at row 990")


def test_numbers_are_shown_by_their_errors(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    dump(
        run / "metrics.jsonl",
        [
            {
                "kind": "prequential",
                "v": 1,
                "position": 10 * i,
                "rows": 10 * i,
                "mae": 20.0 / i,
                "mae_window": 10.0 / i,
                "no_change": {"mae": 1.0, "mae_window": 1.5},
                "mean": {"mae": None, "mae_window": None},
                "replayed": 0,
            }
            for i in range(1, 6)
        ],
    )
    text = shown(run)
    assert line(text, "mae") == "2.0000 in window  █▄▂▁▁  4.0000 so far"
    assert line(text, "  baselines") == "repeating the last number 1.5000, better"


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    run = whole_run(tmp_path / ("x" * 200))
    dump(run / "metrics.jsonl", [retention(1000, {"猫" * 30: 0.5, "a" * 90: 0.6})], append=True)
    text = shown(run, width, moving=True)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "is printed after Ctrl-C" in " ".join(text.split())
    assert ("…" in text) == (width < 100)  # names that are too long are cut, not wrapped
    if width >= 40:
        assert "in window" in text


@pytest.mark.parametrize("width", [20, 80])
def test_a_command_to_copy_is_one_line(tmp_path: Path, width: int) -> None:
    run = whole_run(tmp_path)
    lines = shown(run, width).splitlines()
    assert [each for each in lines if cell_len(each) > width] == [
        f"streamreplay run --resume --out {run}"
    ]
    assert f"streamreplay run --resume --out {run}" in shown(run, 300, moving=True).splitlines()


def test_names_cannot_talk_to_the_terminal(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    dump(run / "metrics.jsonl", [retention(1000, {"\x1b[2Jx": 0.1, "b\nc": 0.2})], append=True)
    text = shown(run)
    assert "\x1b" not in text
    assert r'"\u001b[2Jx" 0.10' in text
    assert r'"b\nc" 0.20' in text
    dump(run / "metrics.jsonl", [retention(1100, {"\x1b[2Jx": 0.05, "b\nc": 0.2})], append=True)
    assert r'"\u001b[2Jx" -0.05' in shown(run)


def test_colours_and_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = RunState(whole_run(tmp_path))
    state.update()
    monkeypatch.delenv("NO_COLOR", raising=False)
    view = view_run(state, 1000.0)
    assert "\x1b[36m" in render(view, 100, force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = render(view, 100, force_terminal=True, color_system="standard")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)


def test_a_terminal_without_blocks_gets_ascii(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = whole_run(tmp_path)
    dump(run / "metrics.jsonl", [retention(1000, {"猫": 0.5, "emu": 0.6})], append=True)
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    show_once(run)
    sys.stdout.flush()
    text = raw.getvalue().decode("ascii")
    assert re.search(r"in window  [_.\-=*#]{10}  ", text)
    assert "? 0.50  emu 0.60" in text


def test_records_are_followed_and_forgotten_when_the_log_was_cut(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    state = RunState(run)
    state.update()
    log = run / "metrics.jsonl"
    written = log.read_bytes()
    dump(log, [retention(1100, {"cat": 0.2}), drift(1100)], append=True)
    state.update()
    learner = state.stream.learners[""]
    assert state.stream.position == 1100
    ((name, fall),) = learner.retained["probe"].forgotten()
    assert name == "cat"
    assert fall == pytest.approx(0.7)
    log.rename(run / "metrics.000001.jsonl")  # the log goes on in another file
    dump(log, [retention(1200, {"cat": 0.95})])
    state.update()
    assert (state.stream.position, learner.retained["probe"].forgotten()) == (1200, [])
    (run / "metrics.000001.jsonl").write_bytes(b"".join(written.splitlines(keepends=True)[:5]))
    log.unlink()
    (run / "metrics.000001.jsonl").rename(log)  # resumed from a checkpoint of long ago
    state.update()
    assert state.stream.position == 500
    assert state.stream.learners[""].retained == {}
    assert not state.stream.drifts


RESUME = "resume with: streamreplay run --resume --out out"


@pytest.mark.parametrize(
    ("messages", "state", "checkpoint"),
    [
        ((), "not begun", None),
        (("start",), "killed", None),
        (("start", "features: a, b"), "killed", None),
        (("start", "checkpoint at row 300"), "killed", 300),
        (("start", "checkpoint at row 900", "end of the stream at row 900"), "finished", 900),
        (
            ("start", "end of the stream at row 90", "warning: no row had a label"),
            "finished",
            90,
        ),
        (("start", f"stopped by SIGINT at row 1,200; {RESUME}"), "stopped", None),
        (("start", "standard output was closed by its reader"), "stopped", None),
        (("start", "checkpoint at row 7", "failed: OSError(28)"), "failed", 7),
        (
            ("start", "failed: OSError(28)", "resume at row 200 from ckpt-000000000200"),
            "killed",
            200,
        ),
        (("start", "end of the stream at row 9", "resume at row 9 from ckpt-9"), "killed", 9),
        (
            (
                "start",
                "end of the stream at row 9",
                "resume at row 9 from ckpt-9",
                "the run is complete: 9 rows, nothing new",
            ),
            "finished",
            9,
        ),
        (("start", *(f"checkpoint at row {i}" for i in range(5000))), "killed", 4999),
    ],
)
def test_states_of_a_run_that_nobody_runs(
    tmp_path: Path, messages: tuple[str, ...], state: str, checkpoint: int | None
) -> None:
    if messages:
        events(tmp_path, *messages)
    found = run_status(tmp_path)
    assert (found.state, found.checkpoint) == (state, checkpoint)
    FileLock(tmp_path / ".lock").acquire().lock.release()  # ran once
    assert run_status(tmp_path).state == state


def test_a_run_that_goes_on_holds_its_lock(tmp_path: Path) -> None:
    events(tmp_path, "start", "stopped by SIGINT at row 9")
    with FileLock(tmp_path / ".lock", thread_local=False):
        assert run_status(tmp_path).state == "running"
    assert run_status(tmp_path).state == "stopped"


def test_asking_makes_no_lock_file_and_keeps_none(tmp_path: Path) -> None:
    run_status(tmp_path)
    assert not [*tmp_path.iterdir()]
    with FileLock(tmp_path / ".lock"):
        pass
    run_status(tmp_path)
    with FileLock(tmp_path / ".lock", timeout=0):
        pass


def test_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = whole_run(tmp_path)
    show_once(run)
    first = capsys.readouterr().out
    assert first.splitlines()[1:4] == [
        "continues from row 1,000; resume with the same input again, or --continue and ",
        "what comes next:",
        f"streamreplay run --resume --out {run}",
    ]
    assert tail_run(run) == 0  # no terminal here
    assert capsys.readouterr().out.splitlines()[0] == first.splitlines()[0] == "run  killed"
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "job.toml").write_text("seed = 0\n")
    show_once(empty)
    assert capsys.readouterr().out.splitlines() == [
        "empty  not begun",
        "row          0",
        "no record yet",
    ]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="there is no such folder"):
        show_once(tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="is no run folder"):
        show_once(tmp_path / "other")
    for interval in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"--interval: must be at least 0\.1, got"):
            tail_run(tmp_path, interval)


@given(st.lists(st.sampled_from(["cat", "dog"]), max_size=8), st.integers(0, 99))
def test_forgotten_is_best_less_now(names: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    each = RetentionState()
    history: dict[str, list[float]] = {}
    for i, name in enumerate(names):
        values = {name: float(rng.random()), "emu": float(rng.random())}
        each.add(retention(i, values))
        for key, value in values.items():
            history.setdefault(key, []).append(value)
    now = dict(each.by_class())
    expected = {key: max(history[key]) - value for key, value in now.items()}
    assert dict(each.forgotten()) == {key: fall for key, fall in expected.items() if fall > 0}
