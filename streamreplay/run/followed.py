"""The source of a run, which it may follow."""

from __future__ import annotations

from streamreplay.errors import ConfigError
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.pipeline import Pipeline
from streamreplay.stage import Source


def source_of(pipeline: Pipeline) -> Source:
    """Return the source of a job's pipeline."""
    if not isinstance(pipeline.source, Source):
        raise TypeError(f"a run needs a Source, got {type(pipeline.source).__name__}")
    return pipeline.source


def follow(source: Source) -> None:
    """Let a source wait for more at the end of its files.

    Raises
    ------
    ConfigError
        Its files cannot be followed.
    """
    if not isinstance(source, LineSource):
        raise ConfigError("--follow goes with files of jsonl and csv that are not split by class")
    source.follow = True
