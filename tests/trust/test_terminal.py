"""What comes from data talks to no terminal, log of events or spreadsheet."""

import csv
import json
import os
import pty
import shutil
from pathlib import Path

import pytest

from streamreplay.plain_text import unformulated, visible
from streamreplay.run.event_log import EventLog
from streamreplay.run.output import StandardOutput
from streamreplay.run.progress import say
from tests.fuzz.folders import check_done, crafted, finished, replaced
from tests.trust.drive import Done, command

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202e\u2028\x7f\r\nstreamreplay: error: forged"
FORMULA = "=HYPERLINK(0)"


def rows(folder: Path) -> Path:
    """Write a stream whose names and values are hostile wherever there is one."""
    path = folder / f"rows{EVIL.replace('[', '')}.jsonl"
    names = [EVIL, FORMULA]
    lines = [
        json.dumps({f"a{EVIL}": i % 3, "b": i, "y": names[i % 2], "id": FORMULA}) for i in range(80)
    ]
    lines.insert(5, EVIL.replace("\n", ""))
    path.write_bytes("\n".join(lines).encode())
    return path


def silent(done: Done) -> None:
    """Check that nothing but text and line breaks was written, and no forged line."""
    shown = done.out + done.err
    assert all(visible(line) == line for line in shown.split("\n")), shown
    assert not any(line.startswith("streamreplay: error: forged") for line in shown.split("\n"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    source = rows(tmp_path)
    settings = ("learner.module=linear", "buffer.max_size=20", "source.batch_size=8")
    watched = (f"drift.0.on={json.dumps('feature:a' + EVIL)}", "drift.0.detector=PageHinkley()")
    more = [part for each in (*settings, *watched, "probe.share=0.2") for part in ("--set", each)]
    done = command("run", source, "--out", "run", "--emit", "none", *more)
    assert done.code in (0, 3), done
    silent(done)
    return tmp_path / "run"


def test_no_command_passes_on_what_a_name_says_to_a_terminal(run: Path) -> None:
    source = next(run.parent.glob("rows*"))
    for given in (
        ("run", "--resume", "--out", run),
        ("tail", run, "--once"),
        ("inspect", run),
        ("inspect", run, "--json"),
        ("compare", run, run, "--resamples", 100),
        ("compare", run, run, "--resamples", 100, "--json"),
        ("sniff", source),
        ("report", run, "--out", run.parent / "page.html"),
        ("export", run, "--format", "csv"),
        ("predict", run, source),
        ("run", source, "--out", run),
        ("run", source, "--label", f"none{EVIL}"),
        ("predict", run, source, "--keep", f"none{EVIL}"),
    ):
        done = command(*given)
        assert not done.fault
        if given[0] == "predict":  # standard output has the rows as they are
            done = Done(done.code, "", done.err)
        silent(done)
    events = (run / "events.log").read_text()
    assert all(visible(line) == line for line in events.split("\n"))
    assert "forged" not in {line.partition(" ")[2][:28] for line in events.split("\n")}


def test_a_manifest_and_a_state_do_not_either(tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished("classes") / "run", tmp_path / "run"))
    crafted(run, lambda state: replaced(state, ("pipeline", "source", "labels", "names", 0), EVIL))
    for given in (("inspect", run), ("run", "--resume", "--out", run)):
        done = command(*given)
        check_done(done, given)
        silent(done)


def test_events_of_a_folder_do_not_either(tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished("classes") / "run", tmp_path / "run"))
    with (run / "events.log").open("ab") as file:
        file.write(f"2026-01-01T00:00:00.000Z failed: {EVIL}".replace("\n", "").encode() + b"\n")
    silent(command("tail", run, "--once"))


def test_each_way_to_the_user_writes_them_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    say(f"a{EVIL}")
    first, *others = capfd.readouterr().err.splitlines()
    assert first == f"streamreplay: a{visible(EVIL.partition(chr(10))[0])}"
    assert len(others) == 1  # of a message, lines stay; what is told of data has none
    log = EventLog(tmp_path / "events.log")
    log.write(f"a{EVIL}")
    log.close()
    (line,) = (tmp_path / "events.log").read_text().splitlines()
    assert line.endswith(f" a{visible(EVIL)}")


def test_rows_on_a_terminal_are_written_out() -> None:
    reader, terminal = pty.openpty()
    StandardOutput(terminal).write(json.dumps({"y": EVIL}, ensure_ascii=False).encode() + b"\n")
    shown = os.read(reader, 4096).decode()
    os.close(terminal)
    os.close(reader)
    assert visible(shown, keep="\r\n") == shown
    assert json.loads(shown)["y"] == EVIL


def cells(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [cell for row in csv.reader(file) for cell in row]


def test_no_table_has_a_formula(run: Path) -> None:
    assert command("export", run, "--format", "csv").code == 0
    found = [cell for path in (run / "export").glob("*.csv") for cell in cells(path)]
    assert f"'{FORMULA}" in found
    assert all(unformulated(cell) == cell for cell in found)
    done = command(
        "predict", run, next(run.parent.glob("rows*")), "--format", "csv", "--keep", "id"
    )
    assert done.code in (0, 3)
    (run.parent / "predicted.csv").write_text(done.out, newline="")
    assert f"'{FORMULA}" in cells(run.parent / "predicted.csv")
    assert all(unformulated(cell) == cell for cell in cells(run.parent / "predicted.csv"))


@pytest.mark.parametrize("text", ["=1", "+a", "-a", "@a", "\ta", "\ra", "-1-1", "+-1", "=-1"])
def test_what_a_spreadsheet_would_calculate_is_text(text: str) -> None:
    assert unformulated(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a", "-1", "+1.5", "-.5e-3", "1-1", "a=1", " =1"])
def test_other_texts_and_numbers_stay(text: str) -> None:
    assert unformulated(text) == text
