"""What a run says about the fields of its stream on standard error, whatever its options are."""

from __future__ import annotations

import json

import pytest

from tests.commands.conftest import Cli

LINE = (
    "streamreplay: features: 2 numbers (age, experience); label: y; "
    "left out: name (every value is new). "
)
FAST = ["--set", "learner.module=linear", "--set", "learner.method=er"]


def told(cli: Cli, *args: object) -> list[str]:
    process = cli.start("run", *FAST, *args)
    _, err = process.communicate(timeout=120)
    return err.decode().splitlines()


@pytest.mark.parametrize("quiet", [(), ("--quiet",), ("--emit", "none", "-q")])
def test_the_line_is_always_there(cli: Cli, quiet: tuple[str, ...]) -> None:
    rows = "".join(f"{20 + i % 40},{i % 20},n{i},{'js'[i % 20 > 9]}\n" for i in range(100))
    cli.folder.joinpath("rows.csv").write_text(f"age,experience,name,y\n{rows}")
    first, *rest = told(cli, "-s", "rows.csv", "-o", "out", *quiet)
    assert first.startswith(LINE)
    assert first.endswith('set source.experience = "experience"')
    assert sum("features:" in line for line in rest) == 0
    assert LINE.removeprefix("streamreplay: ") in (cli.folder / "out" / "events.log").read_text()


def test_warnings_come_in_spite_of_quiet(cli: Cli) -> None:
    records = [{"a": i % 7, "y": f"u{i}"} for i in range(1500)]
    records[1200]["b"] = 1.0
    cli.folder.joinpath("rows.jsonl").write_text("\n".join(map(json.dumps, records)))
    _, *warnings = told(cli, "-s", "rows.jsonl", "--quiet")
    assert [line.split(" ")[1] for line in warnings] == ["warning:"] * 3
    assert "labels in 'y' is a new class: it looks like an id" in warnings[0]
    assert "column 'b' is new at row 1,201, learned as a number" in warnings[1]
    assert warnings[2] == "streamreplay: warning: columns: 1 new"
