"""A disk that is full, or cannot be written: one line, and the run goes on afterwards."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamreplay import commands
from streamreplay.config import load_job
from streamreplay.errors import ConfigError, StreamReplayError
from streamreplay.log.tables.export import export_logs
from streamreplay.reading.report import make_report, write_page, write_pictures
from tests.run.test_ends import content, logs, resume, start, whole

__all__ = ["whole"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size inside the block, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 100, 1000, 2000, 5000, 9000, 12_000, 16_000, 20_000])
def test_a_run_on_a_full_disk_is_resumed(whole: Path, tmp_path: Path, size: int) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        with (
            pytest.raises(StreamReplayError, match=r"File too large$") as raised,
            largest_file(size),
        ):
            start(whole / "rows.jsonl", out) if not out.exists() else resume(out)
        assert "\n" not in str(raised.value)
        assert str(out) in str(raised.value)
        if not (out / "job.toml").exists():
            break
    again = resume(out) if (out / "job.toml").exists() else start(whole / "rows.jsonl", out)
    assert again == 0
    assert logs(out) == logs(whole / "out")


def test_what_reads_a_run_leaves_no_halves_behind(whole: Path, tmp_path: Path) -> None:
    report = make_report([whole / "out"])
    page = tmp_path / "page.html"
    page.write_text("before")
    with largest_file(100):
        with pytest.raises(
            StreamReplayError, match=r"page.html: cannot be written: File too large"
        ):
            write_page(report, page)
        with pytest.raises(StreamReplayError, match=r"\.svg: cannot be written: File too large"):
            write_pictures(report, tmp_path / "charts", "svg")
        for form in ("csv", "parquet"):
            with pytest.raises((OSError, StreamReplayError), match="File too large"):
                export_logs(whole / "out", tmp_path / form, form)
            assert not [*(tmp_path / form).iterdir()]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["page.html"]
    assert page.read_text() == "before"


def test_a_folder_that_cannot_be_written(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StreamReplayError, match=r"out: cannot be written: Read-only file system$"):
        start(whole / "rows.jsonl", tmp_path / "out")


def test_a_name_that_is_not_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows\udcff.jsonl"
    path.write_text("\n".join(content(40)))
    with pytest.raises(ConfigError, match=r"^source.path: must be UTF-8, got '.*rows\\udcff.jsonl"):
        load_job(None, [f"source.path={path}"])
    readable = tmp_path / "rows.jsonl"
    path.rename(readable)
    out = tmp_path / "out\udcff"
    assert start(readable, out) == resume(out) == 0
    write_page(make_report([out]), tmp_path / "page.html")
    assert r"out\udcff" in (tmp_path / "page.html").read_text()
    monkeypatch.setattr("sys.argv", ["streamreplay", "export", str(out)])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 0
    assert r"out\udcff/export/prequential.parquet: " in capsys.readouterr().err
