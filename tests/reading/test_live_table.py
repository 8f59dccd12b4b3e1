"""The live table of a run, on terminals of several kinds."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from streamreplay.reading.live.table import LiveTable
from tests.reading.logs import retention, timing

SCORES: dict[str, Any] = {
    "kind": "prequential",
    "position": 1000,
    "rows": 1000,
    "accuracy": 0.5,
    "accuracy_window": 0.625,
    "no_change": {"accuracy": 0.25, "accuracy_window": 0.75},
    "replayed": 1000,
}


def make_table(*, term: str = "xterm", width: int = 80) -> tuple[LiveTable, io.StringIO]:
    screen = io.StringIO()
    environment = {"TERM": term}
    console = Console(
        file=screen, width=width, height=30, force_terminal=True, _environ=environment, markup=False
    )
    return LiveTable(console), screen


def plain(screen: io.StringIO) -> str:
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", screen.getvalue())


def test_the_last_state_stays_with_what_became_of_the_run() -> None:
    table, screen = make_table()
    table.open("rows.csv", 2000)
    table.show(32, {}, None)
    assert "rows.csv  running\nrow          32 of 2,000" in plain(screen)
    table.record([SCORES, retention(1000, {"cat": 0.5})], timing(1000, 990.0))
    table.show(1000, {"accuracy": 0.5}, 100)
    table.close("stopped")
    last = plain(screen).rpartition("rows.csv")[2].splitlines()
    assert last[:4] == [
        "  stopped",
        "row          1,000 of 2,000",
        "accuracy     0.6250 in window  ▅  0.5000 so far",
        "  baselines  repeating the last label 0.7500, better",
    ]
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l")
    written = screen.getvalue()
    table.close("finished")  # again, as a run does when it ends
    assert screen.getvalue() == written


def test_the_cursor_is_shown_while_it_moves() -> None:
    table, screen = make_table()
    table.open("rows.csv", None)
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l")
    table.close("failed")


def test_a_run_that_fails_before_its_first_row_leaves_nothing() -> None:
    table, screen = make_table()
    table.open("rows.csv", None)
    assert "waiting for the first row" in plain(screen)
    table.close("failed")
    assert "failed" not in plain(screen)
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")  # the table is erased


def test_it_is_drawn_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    table, screen = make_table()
    table.open("rows.csv", None)
    for now in np.arange(0.0, 2.0, 0.125).tolist():
        table.show(int(1000 * now), {}, None)
    assert re.findall(r"row +([\d,]+)", plain(screen)) == [
        "0",  # as it is opened
        *("0", "250", "500", "750", "1,000", "1,250", "1,500", "1,750"),
    ]
    assert "1,000 rows/s" in plain(screen)
    table.close("finished")


def test_a_terminal_without_a_moving_cursor_gets_few_tables(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    table, screen = make_table(term="dumb")
    table.open("rows.csv", None)
    for now in range(25):
        table.show(100 * now, {}, None)
    table.say("hello")
    table.close("finished")
    assert re.findall(r"rows.csv  (\w+)\nrow +([\d,]+)", screen.getvalue()) == [
        ("running", "1,000"),
        ("running", "2,000"),
        ("finished", "2,400"),
    ]
    assert "\x1b" not in screen.getvalue()
    assert capfd.readouterr().err == "streamreplay: hello\n"


@pytest.mark.parametrize("same", [True, False])
def test_messages_stand_above_it_unless_they_go_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *, same: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: same)
    table, screen = make_table(width=40)
    table.open("rows.csv", None)
    command = "streamreplay run --resume --out " + "x" * 60
    table.say(f"there is something to say; resume with: {command}")
    table.close("finished")
    shown = [
        "streamreplay: there is something to say;",
        "  resume with:",
        f"  {command}",  # which is not wrapped
    ]
    assert (shown[2] in plain(screen).splitlines()) == same
    assert ("\n".join(shown) in plain(screen)) == same
    assert (command in capfd.readouterr().err) == (not same)
