"""The latest rows of each class among the rows learned from."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

_NEVER = 1 << 62


@final
class ClassRecency:
    """The number of each class's latest row, counting the rows learned from."""

    def __init__(self) -> None:
        self.rows = 0
        """Labelled rows learned from."""
        self.latest = np.empty(0, np.int64)
        """int64[width], the number of each class's latest row."""

    def add(self, y: NDArray[np.int64], width: int) -> None:
        """Count rows by their labels, -1 for none; there are ``width`` classes now."""
        y = y[y >= 0]
        if len(self.latest) < width:
            # a class without rows is not recent, however far one looks back
            more = np.full(width - len(self.latest), -_NEVER)
            self.latest = np.append(self.latest, more)
        self.latest[y] = self.rows + 1 + np.arange(len(y))  # of equal labels the last one counts
        self.rows += len(y)

    def among(self, back: int) -> NDArray[np.bool_]:
        """Return which classes are among the last ``back`` rows learned from: bool[width]."""
        return self.latest > self.rows - back

    def clear(self) -> None:
        """Start counting again."""
        self.rows, self.latest = 0, np.empty(0, np.int64)
