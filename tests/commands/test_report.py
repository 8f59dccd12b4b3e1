from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.conftest import Cli
from tests.reading.made import Made

Command = Callable[..., tuple[int, str, str]]


def test_a_run_is_reported(cli: Cli) -> None:
    cli.jsonl(400, broken=False)
    settings = ("--set", "evaluator.report_every=100", "--set", "test.share=0.2")
    ran = cli("run", "-s", "rows.jsonl", *settings, "--out", "out", "--emit", "none", "-q")
    assert ran.returncode == 0, ran.stderr
    done = cli("report", "out", "--png", "png", "--svg", "svg", "--title", "My <run>")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "report.html\n"
    html = (cli.folder / "report.html").read_text()
    assert "<title>My &lt;run&gt;</title>" in html
    count = html.count("<figure")
    assert count >= 5
    for form in ("png", "svg"):
        assert len([*(cli.folder / form).glob(f"*.{form}")]) == count
        assert f"{count} {form.upper()} files in {form}" in done.stderr
    assert f"{count} charts of 1 run" in done.stderr


def test_a_run_of_several_learners_is_reported(cli: Cli) -> None:
    cli.jsonl(400, broken=False)
    text = "[evaluator]\nreport_every = 100\n"
    for name in ("small", "linear"):
        text += f'[[learner]]\nname = "{name}"\nmodule = "linear"\n'
    (cli.folder / "two.toml").write_text(text)
    ran = cli(
        *("run", "two.toml", "-s", "rows.jsonl", "--out", "out", "--emit", "none", "-q"),
    )
    assert ran.returncode == 0, ran.stderr
    done = cli("report", "out", "-q")
    assert done.returncode == 0, done.stderr
    html = (cli.folder / "report.html").read_text()
    assert "small.learner" in html
    assert "linear.learner" in html


def test_it_says_nothing_when_quiet_and_makes_the_folder(
    in_process: Command, tmp_path: Path
) -> None:
    Made().write(tmp_path / "run")
    assert in_process("report", "run", "-q", "-o", "a/b/page.html") == (0, "a/b/page.html\n", "")
    assert (tmp_path / "a" / "b" / "page.html").stat().st_size > 50_000
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["page.html"]


def test_mistakes_are_told_in_one_line(in_process: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fresh, damaged, later = (Made().write(tmp_path / n) for n in ("fresh", "damaged", "later"))
    (fresh / "metrics.jsonl").write_bytes(b"")
    with (damaged / "metrics.jsonl").open("ab") as log:
        log.write(b"}{\n")
    with (later / "metrics.jsonl").open("ab") as log:
        log.write(b'{"kind":"prequential","v":2}\n')
    n = (later / "metrics.jsonl").read_bytes().count(b"\n")
    for name, message in (
        ("none", "none: there is no such folder"),
        ("empty", "empty: is no run folder: it has neither job.toml nor metrics.jsonl"),
        ("fresh", "fresh: the run has not reported yet"),
        ("damaged", f"damaged/metrics.jsonl:{n}: the line is damaged"),
        (
            "later",
            f"later/metrics.jsonl:{n}: is of version 2 of the log, this streamreplay reads 1",
        ),
    ):
        code, out, err = in_process("report", name)
        assert (code, out) == (1, "")
        assert err.startswith(f"streamreplay: error: {message}"), err
        assert err.count("\n") == 1
    message = "streamreplay: error: --out: must be a file, empty is a folder\n"
    assert in_process("report", "none", "-o", "empty") == (1, "", message)
    assert in_process("report")[0] == 2
    assert not (tmp_path / "report.html").exists()


def test_a_missing_matplotlib_is_told(
    in_process: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Made().write(tmp_path / "run")
    for name in [n for n in sys.modules if n.startswith("streamreplay.reading.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = in_process("report", "run")
    assert (code, out) == (1, "")
    assert err == (
        "streamreplay: error: report: matplotlib is missing, pip install 'streamreplay[plot]'\n"
    )
