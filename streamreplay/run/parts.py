"""The parts of a run's pipeline: the source, which may be followed, and the learners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamreplay.branches import Branches
from streamreplay.errors import ConfigError
from streamreplay.ingest.connect.byte_stream import ByteStream, source_name
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.pipeline import Pipeline
from streamreplay.stage import Source


def source_of(pipeline: Pipeline) -> Source:
    """Return the source of a job's pipeline."""
    if not isinstance(pipeline.source, Source):
        raise TypeError(f"a run needs a Source, got {type(pipeline.source).__name__}")
    return pipeline.source


def learners_of(pipeline: Pipeline) -> dict[str, object]:
    """Return the learners of a job's pipeline, by the sections of the job that they are from."""
    several = pipeline.stages.get("learners")
    if isinstance(several, Branches):
        named = {f"learner {name}": each["learner"] for name, each in several.branches.items()}
        return dict(named)
    return {"learner": pipeline.stages.get("learner")}


def follow(source: Source, tell: Callable[[str], None]) -> None:
    """Make a source wait for more at the end of its files.

    ``tell`` is called with a warning where the last file is rotated or truncated.

    Raises
    ------
    ConfigError
        Its files cannot be followed.
    """
    if not isinstance(source, LineSource):
        raise ConfigError("--follow goes with files of jsonl and csv that are not split by class")
    given = [source.path] if isinstance(source.path, str | Path) else list(source.path)
    if Path(given[-1]).is_file() and not ByteStream(given[-1]).seekable:
        raise ConfigError(
            f"--follow: {source_name(given[-1])} is compressed, and must be whole; give its folder "
            "to wait for further files"
        )
    source.follow = True
    source.on_notice = lambda notice: tell(f"warning: {notice}")
