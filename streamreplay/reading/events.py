"""When a run was begun, by which versions, and what its columns were used for: from events.log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from streamreplay.errors import RunFolderError
from streamreplay.regular_files import open_to_read

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S*Z (.*)\n")
_VERSION = re.compile(r"streamreplay \S+, Python ")
_COLUMNS = "columns "


class ColumnsInUse(BaseModel):
    """What the columns, fields or arrays of a stream were used for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    features: Mapping[str, Sequence[str]] = {}
    """The features' names by kind."""
    goal: Mapping[str, str] = {}
    """What was predicted, and from which column it came."""
    roles: Mapping[str, str] = {}
    """The columns with the id, time, task, experience or weight of a row."""
    left_out: Mapping[str, str] = {}
    """Why each other column was not used."""


@dataclass(frozen=True)
class RunEvents:
    """What a run noted of itself.

    Attributes
    ----------
    begun, last : str
        Times of the first and the last event, in UTC, as ``2026-01-31 23:59:59``; "" if there are
        no events.
    versions : list of str
        Versions of this library, Python and others, each once; none in runs of older versions.
    columns : ColumnsInUse or None
        None if the run did not note them.
    """

    begun: str = ""
    last: str = ""
    versions: list[str] = field(default_factory=list)
    columns: ColumnsInUse | None = None


def read_events(path: Path) -> RunEvents:
    """Read a log of events. Lines that are none are left out.

    Raises
    ------
    RunFolderError
        The file is not a regular file, or cannot be read.
    """
    times: list[str] = []
    versions: dict[str, None] = {}
    columns = None
    try:
        with open_to_read(path) as file:
            for line in file:
                found = _LINE.fullmatch(line.decode(errors="replace"))
                if found is None:
                    continue
                times[1:] = [found[1].replace("T", " ")]
                if _VERSION.match(found[2]):
                    versions[found[2]] = None
                elif found[2].startswith(_COLUMNS):
                    columns = _columns(found[2].removeprefix(_COLUMNS)) or columns
    except FileNotFoundError:
        return RunEvents()
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from None
    return RunEvents(times[0], times[-1], [*versions], columns) if times else RunEvents()


def _columns(text: str) -> ColumnsInUse | None:
    try:
        return ColumnsInUse.model_validate_json(text)
    except ValidationError:
        return None
