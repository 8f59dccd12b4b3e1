from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.config import Job, to_toml
from streamreplay.errors import RunFolderError
from streamreplay.reading import Follower, read_job, read_lines, read_records, segments


def line(position: int, kind: str = "prequential", **more: Any) -> bytes:
    return orjson.dumps({**more, "kind": kind, "v": 1, "position": position}) + b"\n"


def run_folder(folder: Path, *files: tuple[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "job.toml").write_text("seed = 3\n")
    for name, content in files:
        (folder / name).write_bytes(content)
    return folder


def positions(records: list[dict[str, Any]]) -> list[int]:
    return [record["position"] for record in records]


def rotated(folder: Path) -> Path:
    return run_folder(
        folder,
        ("metrics.jsonl", line(5)),
        ("metrics.000002.jsonl", line(3) + line(4)),
        ("metrics.000010.jsonl", b""),
        ("metrics.000001.jsonl", line(1) + line(2)),
        ("metrics.old.jsonl", line(99)),
        ("timings.jsonl", line(7)),
    )


def test_files_come_in_the_order_they_were_filled(tmp_path: Path) -> None:
    run = rotated(tmp_path)
    names = [path.name for path in segments(run)]
    assert names == [
        *("metrics.000001.jsonl", "metrics.000002.jsonl", "metrics.000010.jsonl"),
        "metrics.jsonl",
    ]
    assert positions([*read_records(run)]) == [1, 2, 3, 4, 5]
    assert positions([*read_records(run, name="timings")]) == [7]
    (run / "metrics.jsonl").unlink()
    (run / "metrics.000001.jsonl").unlink()  # the oldest may have been deleted
    assert positions([*read_records(run)]) == [3, 4]


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    run = run_folder(tmp_path, ("metrics.jsonl", line(1) + line(2)[:-1]))
    assert [*read_lines(run)] == [line(1)]
    assert positions([*read_records(run)]) == [1]


def test_other_kinds_are_not_parsed(tmp_path: Path) -> None:
    broken = b'{"kind":"buffer","v":1,"position":2, damaged\n'
    learned = b'{"learner":"er","kind":"drift","v":1,"position":4}\n'
    spaced = b'{"position": 5, "kind": "drift"}\n{"position": 6, "kind": "buffer"}\n'
    run = run_folder(tmp_path, ("metrics.jsonl", line(1) + broken + learned + spaced))
    assert positions([*read_records(run, kinds=("drift",))]) == [4, 5]
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl:2: the line is damaged: "):
        [*read_records(run)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"\n", "metrics.jsonl:2: the line is damaged: "),
        (b"[1]\n", "metrics.jsonl:2: the line is damaged: it is no JSON object"),
        (
            b'{"kind":"retention","v":2}\n',
            "metrics.jsonl:2: is of version 2 of the log, this streamreplay reads 1",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, bad: bytes, message: str) -> None:
    run = run_folder(tmp_path, ("metrics.jsonl", line(1) + bad + line(3)))
    with pytest.raises(RunFolderError) as error:
        [*read_records(run)]
    assert str(error.value).startswith(f"{run}/{message}")


def test_a_log_without_versions_is_of_the_first(tmp_path: Path) -> None:
    run = run_folder(tmp_path, ("metrics.jsonl", b'{"kind":"retention","position":8}\n'))
    assert positions([*read_records(run)]) == [8]


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    file, empty, fresh = tmp_path / "file", tmp_path / "empty", run_folder(tmp_path / "fresh")
    file.touch()
    empty.mkdir()
    for path, message in (
        (tmp_path / "none", "there is no such folder"),
        (file, "is a file, not the folder of a run"),
        (empty, "is no run folder: it has neither job.toml nor metrics.jsonl"),
        (fresh, "has no metrics.jsonl"),
    ):
        with pytest.raises(RunFolderError) as error:
            [*read_records(path)]
        assert str(error.value) == f"{path}: {message}"


def test_the_job_is_read(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    (run / "job.toml").write_text(to_toml(Job(seed=3)))
    assert read_job(run) == Job(seed=3)
    (run / "job.toml").unlink()
    (run / "metrics.jsonl").touch()
    with pytest.raises(RunFolderError, match=r"has no job\.toml"):
        read_job(run)


def test_reading_needs_no_learner() -> None:
    """It begins at once: neither torch nor what builds a run is loaded."""
    code = "import sys, streamreplay.reading as r; r.Follower; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {*done.stdout.split()}
    assert "streamreplay.log.lines" in loaded
    assert not loaded & {"torch", "numpy", "streamreplay.config", "streamreplay.run.driver"}


def test_reading_survives_that_the_active_file_is_put_aside(tmp_path: Path) -> None:
    run = rotated(tmp_path)
    lines = read_lines(run)
    seen = [next(lines)]
    os.rename(run / "metrics.jsonl", run / "metrics.000011.jsonl")  # noqa: PTH104
    (run / "metrics.jsonl").write_bytes(line(6))
    assert [*seen, *lines] == [line(n) for n in (1, 2, 3, 4, 5)]  # as it was at the start


def test_a_follower_reads_what_came_since(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    follower, log = Follower(run), run / "metrics.jsonl"
    assert follower.read() == []
    log.write_bytes(line(1) + line(2)[:9])
    assert positions(follower.read()) == [1]
    assert follower.read() == []
    log.write_bytes(line(1) + line(2) + line(3))
    assert positions(follower.read()) == [2, 3]
    assert not follower.restarted


def test_a_follower_goes_on_in_the_next_file(tmp_path: Path) -> None:
    run = run_folder(tmp_path, ("metrics.jsonl", line(1)))
    follower, log = Follower(run), run / "metrics.jsonl"
    assert positions(follower.read()) == [1]
    log.write_bytes(line(1) + line(2))
    log.rename(run / "metrics.000001.jsonl")
    run_folder(tmp_path, ("metrics.000002.jsonl", line(3)), ("metrics.jsonl", line(4)))
    assert positions(follower.read()) == [2, 3, 4]
    assert not follower.restarted
    (run / "metrics.000001.jsonl").unlink()
    assert follower.read() == []
    assert not follower.restarted


@pytest.mark.parametrize("grown", [b"", line(8) + line(9) + line(10)])
def test_a_follower_tells_that_the_log_was_cut(tmp_path: Path, grown: bytes) -> None:
    run = run_folder(tmp_path, ("metrics.jsonl", line(1) + line(2) + line(3)))
    follower, log = Follower(run), run / "metrics.jsonl"
    follower.read()
    with log.open("r+b") as file:
        file.truncate(len(line(1)))
        file.seek(0, 2)
        file.write(grown)
    found = positions(follower.read())
    assert follower.restarted
    assert found == [1, *([8, 9, 10] if grown else [])]
    assert follower.read() == []
    assert not follower.restarted


def test_a_follower_tells_that_its_file_is_gone(tmp_path: Path) -> None:
    run = run_folder(tmp_path, ("metrics.000001.jsonl", line(1)), ("metrics.jsonl", line(2)))
    follower = Follower(run)
    follower.read()
    (run / "metrics.jsonl").unlink()  # cut back to a checkpoint in the file before
    (run / "metrics.000001.jsonl").rename(run / "metrics.jsonl")
    assert positions(follower.read()) == [1]
    assert follower.restarted


def test_a_follower_may_begin_near_the_end(tmp_path: Path) -> None:
    run = rotated(tmp_path)
    for most, expected in (
        (0, []),
        (1, []),
        (len(line(5)) - 1, []),
        (len(line(5)), [5]),
        (len(line(5)) + 3, [5]),
        (2 * len(line(5)), [4, 5]),
        (3 * len(line(5)), [3, 4, 5]),
        (4 * len(line(5)) + 1, [2, 3, 4, 5]),
        (1 << 30, [1, 2, 3, 4, 5]),
    ):
        follower = Follower(run, most_bytes=most)
        assert positions(follower.read()) == expected, most
        assert follower.read() == []
    with (run / "metrics.jsonl").open("ab") as log:
        log.write(b"damaged\n")
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl:2: "):
        Follower(run, most_bytes=10).read()


@given(
    steps=st.lists(st.sampled_from(["write", "half", "rotate", "read", "cut"]), max_size=40),
    kinds=st.sampled_from([None, ("drift",)]),
)
def test_a_follower_knows_what_a_new_reader_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], kinds: tuple[str, ...] | None
) -> None:
    run = run_folder(tmp_path_factory.mktemp("run"), ("metrics.jsonl", b""))
    log, follower, count, files = run / "metrics.jsonl", Follower(run, kinds=kinds), 0, 0
    known: list[dict[str, Any]] = []
    for step in [*steps, "read"]:
        content = log.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        match step:
            case "write" | "half":
                new = line(count, ("drift", "buffer")[count % 2])
                with log.open("r+b") as file:  # on in the same file: it keeps its identity
                    file.truncate(len(whole))
                    file.seek(len(whole))
                    file.write(new if step == "write" else new[:10])
                count += 1
            case "rotate" if whole and whole == content:
                files += 1
                log.rename(run / f"metrics.{files:06}.jsonl")
                log.touch()
            case "cut":
                with log.open("r+b") as file:
                    file.truncate(len(whole[: whole[:-1].rfind(b"\n") + 1]))
            case "read":
                records = follower.read()
                known = records if follower.restarted else [*known, *records]
                assert known == [*read_records(run, kinds=kinds)]
