"""Files that are followed: they grow, and folders have more of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamreplay.errors import SourceError
from streamreplay.ingest import CsvSource

HEAD = "a,y\n"


def follow(path: Path, stop: Callable[[], bool] = lambda: False, **options: Any) -> CsvSource:
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


def test_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n2,k\n")
    batches = iter(follow(path))
    assert first(batches, 2) == [1, 2]
    path.write_text(HEAD)
    with pytest.raises(SourceError, match=r"^rows.csv: was truncated: 12 bytes .* it has 4"):
        next(batches)


def test_rotation_is_noticed_behind_the_rows_of_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + "1,k\n2,k\n")
    batches = iter(follow(path))
    assert first(batches, 2) == [1, 2]
    append(path, "3,k\n")
    path.rename(tmp_path / "rows.1")
    path.write_text(HEAD + "4,k\n")
    assert first(batches, 1) == [3]
    with pytest.raises(SourceError, match=r"^rows.csv: was replaced by another file"):
        next(batches)
