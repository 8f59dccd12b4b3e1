"""A uniform sample: the strategy that chooses nothing."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection.base import OnlineSelectionStrategy


@final
class RandomExemplarsSelectionStrategy(OnlineSelectionStrategy):
    """Keep a uniform sample of all rows a group was ever offered (reservoir sampling).

    Keys are drawn once for each row and never again, so an old row stays with the same probability
    as a new one. (To shuffle the stored rows together with the new ones at each update instead
    would forget the old ones exponentially.)

    References
    ----------
    J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985. Rows are chosen by
    random keys, which has the law of its Algorithm R.

    Examples
    --------
    >>> rows = Batch.from_arrays([[0.0], [1.0]])
    >>> RandomExemplarsSelectionStrategy().make_keys(rows, np.array([0.25, 0.5]))
    array([0.25, 0.5 ])
    """

    def make_keys(self, rows: Batch, uniform: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return ``uniform``: float64[n]."""
        return uniform
