"""Describe lines that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

RAW = 4096

DeadLetters: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes each line that cannot be read: where it is, why, and its text.

The keys are ``line`` (from 1), ``byte`` (of the line's start in the uncompressed stream, from 0),
``source``, ``reason`` and ``raw`` (the text, bytes that are no UTF-8 shown as ``\\xNN``). A text of
more than 4,096 characters is cut: then ``raw_cut`` is true, and ``raw_bytes`` the line's length.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be read: its number, counted from 0, and the reason."""

    line: int
    reason: str


def dead_letter(source: str, fault: Fault, line: bytes, start: int, length: int) -> dict[str, Any]:
    """Return the description of a line that cannot be read.

    Parameters
    ----------
    line : bytes
        The line, or its beginning.
    start, length : int
        Of the whole line in the stream, in bytes.
    """
    text = line[: 4 * RAW].decode("utf-8", "backslashreplace").removesuffix("\r")
    letter = {
        "line": fault.line + 1,
        "byte": start,
        "source": source,
        "reason": fault.reason,
        "raw": text[:RAW],
    }
    return letter if len(text) <= RAW else {**letter, "raw_cut": True, "raw_bytes": length}
