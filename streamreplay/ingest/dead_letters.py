"""Describe lines that cannot be read, and say what to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from streamreplay.put_aside import PutAside, most_common, reasons_text

RAW = 4096
FIRST_RECORDS = 1000
"""Records at the beginning of a stream, one of which must be usable."""

_ADVICE = (
    ("not JSON", "each line must be one JSON object (jq -c writes such lines); see --format"),
    ("not a JSON object", "each line must be one JSON object; see --format"),
    ("line has more than", "raise source.max_line_bytes"),
    ("line has", "set source.delimiter, or source.header"),
    ("there is no number", "name columns of numbers with --features"),
    ("decimal comma", 'set source.decimal = ","'),
    ("label without event", "an event with its id must come before it; see source.id"),
    ("label whose event", "let more events wait: see labels.max_pending and labels.max_age"),
    ("feature", "name the columns to learn from with --features"),
    ("not UTF-8", "convert the stream to UTF-8"),
    ("a NUL character", "convert the stream to UTF-8"),
    ("many NUL characters", "convert the stream to UTF-8"),
    ("not CSV", "each quoted cell must be closed; see source.delimiter"),
)
"""What to do about a reason, by how it begins."""

_FIELDS = ("label", "target", "weight", "task", "experience", "id", "time")

DeadLetters: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes each line or row that cannot be read: where it is, why, and its text.

The keys are ``line`` (from 1; in Parquet and Arrow the row), ``byte`` (of the line's start in the
uncompressed stream, from 0; absent for Parquet and Arrow), ``source``, ``reason`` and ``raw`` (the
text, bytes that are no UTF-8 shown as ``\\xNN``, or the row as JSON). A text of more than 4,096
characters is cut: then ``raw_cut`` is true, and ``raw_bytes`` the line's length.
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
    cut = len(text) > RAW or len(line) < length
    return {**letter, "raw_cut": True, "raw_bytes": length} if cut else letter


def row_letter(source: str, fault: Fault, text: bytes) -> dict[str, Any]:
    """Return the description of a row that is no line, and so has no place in bytes.

    Parameters
    ----------
    text : bytes
        The row as JSON.
    """
    letter = dead_letter(source, fault, text, 0, len(text))
    del letter["byte"]
    return letter


def no_usable_row(source: str, aside: PutAside) -> str:
    """Return the message that no record of a stream could be used, why, and what to set.

    Examples
    --------
    >>> aside = PutAside()
    >>> aside.add("task 'A' is not an integer", record=0, line=2)
    >>> no_usable_row("rows.csv", aside)
    'rows.csv: its only record cannot be used (task … is not an integer; the first, line 2): see \
source.task'
    """
    why = reasons_text(aside.reasons, aside.first_line)
    advice = advice_on(most_common(aside.reasons)[0][0])
    none = f"none of the {aside.count:,} records can be used"
    if aside.count == 1:
        none = "its only record cannot be used"
    elif aside.count >= FIRST_RECORDS:
        none = f"none of the first {aside.count:,} records can be used"
    return f"{source}: {none} ({why}): {advice}"


def advice_on(reason: str) -> str:
    """Return what to do about a reason for which records were put aside.

    Examples
    --------
    >>> advice_on("line has N cells, expected N")
    'set source.delimiter, or source.header'
    """
    for beginning, found in _ADVICE:
        if reason.startswith(beginning):
            return found
    field = reason.split(" ", 1)[0]
    if field == "label":
        return "see --label"
    return f"see source.{field}" if field in _FIELDS else "see --format and --features"
