"""Run folders, logs and checkpoints have format numbers: later ones are refused in words."""

import json
import re
from pathlib import Path

import pytest

from streamreplay.log.folder_format import FORMAT_FILE
from tests.fuzz.folders import seal
from tests.trust.drive import Done, command

READERS = ("tail", "inspect", "report", "compare", "export", "predict", "resume")


def read(name: str, run: Path) -> Done:
    if name == "resume":
        return command("run", "--resume", "--out", run, "--quiet", "--set", "run.emit=none")
    more = {
        "report": ("--out", run.parent / "page.html"),
        "compare": (run, "--resamples", 100),
        "export": ("--format", "csv", "--to", run.parent / "tables"),
        "tail": ("--once",),
        "predict": (run / "rows.jsonl", "--quiet"),
    }
    return command(name, run, *more.get(name, ()))


@pytest.fixture
def rows(run: Path) -> Path:
    (run / "rows.jsonl").write_text('{"a": 1, "b": 2}\n')
    return run


def test_a_run_folder_has_a_number(run: Path) -> None:
    said = json.loads((run / FORMAT_FILE).read_text())
    assert (said["format"], said["version"]) == ("streamreplay run folder", 1)


@pytest.mark.parametrize("reader", READERS)
def test_a_later_folder_is_refused(reader: str, rows: Path) -> None:
    said = {"format": "streamreplay run folder", "version": 2, "library": "9.0", "more": []}
    (rows / FORMAT_FILE).write_text(json.dumps(said))
    done = read(reader, rows)
    assert done.refused, done
    assert "format.json: is of version 2 of run folders, this streamreplay" in done.err


@pytest.mark.parametrize(
    "said", ["", "[]", "7", '{"version": 1}', '{"format": "streamreplay run folder"}', "[" * 4000]
)
def test_a_number_that_cannot_be_read_is_refused(said: str, rows: Path) -> None:
    (rows / FORMAT_FILE).write_text(said)
    for reader in READERS:
        done = read(reader, rows)
        assert done.refused, (reader, done)
        assert "format.json: is damaged" in done.err


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_from_before_the_numbers_is_read(reader: str, rows: Path) -> None:
    (rows / FORMAT_FILE).unlink()
    for name in ("metrics", "timings"):
        path = rows / f"{name}.jsonl"
        path.write_text(re.sub(r'"v":1,', "", path.read_text()))
    done = read(reader, rows)
    assert done.code == 0 or (reader == "resume" and done.refused)  # the log is another one


@pytest.mark.parametrize("reader", ["tail", "report", "compare", "export"])
def test_a_later_log_is_refused(reader: str, rows: Path) -> None:
    path = rows / "metrics.jsonl"
    path.write_text(path.read_text().replace('"v":1,', '"v":2,'))
    done = read(reader, rows)
    assert done.refused, done
    assert re.search(r"metrics.jsonl:\d+: is of version 2 of the log, this streamreplay", done.err)


@pytest.mark.parametrize("version", [3, 5])
@pytest.mark.parametrize("reader", ["resume", "inspect", "predict"])
def test_a_checkpoint_of_another_version_is_refused(reader: str, version: int, rows: Path) -> None:
    for path in (rows / "checkpoints").iterdir():
        seal(path, lambda manifest: {**manifest, "version": version})
    done = read(reader, rows)
    assert done.refused, done
    assert f"format version {version}, this streamreplay" in done.err
    for other in ("tail", "report", "compare", "export"):
        assert read(other, rows).code == 0
