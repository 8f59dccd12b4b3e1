"""Links, pipes and folders where a run folder has files: none is followed, opened or waited for."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trust.drive import READERS, Done, command, contents, read

LOGS = ("metrics.jsonl", "predictions.jsonl", "dead_letters.jsonl", "timings.jsonl")
FILES = (*LOGS, "events.log", ".lock", "job.toml")


def outside(run: Path) -> dict[str, object]:
    """Return what is around a run folder."""
    whole = contents(run.parents[1])
    return {name: what for name, what in whole.items() if not name.startswith("in/")}


def resume(run: Path) -> Done:
    return command("run", "--resume", "--out", run, "--set", "run.emit=none")


def link(path: Path) -> None:
    path.symlink_to("../../notes.txt")


def dangling(path: Path) -> None:
    path.symlink_to("../../made.txt")


def folder(path: Path) -> None:
    path.mkdir()


PLANTED: list[Callable[[Path], None]] = [link, dangling, os.mkfifo, folder]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", FILES)
def test_a_resume_opens_regular_files_alone(
    name: str, plant: Callable[[Path], None], run: Path
) -> None:
    (run / name).unlink()
    plant(run / name)
    before = outside(run)
    done = resume(run)
    assert done.refused, done
    assert f"run/{name}: " in done.err
    assert "not a regular file" in done.err
    assert outside(run) == before


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_no_pipe(name: str, reader: str, run: Path) -> None:
    (run / name).unlink()
    os.mkfifo(run / name)
    done = read(reader, run)
    assert not done.fault
    assert done.code == 0 or (
        done.refused and f"run/{name}: cannot be read: it is a named pipe" in done.err
    )


def test_the_readers_read_what_they_need(run: Path) -> None:
    used = {
        "tail": ("metrics.jsonl", "timings.jsonl", "events.log"),
        "inspect": ("metrics.jsonl",),
        "report": ("metrics.jsonl", "timings.jsonl", "events.log"),
        "compare": ("metrics.jsonl", "predictions.jsonl"),
        "export": LOGS,
    }
    for reader, names in used.items():
        for name in names:
            (run / name).rename(run / "aside")
            (run / name).symlink_to("aside")
            done = read(reader, run)
            assert done.refused, (reader, name, done)
            assert f"run/{name}: cannot be read: it is a symbolic link" in done.err
            (run / "aside").rename(run / name)
        assert read(reader, run).code == 0


class TestCheckpoints:
    def test_a_linked_folder_loses_nothing(self, run: Path) -> None:
        shutil.rmtree(run / "checkpoints")
        (run / "checkpoints").symlink_to("../../elsewhere")
        before = outside(run)
        for done in (resume(run), command("inspect", run)):
            assert done.refused, done
            assert "run/checkpoints: it is a symbolic link, not a folder" in done.err
        assert outside(run) == before

    def test_a_linked_checkpoint_is_left_out(self, run: Path) -> None:
        last = max((run / "checkpoints").iterdir())
        shutil.move(last, run / "aside")
        last.symlink_to("../aside")
        done = command("inspect", run)
        assert done.code == 0
        assert f"damaged: {last}: it is a symbolic link, not a folder" in done.out
        assert resume(run).code == 0  # which removes the link, and nothing behind it
        assert not last.is_symlink()
        assert (run / "aside" / "manifest.json").exists()

    @pytest.mark.parametrize("name", ["manifest.json", "state.json", "arrays.safetensors"])
    @pytest.mark.parametrize("plant", PLANTED, ids=lambda each: each.__name__)
    def test_its_files_are_regular(
        self, name: str, plant: Callable[[Path], None], run: Path
    ) -> None:
        for each in (run / "checkpoints").iterdir():
            (each / name).unlink()
            plant(each / name)
        for done in (resume(run), command("inspect", run)):
            assert done.refused, done
            assert f"{name}: cannot be read: it is " in done.err

    def test_links_among_temporary_folders_are_taken_away(self, run: Path) -> None:
        (run / "checkpoints" / ".tmp-999999999-x").symlink_to("../../../elsewhere")
        (run / "checkpoints" / f".tmp-{'9' * 30}-x").mkdir()
        before = outside(run)
        assert command("run", "--resume", "--out", run, "--limit", 0).code == 0
        assert outside(run) == before


def test_what_is_written_next_to_a_file_follows_no_link(run: Path) -> None:
    (run / "job.toml.tmp").symlink_to("../../notes.txt")
    before = outside(run)
    assert command("run", "--resume", "--out", run, "--set", "run.keep_checkpoints=2").code == 0
    assert outside(run) == before
    assert "keep_checkpoints = 2" in (run / "job.toml").read_text()


def test_a_log_with_a_second_name_is_not_written(run: Path) -> None:
    os.link(run / "metrics.jsonl", run.parents[1] / "copy.jsonl")
    done = resume(run)
    assert done.refused
    assert "run/metrics.jsonl: cannot be written: it has another name (a hard link)" in done.err
    assert read("tail", run).code == 0


def test_tables_go_into_a_folder_of_the_run(run: Path) -> None:
    (run / "export").symlink_to("../../elsewhere")
    before = outside(run)
    done = command("export", run, "--format", "csv")
    assert done.refused
    assert "run/export: it is a symbolic link, not a folder" in done.err
    assert outside(run) == before


def test_the_run_folder_itself_may_be_a_link(run: Path) -> None:
    (run.parent / "latest").symlink_to("run")
    for reader in READERS:
        assert read(reader, run.parent / "latest").code == 0
    assert resume(run.parent / "latest").code == 0
