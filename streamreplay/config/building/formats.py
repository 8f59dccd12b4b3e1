"""Find the files of a job's source, and their format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamreplay.config.job import SourceSection
from streamreplay.config.parsing.inputs import Inputs, listed
from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.connect.byte_stream import source_name
from streamreplay.ingest.connect.files import files_of
from streamreplay.ingest.detect import Detected, detect, same_format
from streamreplay.ingest.formats import FORMATS
from streamreplay.plain_text import alternatives

_STREAMS = tuple(name for name, each in FORMATS.items() if each.streams)


def find_inputs(settings: SourceSection, stop: Callable[[], bool] | None = None) -> Inputs:
    """Find the files of a source, and their format by their content if none is given.

    All files decide; if there are only pipes, the first of them, which is waited for.

    Parameters
    ----------
    settings : SourceSection
    stop : callable, optional
        Asked while waiting for a pipe: if true, waiting ends.

    Raises
    ------
    ConfigError
        Files have different formats, or no format can be told.
    SourceError
        A file cannot be opened, or is of no format that is known.
    """
    paths, given = listed(settings.path), _given(settings)
    files = files_of(paths)
    found = [each for file in files if _is_file(file) and (each := _detect(file, given))]
    if given is None and not found:
        found = [detect(files[0], stop=stop)]
        files[0] = found[0].path
        paths = files
        if stop is not None and stop():
            return Inputs(files, found[0].format or "jsonl")
    return Inputs(files, _common_format(files, found, given), _notices(found, given), paths)


def _common_format(files: list[str], found: list[Detected], given: str | None) -> str:
    """Return the one format of all files, and check that so many may have it."""
    kinds: dict[str, str] = {}
    for each in found:
        if each.format is not None:
            kinds.setdefault(each.format, source_name(each.path))
    if given is not None and len(found) < len(files):
        kinds.setdefault(given, "standard input")  # is read as that, as it was by a run before
    _check_same(kinds)
    kind = given or next(iter(kinds), None)
    if kind is None:
        raise ConfigError(
            f"source.format: {source_name(files[0])} holds nothing that shows its format: give "
            "jsonl or csv"
        )
    if len(files) > 1 and not FORMATS[kind].streams:
        raise ConfigError(
            f"source.path: several files must be {alternatives(_STREAMS)}, got {len(files)} of "
            f"format {kind}"
        )
    return kind


def _given(settings: SourceSection) -> str | None:
    return None if settings.format == "auto" else settings.format


def _is_file(path: str) -> bool:
    return path != "-" and Path(path).is_file()


def _detect(file: str, given: str | None) -> Detected | None:
    """Return what a file holds; None where a format is given and the content shows none."""
    try:
        return detect(file, given)
    except SourceError:
        if given is None:
            raise
        return None


def _check_same(kinds: dict[str, str]) -> None:
    """Check that files of one stream have one format, given a file of each."""
    if any(not same_format(kind, next(iter(kinds))) for kind in kinds):
        found = ", ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise ConfigError(f"source.path: files of one stream have one format, got {found}")


def _notices(found: list[Detected], given: str | None) -> list[str]:
    """Return a notice of the first file whose content is not what its name or the job says."""
    if given is None:
        return [each.mismatch for each in found if each.mismatch][:1]
    return [
        f"{source_name(each.path)} holds {each.format}, and is read as {given}, as source.format "
        "says"
        for each in found
        if each.format is not None and not same_format(each.format, given)
    ][:1]
