"""Tables, names and lists as plain text for a terminal."""

from __future__ import annotations

import difflib
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias
from unicodedata import category

__all__ = [
    "Row",
    "aligned",
    "alternatives",
    "counted",
    "listed",
    "nearest_hint",
    "printable",
    "score_text",
    "split_names",
    "terminal_width",
    "unformulated",
    "visible",
    "wrapped",
    "wrapped_for",
]

Row: TypeAlias = tuple[str, ...]

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMAND = re.compile(r"(.*:) (streamreplay .*)")


def aligned(header: Row, rows: Sequence[Row], width: int | None = None) -> list[str]:
    """Return lines of text with aligned columns.

    Parameters
    ----------
    header : tuple of str
    rows : sequence of tuple of str
    width : int, optional
        Columns of the terminal. Where the lines are wider, each row is a name and its values below,
        with their headings.

    Examples
    --------
    >>> table = ("name", "n"), [("a", "10"), ("longer", "2")]
    >>> aligned(*table)
    ['name    n', 'a       10', 'longer  2']
    >>> aligned(*table, width=8)
    ['a', '  n 10', 'longer', '  n 2']
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if width is not None and sum(widths) + 2 * len(widths) - 2 > width:
        return [line for row in rows for line in _stacked(header, row, width)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def _stacked(header: Row, row: Row, width: int) -> list[str]:
    """Return the first cell of a row, and below it the others with their headings."""
    lines = [row[0], " "]
    for heading, cell in zip(header[1:], row[1:], strict=True):
        piece = f" {heading} {cell}"
        if len(lines[-1]) + len(piece) > width and lines[-1].strip():
            lines.append(" ")
        lines[-1] += f"{piece} "
    return [part for line in lines for part in _parts(line.rstrip(), width)]


def listed(names: Sequence[str]) -> str:
    """Write the first ten names, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b"]), listed(["x"] * 12)[-10:]
    ('a, b', 'and 2 more')
    """
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def alternatives(names: Iterable[str]) -> str:
    """Write names as alternatives.

    Examples
    --------
    >>> alternatives(["a"]), alternatives(["a", "b", "c"])
    ('a', 'a, b or c')
    """
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def counted(n: int, noun: str) -> str:
    """Write how many there are of something.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def split_names(text: str) -> list[str]:
    """Return the names in a list with commas, or in TOML's form.

    Examples
    --------
    >>> split_names("a, b,"), split_names('["a, b"]')
    (['a', 'b'], ['a, b'])
    """
    with suppress(tomllib.TOMLDecodeError):
        listed_names = tomllib.loads(f"names = {text}")["names"]
        if isinstance(listed_names, list):
            return [str(name) for name in listed_names]
    return [name.strip() for name in text.split(",") if name.strip()]


def nearest_hint(name: str, names: Sequence[str]) -> str:
    """Write which of some names is the most like a name that is none of them; "" if none is.

    Examples
    --------
    >>> nearest_hint("arival", ["id", "arrival"]), nearest_hint("Y", ["y"]), nearest_hint("z", [])
    (" (nearest: 'arrival')", " (nearest: 'y')", '')
    """
    same = [each for each in names if each.casefold() == name.casefold()]
    near = same or difflib.get_close_matches(name, names, 1)
    return f" (nearest: {near[0]!r})" if near else ""


def printable(name: Any) -> str:
    r"""Write a name as text, quoted if it has control characters.

    Examples
    --------
    >>> printable("cat"), printable(7), printable("a\x1b[2Jb")
    ('cat', '7', '"a\\u001b[2Jb"')
    """
    text = str(name)
    return text if text.isprintable() else json.dumps(text)


def visible(text: str, keep: str = "") -> str:
    r"""Write out the characters of a text that could talk to a terminal, as JSON writes them.

    These are control characters, those that change the direction of writing, line breaks other
    than those to keep, and what is no character at all.

    Examples
    --------
    >>> print(visible("a\x1b[2Jb\n"), visible("é 日本"))
    a\u001b[2Jb\n é 日本
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep or category(each) == "Zs" else _escaped(each)
        for each in text
    )


def _escaped(letter: str) -> str:
    return "\\u007f" if letter == "\x7f" else json.dumps(letter)[1:-1]


def unformulated(text: str) -> str:
    """Put ' in front of a text that a spreadsheet would take for a formula; numbers stay.

    Examples
    --------
    >>> unformulated("=1+1"), unformulated("-7.5"), unformulated("cat")
    ("'=1+1", '-7.5', 'cat')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def score_text(value: float | None) -> str:
    """Write a score with four decimals, a count without; "-" if there is none.

    Examples
    --------
    >>> score_text(0.5), score_text(1200), score_text(True), score_text(None)
    ('0.5000', '1,200', 'true', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def wrapped(message: str, width: int) -> str:
    r"""Break lines between words where they are wider than a terminal.

    A row of a table stays as it is, and so does a command at the end of a line: it gets a line of
    its own, so that it can be copied.

    Examples
    --------
    >>> print(wrapped("stopped at row 90; resume with: streamreplay run --resume --out a", 30))
    stopped at row 90; resume
      with:
      streamreplay run --resume --out a
    """
    return "\n".join(part for line in message.split("\n") for part in _parts(line, width))


def wrapped_for(descriptor: int, message: str) -> str:
    """Return a message as lines for the terminal that a descriptor is; as it is for all else."""
    columns = terminal_width(descriptor)
    return message if columns is None else wrapped(message, columns)


def terminal_width(descriptor: int, margin: int = 0) -> int | None:
    """Return the columns of the terminal that a descriptor is; None if it is something else.

    Parameters
    ----------
    descriptor : int
    margin : int
        Columns that are taken.
    """
    try:
        columns = os.get_terminal_size(descriptor).columns if os.isatty(descriptor) else 0
    except OSError:
        columns = 0
    return max(1, columns - margin) if columns else None


def _parts(line: str, width: int) -> list[str]:
    if len(line) <= width or "  " in line.strip():
        return [line]
    found = _COMMAND.fullmatch(line)
    text, command = (line, []) if found is None else (found[1], [f"  {found[2]}"])
    more = " " * (len(line) - len(line.lstrip()) + 2)
    fill = textwrap.TextWrapper(
        width, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )
    return [*fill.wrap(text), *command]
