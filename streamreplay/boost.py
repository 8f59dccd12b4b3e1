"""A factor that scales a number of a stage for some rows, or for good."""

from __future__ import annotations

import math
from typing import final

from streamreplay.state import Fields

__all__ = ["Boost", "check_boost"]


@final
class Boost:
    """A factor that holds for a number of rows, or for good.

    It holds from the next batch on, until the end of the batch in which its rows are used up. A
    factor for some rows replaces an earlier one for some rows; factors for good are multiplied with
    each other, and with that one.

    Examples
    --------
    >>> boost = Boost()
    >>> boost.set(3.0, rows=40)
    >>> boost.set(0.5)
    >>> boost.factor
    1.5
    >>> boost.passed(32)
    >>> boost.factor
    1.5
    >>> boost.passed(32)
    >>> boost.factor
    0.5
    """

    STATE = Fields(_lasting=float, _passing=float, _left=int, used=bool)

    def __init__(self) -> None:
        self._lasting = 1.0
        self._passing = 1.0
        self._left = 0  # rows for which the passing factor still holds
        self.used = False
        """True if the factor was ever another than 1."""

    @property
    def factor(self) -> float:
        """The factor for the next batch."""
        return self._lasting * self._passing if self._left > 0 else self._lasting

    def set(self, factor: float, rows: int | None = None) -> None:
        """Set a factor from the next batch on.

        Parameters
        ----------
        factor : float
        rows : int, optional
            The number of rows for which it holds; None: for good.

        Raises
        ------
        ValueError
            ``factor`` is not above 0 and finite, or ``rows`` is below 1.
        """
        check_boost(factor, rows)
        if rows is None:
            self._lasting *= factor
        else:
            self._passing, self._left = float(factor), rows
        self.used = self.used or self.factor != 1.0

    def passed(self, rows: int) -> None:
        """Count the rows of a batch for which the factor held."""
        self._left = max(0, self._left - rows)


def check_boost(factor: float, rows: int | None) -> None:
    """Check the arguments of a `Boost`.

    Raises
    ------
    ValueError
        ``factor`` is not above 0 and finite, or ``rows`` is below 1.

    Examples
    --------
    >>> check_boost(2.0, 0)
    Traceback (most recent call last):
    ValueError: rows must be at least 1, got 0
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"factor must be above 0 and finite, got {factor}")
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
