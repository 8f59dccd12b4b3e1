"""A new file format: one entry of `FORMATS`, and jobs can name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamreplay.config import Job, build
from streamreplay.errors import ConfigError
from streamreplay.ingest import FORMATS, ArraySource, FileFormat


def open_counts(path: str, *, label: str | None = None, batch_size: int = 32) -> ArraySource:
    rows = [[float(i)] for i in range(int(Path(path).read_text()))]
    return ArraySource(rows, [label or "none"] * len(rows), batch_size=batch_size)


def job(path: Path, **source: Any) -> Job:
    return Job.model_validate({"source": {"path": str(path), **source}})


def test_a_format_is_found_by_suffix_and_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "counts", FileFormat(open_counts, (".count",)))
    path = tmp_path / "rows.count"
    path.write_text("7")
    source = build(job(path, label="cat", batch_size=4)).source
    assert isinstance(source, ArraySource)
    assert ([len(batch) for batch in source], source.labels.names) == ([4, 3], ["cat"])
    with pytest.raises(ConfigError, match=r"^source\.id: does not go with format counts, got 'i'$"):
        build(job(path, id="i"))


def test_every_format_may_be_named() -> None:
    for name in FORMATS:
        assert job(Path("rows"), format=name).source.format == name
    *most, last = map(repr, ["auto", *FORMATS])
    with pytest.raises(ValueError, match=f"{', '.join(most)} or {last}"):
        job(Path("rows"), format="xlsx")
