"""Weights that fade with each row, for sums over a whole stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Fading:
    """Compute the weights of S_t = c_t + a S_{t-1}, unrolled over a block of rows.

    Parameters
    ----------
    factor : float
        The a, in (0, 1].
    block : int
        Most rows in a block.

    Examples
    --------
    >>> fading = Fading(0.5, 4)
    >>> fading.weights(3).tolist(), fading.decay(3)
    ([0.25, 0.5, 1.0], 0.125)
    """

    def __init__(self, factor: float, block: int) -> None:
        # a**block, ..., a, 1 by multiplication: pow() may differ between processors
        factors = np.full(block + 1, factor)
        factors[0] = 1.0
        self._powers: NDArray[np.float64] = np.multiply.accumulate(factors)[::-1].copy()

    def weights(self, n: int) -> NDArray[np.float64]:
        """Return the weights of n rows at the last of them: a**(n-1), ..., 1."""
        return self._powers[len(self._powers) - n :]

    def decay(self, n: int) -> float:
        """Return a**n: the factor of a sum after n more rows."""
        return float(self._powers[-n - 1])
