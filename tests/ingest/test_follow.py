"""Files that are followed: they grow, and folders have more of them."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamreplay.errors import SourceError
from streamreplay.ingest import CsvSource
from streamreplay.ingest.connect import file_follower

HEAD = "a,y\n"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_follower, "OVER", 0.1)


def follow(path: Any, stop: Callable[[], bool] = lambda: False, **options: Any) -> CsvSource:
    source = CsvSource(path, batch_size=2, max_wait=0.0, stop=stop, **options)
    source.follow = True
    return source


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def first(batches: Iterator[Any], rows: int) -> list[float]:
    """Return so many rows, however they are cut into batches."""
    found: list[float] = []
    while len(found) < rows:
        found += next(batches).x[:, 0].tolist()
    return found


def test_a_growing_file_and_a_last_line_that_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n2,k\n3,l\n4")
    stops = [False]
    source = follow(path, lambda: stops[0])
    batches = iter(source)
    assert first(batches, 3) == [1, 2, 3]
    timer = threading.Timer(0.3, lambda: append(path, "2,k\n5,l\n"))
    timer.start()
    assert first(batches, 2) == [42, 5]
    timer.join()
    stops[0] = True
    assert list(batches) == []
    fresh = CsvSource(path)
    fresh.load_state_dict(source.state_dict())
    append(path, "6,k\n")
    assert [batch.x.tolist() for batch in fresh] == [[[6.0]]]


def test_the_next_file_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(HEAD + "1,k\n2,l")
    batches = iter(follow(tmp_path))
    assert first(batches, 1) == [1]
    (tmp_path / "2.csv").write_text("y,a\nk,3\n")
    assert first(batches, 2) == [2, 3]
    (tmp_path / "0.csv").write_text(HEAD)
    with pytest.raises(SourceError, match=r"files before it have changed: found .*0\.csv"):
        next(batches)


def test_the_only_file_of_a_pattern_may_be_away_for_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n")
    batches = iter(follow(str(tmp_path / "*.csv")))
    assert first(batches, 1) == [1]
    path.rename(tmp_path / "rows.csv.1")
    timer = threading.Timer(0.3, lambda: path.write_text(HEAD + "2,k\n"))
    timer.start()
    assert first(batches, 1) == [2]
    timer.join()


def resumed(source: CsvSource, path: Path, said: list[str]) -> CsvSource:
    fresh = follow(path)
    fresh.on_notice = said.append
    fresh.load_state_dict(source.state_dict())
    return fresh


def rotate(path: Path, *, copy: bool, to: str = "1") -> None:
    """Rotate a log as logrotate does: by ``create``, or by ``copytruncate``."""
    old = path.with_name(f"{path.name}.{to}")
    if copy:
        old.write_bytes(path.read_bytes())
        path.write_bytes(b"")
    else:
        path.rename(old)
        path.touch()


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("head", [HEAD, ""])
def test_a_log_that_is_rotated(tmp_path: Path, copy: bool, head: str) -> None:
    """Rows that came between the last read and the rotation are in the old file."""
    path, said = tmp_path / "rows.csv", list[str]()
    path.write_text(HEAD + "1,k\n2,k\n")
    source = follow(path)
    source.on_notice = said.append
    batches = iter(source)
    assert first(batches, 2) == [1, 2]
    append(path, "3,k\n4,l")
    rotate(path, copy=copy)
    append(path, head + "5,k\n6,l\n")
    assert first(batches, 4) == [3, 4, 5, 6]
    assert len(said) == 1
    assert said[0].startswith(f"rows.csv was {'truncated' if copy else 'rotated'}: ")
    rotate(path, copy=copy, to="2")
    append(path, head + "7,k\n")
    assert first(batches, 1) == [7]
    append(path, "8,k\n")
    again = iter(resumed(source, path, said))
    assert first(again, 1) == first(batches, 1) == [8]
    assert source.dead == 0


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 5, 6, 8])
def test_a_log_that_is_rotated_while_nobody_reads_it(tmp_path: Path, copy: bool, rows: int) -> None:
    path, said = tmp_path / "rows.csv", list[str]()
    path.write_text(HEAD + "".join(f"{i},k\n" for i in range(6)))
    source = CsvSource(path, batch_size=1, max_wait=0.0)
    source.follow = True
    batches = iter(source)
    found = first(batches, min(rows, 6))
    rotate(path, copy=copy)
    append(path, HEAD + "".join(f"{i},l\n" for i in range(6, 9)))
    found += first(batches, rows - 6) if rows > 6 else []
    state = source.state_dict()
    rotate(path, copy=copy, to="2")
    append(path, HEAD + "9,k\n")
    fresh = follow(path)
    fresh.on_notice = said.append
    fresh.load_state_dict(state)
    found += first(iter(fresh), 10 - rows)
    assert found == list(range(10))
    assert said[0] == f"rows.csv was rotated: reading goes on in rows.csv.{1 if rows <= 6 else 2}"


def test_a_log_that_is_gone_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n2,k\n3,k\n")
    source = follow(path)
    assert first(iter(source), 2) == [1, 2]
    path.write_text(HEAD)
    with pytest.raises(SourceError, match="12 bytes of it were learned from, but it has only 4"):
        next(iter(resumed(source, path, [])))
    path.write_text(HEAD + "7,k\n8,k\n9,k\n")
    with pytest.raises(SourceError, match="line 3 differs from the one that was learned"):
        next(iter(resumed(source, path, [])))


@pytest.mark.parametrize("new", ["", HEAD, HEAD + "7,k\n", HEAD + "7,k\n8,k\n9,k\n"])
def test_a_truncated_file_that_was_not_copied_begins_again(tmp_path: Path, new: str) -> None:
    """It is noticed too if the file is as long again when it is looked at."""
    path, said = tmp_path / "rows.csv", list[str]()
    path.write_text(HEAD + "1,k\n2,k\n")
    source = follow(path)
    source.on_notice = said.append
    batches = iter(source)
    assert first(batches, 2) == [1, 2]
    path.write_text(new)
    timer = threading.Timer(0.2, lambda: append(path, "6,l\n"))
    timer.start()
    expected = [int(line[0]) for line in new.splitlines() if line[0].isdigit()]
    assert first(batches, len(expected) + 1) == [*expected, 6]
    timer.join()
    (notice,) = said
    assert notice.startswith("rows.csv was truncated: 12 bytes of it were read, and reading begins")
    append(path, "5,l\n")
    assert first(iter(resumed(source, path, said)), 1) == [5]


def test_logs_that_were_rotated_in_between_are_read_too(tmp_path: Path) -> None:
    path, said = tmp_path / "rows.csv", list[str]()
    path.write_text(HEAD + "1,k\n2,k\n")
    source = follow(path)
    source.on_notice = said.append
    batches = iter(source)
    assert first(batches, 2) == [1, 2]
    path.rename(tmp_path / "rows.csv.2")
    compressed = gzip.compress((HEAD + "3,k\n").encode(), mtime=0)
    (tmp_path / "rows.csv.1.gz").write_bytes(compressed)
    (tmp_path / "rows.csv.bak").write_text(HEAD + "9,k\n")
    path.write_text(HEAD + "4,k\n")
    os.utime(tmp_path / "rows.csv.2", (1e9, 1e9))
    assert first(batches, 2) == [3, 4]
    assert said[0].endswith("reading goes on in the new one, behind rows.csv.1.gz")
    append(path, "5,k\n")
    assert first(iter(resumed(source, path, said)), 1) == [5]


def test_a_log_that_is_rotated_within_its_folder_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n")
    batches = iter(follow(tmp_path))
    assert first(batches, 1) == [1]
    (tmp_path / "rows.csv.1").write_text(path.read_text())
    with pytest.raises(SourceError, match=r"rows\.csv\.1: was rotated from .*follow the file by"):
        next(batches)


def test_a_rotated_log_that_is_renamed_again_before_the_resume(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n2,k\n")
    source = CsvSource(path, batch_size=1, max_wait=0.0)
    source.follow = True
    batches = iter(source)
    found = first(batches, 2)
    append(path, "3,k\n4,k\n")
    rotate(path, copy=False)
    append(path, HEAD + "5,k\n")
    fresh = CsvSource(path, batch_size=1, max_wait=0.0)
    fresh.follow = True
    fresh.load_state_dict(source.state_dict())
    found += first(iter(fresh), 1)
    state = fresh.state_dict()
    assert state["rotated"] == [[0, str(tmp_path / "rows.csv.1")]]
    (tmp_path / "rows.csv.1").rename(tmp_path / "rows.csv.2")
    again = follow(path)
    again.load_state_dict(state)
    assert found + first(iter(again), 2) == [1, 2, 3, 4, 5]


def test_what_comes_to_a_file_that_was_over_is_told(tmp_path: Path) -> None:
    path, said = tmp_path / "rows.csv", list[str]()
    path.write_text(HEAD + "1,k\n")
    source = follow(path)
    source.on_notice = said.append
    batches = iter(source)
    assert first(batches, 1) == [1]
    rotate(path, copy=False)
    append(path, HEAD + "2,k\n")
    assert first(batches, 1) == [2]
    append(tmp_path / "rows.csv.1", "3,k\n")
    threading.Timer(0.4, lambda: append(path, "4,k\n")).start()
    assert first(batches, 1) == [4]
    assert said[1:] == [
        "rows.csv.1 has grown by 4 bytes since reading went on in the next file: they are not read"
    ]
