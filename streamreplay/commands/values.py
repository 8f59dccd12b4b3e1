"""Values of options, with errors in words that people know."""

from __future__ import annotations

from collections.abc import Callable

import typer

from streamreplay.plain_text import alternatives


def whole_number(text: str) -> int:
    """Return a whole number.

    Examples
    --------
    >>> whole_number("10_000")
    10000
    """
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, got {text!r}") from None


def number(text: str) -> float:
    """Return a number.

    Examples
    --------
    >>> number("0.5")
    0.5
    """
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number, got {text!r}") from None


def one_of(*names: str) -> Callable[[str], str]:
    """Return a function that returns one of some names.

    Examples
    --------
    >>> one_of("csv", "jsonl")("csv")
    'csv'
    """

    def name(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"must be {alternatives(names)}, got {text!r}")
        return text

    return name
