"""What the documentation shows is run: Python blocks in one session, commands in a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamreplay import build, data_path, load_job

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": 3,
    "docs/selection.md": 6,
    "docs/buffers.md": 5,
    "docs/from-avalanche.md": 6,
    "docs/river.md": 5,
    "docs/training-options.md": 3,
    "docs/models.md": 4,
    "docs/comparing.md": 3,
    "docs/drift.md": 3,
    "docs/targets.md": 4,
    "docs/methods.md": 5,
    "docs/retention.md": 2,
    "docs/reading.md": 3,
    "docs/metrics.md": 2,
}  # and how many Python blocks it has at least
NOT_HERE = ("make ", "pip ")  # these are how the tests themselves were started


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("README.md", "console")).splitlines()
    given = [line.removeprefix("$ ").partition("  # ")[0] for line in lines if line[:2] == "$ "]
    return [command for command in given if not command.startswith(NOT_HERE)]


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    assert len(code) >= PAGES[page]
    namespace: dict[str, object] = {}
    for block in code:
        exec(compile(block, page, "exec"), namespace)  # noqa: S102 - our own examples


def test_the_job_file_of_several_learners_runs(tmp_path: Path) -> None:
    (text,) = (block for block in blocks("docs/comparing.md", "toml") if "[source]" in block)
    (tmp_path / "job.toml").write_text(text)
    job = load_job(tmp_path / "job.toml", [f"source.path={data_path('digits.npz')}"])
    reports = [*zip(build(job), range(4), strict=False)]
    assert [*reports[-1][0].by_learner] == [*job.several] == ["er", "er-ace", "no-replay", "forest"]


@pytest.mark.slow
def test_commands_run_in_the_order_shown(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = commands()
    assert sum("streamreplay run" in command for command in given) >= 4
    for command in given:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        # 141: a writer before `head` was stopped by it
        assert done.returncode in ((0, 141) if "| head" in command else (0,)), (
            command,
            done.stderr,
        )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
