"""A random projection that is the same for ever, for vectors of any length."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.randomness import make_rng, spawn_seed

_BLOCK = 1024  # rows drawn from one seed


@final
class RandomProjection:
    """Project vectors to few components by a fixed Gaussian matrix.

    Cosines are kept up to an error of about ``1 / sqrt(n_components)`` (standard deviation for
    vectors at a right angle). Rows of the matrix are drawn in blocks, each from a seed of its own:
    the matrix for longer vectors begins with that for shorter ones, so a vector that has had zeros
    appended, as a gradient when the head grows, is projected to where it was before.

    Parameters
    ----------
    seed : int
        The matrix follows from it, and need not be saved.
    n_components : int

    References
    ----------
    W. B. Johnson, J. Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984.

    Examples
    --------
    >>> project = RandomProjection(seed=0, n_components=2)
    >>> short, long = project(np.ones((1, 3))), project(np.array([[1, 1, 1, 0.0]]))
    >>> bool(np.allclose(short, long))
    True
    """

    def __init__(self, seed: int, n_components: int) -> None:
        self.seed = seed
        self.n_components = n_components
        self._matrix = np.empty((0, n_components), np.float32)  # [rows drawn, n_components]

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project float[n, d] to float32[n, n_components]; their lengths stay the same in mean."""
        projected = vectors.astype(np.float32, copy=False) @ self._first(vectors.shape[1])
        return projected / np.float32(np.sqrt(self.n_components))

    def _first(self, d: int) -> NDArray[np.float32]:
        """Return the matrix for vectors of length d, drawing what is not there yet."""
        drawn = len(self._matrix) // _BLOCK
        needed = -(-d // _BLOCK)
        if needed > drawn:
            more = [self._draw_block(block) for block in range(drawn, needed)]
            self._matrix = np.concatenate([self._matrix, *more])
        return self._matrix[:d]

    def _draw_block(self, block: int) -> NDArray[np.float32]:
        rng = make_rng(spawn_seed(self.seed, f"block {block}"))
        return rng.standard_normal((_BLOCK, self.n_components), np.float32)
