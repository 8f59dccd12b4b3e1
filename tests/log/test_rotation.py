"""Logs that are cut back, with and without a limit: the same bytes in the same files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.errors import RunFolderError
from streamreplay.log import rotation
from streamreplay.log.lines import rotated_files, segments
from streamreplay.log.rotation import JsonLines, Mark
from tests.log.log_lines import log_lines


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def written(folder: Path, lines: list[bytes], limit: int) -> JsonLines:
    log = JsonLines(folder / "log.jsonl", limit)
    log.write(b"".join(lines))
    log.flush()
    return log


def cut_into_files(lines: list[bytes], limit: int) -> list[bytes]:
    """Fill one file after the other, line by line."""
    found = [b""]
    for line in lines:
        if limit and found[-1] and len(found[-1] + line) > limit:
            found.append(b"")
        found[-1] += line
    return found


def test_a_log_knows_its_end_and_can_be_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = JsonLines(path)
    log.write(b"one\n")
    assert (log.end, log.sync(), path.read_bytes()) == (Mark(0, 4), Mark(0, 4), b"one\n")
    log.write(b"two\n")
    log.cut(Mark(0, 4))
    log.write(b"three\n")
    log.close()
    assert path.read_bytes() == b"one\nthree\n"
    again = JsonLines(path)
    assert again.end == Mark(0, 10)
    with pytest.raises(
        RunFolderError, match=r"log.jsonl: has 10 bytes, the checkpoint was made at 11 bytes$"
    ):
        again.cut(Mark(0, 11))
    with pytest.raises(RunFolderError, match=r"the checkpoint was made at 0 bytes behind file 2$"):
        again.cut(Mark(2, 0))
    again.close()


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "open_to_append", partial(Path.open, mode="ab"))
    log = JsonLines(Path("/dev/full"))
    log.write(b"one\n")
    with pytest.raises(RunFolderError, match=r"/dev/full: cannot be written: No space left"):
        log.sync()
    log.close()


def test_files_are_finished_and_numbered(tmp_path: Path) -> None:
    log = written(tmp_path, [b"1234\n", b"6789\n", b"2\n", b"a line that is longer\n", b"5\n"], 10)
    log.close()
    assert files(tmp_path) == {
        "log.000001.jsonl": b"1234\n6789\n",
        "log.000002.jsonl": b"2\n",
        "log.000003.jsonl": b"a line that is longer\n",
        "log.jsonl": b"5\n",
    }
    names = [path.name for path in segments(tmp_path, "log")]
    assert names == ["log.000001.jsonl", "log.000002.jsonl", "log.000003.jsonl", "log.jsonl"]
    (tmp_path / "log.jsonl").write_bytes(b"5\nunfinis")
    assert [*log_lines(tmp_path, "log")][-2:] == [b"a line that is longer\n", b"5\n"]
    log = JsonLines(tmp_path / "log.jsonl")  # a limit that is gone: numbers stay
    assert log.end == Mark(3, 9)
    log.close()


def test_other_files_are_no_part_of_a_log(tmp_path: Path) -> None:
    for name in (
        "log.jsonl",
        "log.12.jsonl",
        "log.0000012.jsonl",
        "xlog.000001.jsonl",
        "log.a.jsonl",
    ):
        (tmp_path / name).touch()
    assert [path.name for path in rotated_files(tmp_path / "log.jsonl").values()] == [
        "log.0000012.jsonl"
    ]
    assert segments(tmp_path, "none") == []


LINES = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b" ") + b"\n"), max_size=30)


@given(LINES, st.integers(0, 30), st.lists(st.integers(0, 30)))
def test_files_end_where_bytes_say(lines: list[bytes], limit: int, cuts: list[int]) -> None:
    """However the lines come, and wherever the log is closed and opened again."""
    bounds = [0, *sorted(cut % (len(lines) + 1) for cut in cuts), len(lines)]
    with TemporaryDirectory() as folder:
        for start, stop in itertools.pairwise(bounds):
            written(Path(folder), lines[start:stop], limit).close()
        found = [path.read_bytes() for path in segments(Path(folder), "log")]
    assert found == cut_into_files(lines, limit)


class Dead(BaseException):
    """As if the process were killed."""


def dying(method: Callable[..., object], after: int) -> Callable[..., object]:
    """Let a function be called some times, and no more."""
    left = iter(range(after))

    def call(*args: object, **options: object) -> object:
        if next(left, None) is None:
            raise Dead
        return method(*args, **options)

    return call


@given(LINES, st.integers(1, 30), st.integers(0, 30), st.lists(st.integers(0, 4), max_size=5))
def test_a_cut_goes_on_as_if_nothing_had_been_written_after_it(
    lines: list[bytes], limit: int, place: int, deaths: list[int]
) -> None:
    """Also where the one who cuts dies at any change to the folder, any number of times."""
    place %= len(lines) + 1
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        log = written(folder, lines[:place], limit)
        mark = log.end
        log.close()
        before = files(folder)
        written(folder, lines[place:], limit).close()
        whole = files(folder)
        rename, unlink = Path.rename, Path.unlink
        for after in deaths:
            patch.setattr(Path, "rename", dying(rename, max(after - 3, 0)))
            patch.setattr(Path, "unlink", dying(unlink, after))
            log = JsonLines(folder / "log.jsonl", limit)
            try:
                log.cut(mark)
            except Dead:
                log.close()
                continue
            log.close()
            patch.undo()
            assert files(folder) == before
        patch.undo()
        log = JsonLines(folder / "log.jsonl", limit)
        log.cut(mark)
        log.flush()
        assert files(folder) == before
        log.write(b"".join(lines[place:]))
        log.close()
        assert files(folder) == whole


@pytest.mark.parametrize("mark", [Mark(0, 0), Mark(1, 5)])
def test_dying_between_two_files_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: Mark
) -> None:
    log = written(tmp_path, [b"1234\n"] * 3, 10)
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(JsonLines, "_open", dying(JsonLines._open, 0))
        with pytest.raises(Dead):
            log.write(b"1234\n" * 2)
    log.close()
    assert set(files(tmp_path)) == {"log.000001.jsonl", "log.000002.jsonl"}
    log = JsonLines(tmp_path / "log.jsonl", 10)
    log.cut(mark)
    log.flush()
    assert files(tmp_path) == (before if mark.size else {"log.jsonl": b""})
    log.close()


def test_what_was_taken_away_is_said(tmp_path: Path) -> None:
    log = written(tmp_path, [b"1234\n"] * 6, 10)
    (tmp_path / "log.000002.jsonl").write_bytes(b"12")
    with pytest.raises(RunFolderError, match=r"log.000002.jsonl: has 2 bytes, the checkpoint was"):
        log.cut(Mark(1, 5))
    (tmp_path / "log.000002.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"log.000002.jsonl: is missing, the checkpoint was"):
        log.cut(Mark(1, 5))
    log.close()


def test_old_files_are_dropped_by_number(tmp_path: Path) -> None:
    log = written(tmp_path, [b"1234\n"] * 9, 10)
    log.drop(-1)
    log.drop(2)
    assert [*rotated_files(log.path)] == [3, 4]
    log.close()
    log = JsonLines(log.path, 10)
    assert log.end == Mark(4, 5)
    log.close()


@pytest.mark.parametrize("block", [1, 4, 1 << 20])
@pytest.mark.parametrize("whole", [b"", b"\n", b"12\n3456\n"])
@pytest.mark.parametrize("rest", [b"", b"7", b"78901234567"])
def test_a_last_line_that_was_not_finished_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, whole: bytes, rest: bytes
) -> None:
    monkeypatch.setattr(rotation, "_BLOCK", block)
    path = tmp_path / "log.jsonl"
    path.write_bytes(whole + rest)
    log = JsonLines(path)
    log.mend()
    assert log.end == Mark(0, len(whole))
    log.write(b"next\n")
    log.close()
    assert path.read_bytes() == whole + b"next\n"
