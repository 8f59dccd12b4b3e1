"""Why reading ahead has stopped."""

from __future__ import annotations

from enum import Enum, auto


class Came(Enum):
    """Why reading has stopped."""

    ENOUGH = auto()
    LATE = auto()  # a row has waited long enough
    ENDED = auto()
    BROKEN = auto()  # it cannot be read any further: rows before the error go out first
    STOPPED = auto()
