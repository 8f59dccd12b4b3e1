"""Decide whether the first line of a CSV stream is a header."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from streamreplay.ingest.decode.cells import is_number

_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NAME = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_NO_VALUE = {"", "?", "na", "n/a", "nan", "null", "none", "-"}
_SURE = 5


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """Decides whether a first line is a header: surely if it has no number.

    Names may be numbers: 0, 1, 2, ... as pandas writes them, or any if a name that the job gives is
    among them. The line below then shows whether they are names or values.

    Attributes
    ----------
    named : collection of str
        Names of columns that the job gives.
    usual : str or None
        The name of the label's column, if the job gives none.
    decimal : str
        The decimal mark.

    Examples
    --------
    >>> rule = HeaderRule((), "y")
    >>> rule.decide(["a", "b"], None), rule.decide(["1", "b"], ["2", "c"])
    (True, False)
    >>> rule.decide(["0", "1", "y"], ["-0.5", "2.25", "a"])
    True
    >>> rule.decide(["0", "1", "y"], ["1", "0", "n"]) is None
    True
    """

    named: Collection[str]
    usual: str | None
    decimal: str = "."

    def decide(self, first: Sequence[str], second: Sequence[str] | None) -> bool | None:
        """Return whether the first line is a header; None if that is not certain.

        Parameters
        ----------
        first : sequence of str
            The cells of the first line.
        second : sequence of str, optional
            Those of the next line that is not blank.
        """
        cells = [cell.strip() for cell in first]
        numbers = self._numbers(cells)
        if not numbers:
            return True
        if not self._may_be_names(cells):
            return False
        if self._is_certain(cells):
            return True
        if second is None or len(second) != len(cells):
            return None
        below = [
            (cell in numbers, under.strip()) for cell, under in zip(cells, second, strict=True)
        ]
        if any(is_number(v, self.decimal) != number for number, v in below if _has_value(v)):
            return True
        fractions = any(number and not _WHOLE.fullmatch(v) for number, v in below if _has_value(v))
        return True if fractions and _in_order(numbers) else None

    def needs_next(self, first: Sequence[str]) -> bool:
        """Return whether only the line below can show what the first line is."""
        cells = [cell.strip() for cell in first]
        return (
            bool(self._numbers(cells)) and self._may_be_names(cells) and not self._is_certain(cells)
        )

    def _numbers(self, cells: list[str]) -> list[str]:
        return [cell for cell in cells if is_number(cell, self.decimal)]

    def _may_be_names(self, cells: list[str]) -> bool:
        """Return whether the cells may be names, and those that are numbers look like it."""
        if not may_be_names(cells, self.decimal):
            return False
        numbers = self._numbers(cells)
        texts = [cell for cell in cells if cell not in numbers]
        if any(text in self.named or text == self.usual for text in texts):
            return True
        return _in_order(numbers) and len(numbers) >= (2 if texts else 3)

    def _is_certain(self, cells: list[str]) -> bool:
        numbers = self._numbers(cells)
        if any(cell in self.named for cell in cells if cell not in numbers):
            return True
        return _in_order(numbers) and len(cells) > len(numbers) >= _SURE


def may_be_names(cells: Sequence[str], decimal: str = ".") -> bool:
    """Return whether all cells differ, those that are numbers are whole, and none lacks a value."""
    if len(set(cells)) < len(cells):
        return False
    named = cells[1:] if not cells[0] else cells  # pandas gives its index no name
    return all(
        _NAME.fullmatch(cell) if is_number(cell, decimal) else _has_value(cell) for cell in named
    )


def _in_order(numbers: list[str]) -> bool:
    return numbers == [str(i) for i in range(len(numbers))]


def _has_value(cell: str) -> bool:
    return cell.lower() not in _NO_VALUE
