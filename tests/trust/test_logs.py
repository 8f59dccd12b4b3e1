"""Crafted logs: each is read, or refused in one line that names the file."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.folders import check_done, finished
from tests.trust.drive import READERS, read

LOGS = ("metrics", "timings", "predictions", "dead_letters")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished("classes, probed") / "run", tmp_path / "run"))


def change(run: Path, kind: str, fields: dict[str, Any]) -> None:
    """Change fields of the last record of a kind."""
    path = run / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    place = max(i for i, line in enumerate(lines) if f'"kind":"{kind}"'.encode() in line)
    record = {**json.loads(lines[place]), **fields}
    lines[place] = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))


FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("prequential", {"position": -1}),
    ("prequential", {"position": "7"}),
    ("prequential", {"position": 2**60}),
    ("prequential", {"rows": None}),
    ("prequential", {"accuracy": "high"}),
    ("prequential", {"accuracy": 7.5}),
    ("prequential", {"by_class": [1]}),
    ("prequential", {"by_class": {"cat": {"rows": -1}}}),
    ("retention", {"by_class": {"cat": 3}}),
    ("retention", {"sample": []}),
    ("buffer", {"rows": {}}),
    ("rows", {"rows_in": -5}),
    ("rows", {"put_aside_by_reason": [["x", 1]]}),
]


@pytest.mark.parametrize(("kind", "fields"), FIELDS, ids=json.dumps)
def test_a_field_of_another_type_is_named(kind: str, fields: dict[str, Any], run: Path) -> None:
    change(run, kind, fields)
    for reader in READERS:
        check_done(read(reader, run), (reader,))
    done = read("export", run)
    assert done.refused
    assert "metrics.jsonl:" in done.err
    assert "the line is damaged: " in done.err
    assert next(iter(fields)) in done.err


def test_fields_of_a_later_version_are_passed_over(run: Path) -> None:
    change(run, "prequential", {"added_later": {"deep": [1]}, "learner_note": "x"})
    for reader in READERS:
        assert read(reader, run).code == 0


@pytest.mark.parametrize(
    ("turn", "line"),
    list(
        enumerate(
            [
                b"[" * 5000 + b"\n",
                b"\xff\xfe\n",
                b'{"kind":"../x","v":1}\n',
                b'{"kind":"prequential"}\n',
                b'{"kind":"prequential","learner":7,"position":3}\n',
                b'{"kind":"retention","v":2,"position":3}\n',
                b"7\n",
            ]
        )
    ),
    ids=range(7),
)
def test_a_line_that_is_no_record_is_refused_or_read(turn: int, line: bytes, run: Path) -> None:
    pairs = [(log, reader) for log in LOGS for reader in READERS]
    for log, reader in pairs[turn % 3 :: 3]:  # each pair meets two lines or three
        path = run / f"{log}.jsonl"
        before = path.read_bytes()
        path.write_bytes(before + line)
        check_done(read(reader, run), (reader, log))
        path.write_bytes(before)


def test_kinds_without_end_are_refused(run: Path) -> None:
    with (run / "metrics.jsonl").open("ab") as file:
        for i in range(200):
            name = "".join(chr(97 + int(digit)) for digit in str(i))
            file.write(b'{"kind":"k%s","v":1,"position":1}\n' % name.encode())
    done = read("export", run)
    assert done.refused
    assert "more than 100 kinds" in done.err


def test_a_line_longer_than_any_record_is_not_read(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreplay.log.lines.MOST_LINE", 1 << 16)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b" " * (1 << 17))
    for reader in ("report", "compare", "export", "tail"):
        done = read(reader, run)
        assert done.refused, done
        assert "a line has more than 65,536 bytes" in done.err
