"""What a number of a stage is multiplied with for some rows, saved and brought back exactly."""

from __future__ import annotations

import math
from typing import final

from streamreplay.state import State

__all__ = ["Boost", "check_boost"]


@final
class Boost:
    """A factor for so many rows, or for good.

    It holds from the next batch on, to the end of the batch in which its rows are used up. A factor
    for some rows replaces one for some rows that came before; factors for good are multiplied with
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

    def __init__(self) -> None:
        self._lasting = 1.0
        self._passing = 1.0
        self._left = 0  # rows for which the passing one still holds
        self.used = False
        """Whether the factor ever was another than 1."""

    @property
    def factor(self) -> float:
        """What the next batch is learned with."""
        return self._lasting * self._passing if self._left > 0 else self._lasting

    def set(self, factor: float, rows: int | None = None) -> None:
        """Multiply from the next batch on.

        Parameters
        ----------
        factor : float
        rows : int, optional
            For so many; None: for good.

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
        """Count the rows of a batch that was learned with it."""
        self._left = max(0, self._left - rows)

    def state_dict(self) -> State:
        """Return both factors, and the rows that are left."""
        return {
            "lasting": self._lasting,
            "passing": self._passing,
            "left": self._left,
            "used": self.used,
        }

    def load_state_dict(self, state: State | None) -> None:
        """Take over a state; None is that of a stage saved before there were factors."""
        state = state or Boost().state_dict()
        self._lasting, self._passing = float(state["lasting"]), float(state["passing"])
        self._left, self.used = int(state["left"]), bool(state.get("used", True))


def check_boost(factor: float, rows: int | None) -> None:
    """Refuse what cannot be a `Boost`.

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
