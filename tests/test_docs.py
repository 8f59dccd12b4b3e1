"""What the documentation shows is run: Python blocks, commands, job files.

`make docs` checks the links of the site; the links of the files in the root are checked here too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamreplay import build, data_path, load_job

ROOT = Path(__file__).parents[1]
DOCS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*/*.md"))
AT_THE_ROOT = sorted(path.name for path in ROOT.glob("*.md"))
PAGES = [*AT_THE_ROOT, "docs/index.md", *DOCS]
TESTED_ELSEWHERE = {"docs/guides/log.md"}  # its examples read a run: tests/log/test_log_page.py
GENERATED = ("docs/reference/", "docs/architecture.md", "docs/contributing.md", "docs/changelog.md")
PAGES_WITH_COMMANDS = ("features", "late-labels", "predict", "streams", "trust")
NOT_HERE = ("make ", "pip ")  # these are how the tests themselves were started


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def pages_with(language: str) -> list[str]:
    return [page for page in PAGES if blocks(page, language) and page not in TESTED_ELSEWHERE]


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a page, each with the lines of output that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ ").partition("  # ")[0], []))
        else:
            found[-1][1].append(line)
    return [each for each in found if not each[0].startswith(NOT_HERE)]


def without_figures(lines: list[str]) -> list[str]:
    """Return lines of output without progress, and without what differs between machines."""
    progress = re.compile(r"streamreplay: [\d,]+ rows, [\d,]+ rows/s")
    figures = re.compile(r"(?<=accuracy )0\.\d+|[\d.]+ s \([\d,]+ rows/s\)")
    return [figures.sub("#", line) for line in lines if not progress.match(line)]


def split_output(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return the messages among some lines, which may go on in lines set in, and the others."""
    messages: list[str] = []
    others: list[str] = []
    for line in lines:
        goes_on = messages and not others and line.startswith("  ")
        (messages if goes_on or line.startswith("streamreplay: ") else others).append(line)
    return messages, others


def assert_shown(shown: list[str], out: str, err: str) -> None:
    """Compare what a page shows with the output; in it, "..." stands for anything."""
    messages, rest = split_output(shown)
    if messages:
        assert without_figures(err.splitlines()) == without_figures(messages)
    others = "\n".join(rest).strip()
    if others:
        assert re.fullmatch(re.escape(others).replace(r"\.\.\.", ".*"), out.strip(), re.DOTALL), out


def test_most_pages_have_examples() -> None:
    assert len(pages_with("python")) >= 17
    assert len(pages_with("toml")) >= 7


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), namespace)  # noqa: S102 - our own examples


@pytest.mark.parametrize("page", pages_with("toml"))
def test_job_files_are_read(page: str, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        (tmp_path / "job.toml").write_text(block)
        load_job(tmp_path / "job.toml", [])


def test_the_job_file_of_several_learners_runs(tmp_path: Path) -> None:
    (text,) = (block for block in blocks("docs/guides/comparing.md", "toml") if "[source]" in block)
    (tmp_path / "job.toml").write_text(text)
    job = load_job(tmp_path / "job.toml", [f"source.path={data_path('digits.npz')}"])
    reports = [*zip(build(job), range(4), strict=False)]
    assert [*reports[-1][0].by_learner] == [*job.several] == ["er", "er-ace", "no-replay", "forest"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/start/shell.md",
        *(f"docs/guides/{name}.md" for name in PAGES_WITH_COMMANDS),
    ],
)
def test_commands_run_in_the_order_shown(page: str, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = commands(page)
    assert sum("streamreplay run" in c or "predict" in c or "export" in c for c, _ in given) >= 2
    for command, shown in given:
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
        assert_shown(shown, done.stdout, done.stderr)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", path.read_text()):
        other = (path.parent / target).resolve() if target else path
        place = str(other.relative_to(ROOT))
        if place.startswith(GENERATED) and not other.exists():
            assert page not in AT_THE_ROOT, f"{target}: exists in the site alone"
            continue
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), f"{target}#{anchor}"


def table_of_files(page: str) -> str:
    (found,) = re.findall(
        r"^\| to add .*?(?=\n\n|\Z)", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL
    )
    return str(found).strip()


def test_both_pages_say_the_same_of_what_to_add_where() -> None:
    assert table_of_files("CONTRIBUTING.md") == table_of_files("ARCHITECTURE.md")


@pytest.mark.parametrize(
    "page", ["ARCHITECTURE.md", "CONTRIBUTING.md", *(d for d in DOCS if "/background/" in d)]
)
def test_files_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`([\w./]+(?:/|\.py|\.pyi|\.toml))`", (ROOT / page).read_text())
    for name in named:
        places = [
            ROOT / name,
            ROOT / "streamreplay" / name,
            *ROOT.glob(f"streamreplay/*/**/{name}"),
        ]
        assert "NAME" in name or any(place.exists() for place in places), name
