"""What metrics made of arrays of sums keep: of all rows, faded, by group, and the window's rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreplay.evaluation.recent_groups import RecentGroups
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.state import ARRAY, PART, Fields


class MetricSums:
    """Sums of one shape over all rows, with fading weights, and over the rows of each group.

    Parameters
    ----------
    empty : float64[...]
        The sums of no rows.
    window : Ring
        What the last rows were.
    """

    STATE = Fields(total=ARRAY, faded=ARRAY, window=PART, groups=PART)

    def __init__(self, empty: NDArray[np.float64], window: RecentRows) -> None:
        self._empty = empty
        self.total, self.faded, self.window = self.empty(), self.empty(), window
        self.groups = RecentGroups(self.empty, ARRAY)

    def empty(self) -> NDArray[np.float64]:
        """Return the sums of no rows."""
        return self._empty.copy()
