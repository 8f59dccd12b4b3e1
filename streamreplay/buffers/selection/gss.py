"""Rows whose gradients point in different directions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection.base import Candidates, ExemplarsSelectionStrategy
from streamreplay.randomness import Seed, load_rng_state, make_rng, rng_state, spawn_seed
from streamreplay.state import State, expect

GradientFunction: TypeAlias = Callable[[Batch], NDArray[Any]]
"""Given n rows, returns the gradient of each row's loss: float[n, d]."""

_CHUNK = 256  # rows whose whole gradients are in memory at a time
_BLOCK = 1024  # rows of the projection drawn from one seed
_NO_GRADIENT = 3.0  # score of a row whose gradient is zero: behind all others, which are 0 to 2


@final
class GSSGreedySelectionStrategy(ExemplarsSelectionStrategy):
    """Keep rows whose gradients differ in direction (gradient-based sample selection, greedy).

    A new row's score is its largest cosine similarity to a few stored rows drawn at random, plus 1:
    near 0 for a row that pulls the model where no stored one does, near 2 for one more of the same.
    While there is room, rows are kept. Afterwards a row of a score below 1 takes the place of a
    stored one, drawn with probability proportional to its score C, with probability C / (C + c).

    Gradients are computed once for each row, when it arrives, and kept as a unit vector of
    ``n_components`` after a fixed random projection: similarities are those at arrival, in error by
    about ``1 / sqrt(n_components)``. Nothing is computed for stored rows.

    Two cases the paper leaves open. A row that there is nothing to compare with, the first of a
    group, counts as at a right angle to all (score 1): the maximum over nothing, -1, would make it
    the one row that never leaves. A row whose gradient is zero is compared with nothing, and only
    fills room: it gives its place to the next row that has a gradient.

    Rows are taken one by one in order of arrival, and stored ones are looked up in order of their
    score: how the stream was cut into batches does not matter as long as the gradients are the
    same. Costs one gradient for each new row, and O(d n_components + n_compared n_components + k).

    Parameters
    ----------
    gradient : callable
        Given a `Batch` of n rows, returns float[n, d], as `TorchLearner.gradients` does. d may grow
        from one call to the next, by entries at the end.
    n_components : int
        Floats stored with each row, less one for its score.
    n_compared : int
        Stored rows that a new one is compared with.
    seed : int or numpy.random.SeedSequence

    Raises
    ------
    ValueError
        ``n_components`` or ``n_compared`` is below 1.

    References
    ----------
    R. Aljundi, M. Lin, B. Goujaud, Y. Bengio, "Gradient based sample selection for online continual
    learning", NeurIPS 2019, Algorithm 2 (GSS-Greedy).

    Examples
    --------
    >>> strategy = GSSGreedySelectionStrategy(lambda rows: rows.x)  # x as if it were the gradient
    >>> rows = Batch.from_arrays([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    >>> notes = np.zeros((3, strategy.width), np.float32)
    >>> strategy.make_sorted_indices(Candidates(rows, 0, np.ones(3), notes), k=3)
    array([2, 0, 1])
    >>> notes[:, -1].round(3).tolist()
    [1.0, 2.0, 0.0]
    """

    def __init__(
        self,
        gradient: GradientFunction,
        n_components: int = 64,
        n_compared: int = 10,
        seed: Seed = 0,
    ) -> None:
        for name, value in (("n_components", n_components), ("n_compared", n_compared)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.gradient = gradient
        self.n_components = n_components
        self.n_compared = n_compared
        self.width = n_components + 1
        self._rng = make_rng(spawn_seed(seed, "draws"))
        matrix = spawn_seed(seed, "projection").generate_state(1, np.uint64)
        self._project = RandomProjection(int(matrix[0]), n_components)

    def make_sorted_indices(self, candidates: Candidates, k: int) -> NDArray[np.int64]:
        """Return the rows kept, ascending by score: int64[min(k, n)].

        ``candidates.notes`` of new rows that are kept are written: projected unit vector, score.

        Raises
        ------
        ValueError
            Gradients are not finite, or not one vector for each row.
        """
        if k < 1 or not len(candidates):
            return np.empty(0, np.int64)
        stored, notes = candidates.stored, candidates.notes
        fresh = self._directions(candidates.rows.take(slice(stored, None)))
        unit = np.concatenate([notes[:stored, :-1], fresh])  # float32[n, n_components]
        pool = _Pool(unit, notes[:stored, -1], k)
        for row in range(stored, len(unit)):
            if unit[row].any():
                self._offer(pool, row, k)
            elif len(pool) < k:
                pool.insert(row, _NO_GRADIENT)
        kept = np.array(pool.rows, np.int64)
        new = kept >= stored
        notes[kept[new], :-1] = unit[kept[new]]
        notes[kept[new], -1] = np.array(pool.score, np.float32)[new]
        return kept

    def _offer(self, pool: _Pool, row: int, k: int) -> None:
        """Store a row with a gradient, or drop it."""
        c = self._score(pool, row)
        if len(pool) < k:
            pool.insert(row, c)
        elif pool.score[-1] == _NO_GRADIENT:
            pool.remove(len(pool) - 1)
            pool.insert(row, c)
        elif c < 1:
            # P(i) = C_i / sum_j C_j, then r < C_i / (C_i + c); all C may be 0, if c is not
            total = np.cumsum(pool.score)
            draw, r = self._rng.random(2).tolist()
            victim = min(int(np.searchsorted(total, draw * total[-1], "right")), len(pool) - 1)
            weight = pool.score[victim]
            if r * (weight + c) < weight:
                pool.remove(victim)
                pool.insert(row, c)

    def _score(self, pool: _Pool, row: int) -> float:
        """Return the largest similarity to a few rows of the pool that have a gradient, plus 1."""
        comparable = bisect_right(pool.score, 2.0)  # the others are zero vectors
        if not comparable:
            return 1.0
        others = np.array(pool.rows[:comparable])
        if comparable > self.n_compared:
            others = others[self._rng.choice(comparable, self.n_compared, replace=False)]
        similarity = np.einsum("nm,m->n", pool.unit[others], pool.unit[row])
        # as a float32, which is how it is stored
        return float(np.clip(similarity.max() + np.float32(1), 0, 2))

    def _directions(self, rows: Batch) -> NDArray[np.float32]:
        """Return each row's projected gradient as a unit vector, or zeros: float32[n, m]."""
        chunks = [rows.take(slice(start, start + _CHUNK)) for start in range(0, len(rows), _CHUNK)]
        parts = [self._project(_scaled(self.gradient(chunk), len(chunk))) for chunk in chunks]
        projected = np.concatenate([np.empty((0, self.n_components), np.float32), *parts])
        length = np.sqrt(np.einsum("nm,nm->n", projected, projected))[:, None]
        np.divide(projected, length, out=projected, where=length > 0)
        return projected

    def state_dict(self) -> State:
        """Return the generator's state, and what the projection follows from."""
        return {
            "n_components": self.n_components,
            "n_compared": self.n_compared,
            "projection": self._project.seed,
            "draws": rng_state(self._rng),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same settings, with its projection, whatever the seed."""
        expect("n_components", state["n_components"], self.n_components)
        expect("n_compared", state["n_compared"], self.n_compared)
        load_rng_state("draws", self._rng, state["draws"])
        self._project = RandomProjection(int(state["projection"]), self.n_components)


class _Pool:
    """Rows kept so far, ascending by score; of equals, the one that came first."""

    def __init__(self, unit: NDArray[np.float32], score: NDArray[np.float32], k: int) -> None:
        self.unit = unit  # float32[n, n_components], of all candidates
        order = score.argsort(kind="stable")[:k]
        self.rows: list[int] = order.tolist()
        self.score: list[float] = score[order].tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def insert(self, row: int, score: float) -> None:
        place = bisect_right(self.score, score)
        self.rows.insert(place, row)
        self.score.insert(place, score)

    def remove(self, place: int) -> None:
        del self.rows[place], self.score[place]


def _scaled(gradient: NDArray[Any], n: int) -> NDArray[np.float32]:
    """Check gradients, and scale each so that its largest entry is 1: only directions matter."""
    gradient = np.asarray(gradient)
    if gradient.ndim != 2 or len(gradient) != n:
        raise ValueError(f"gradients must be [{n}, d] for {n} rows, got {gradient.shape}")
    largest = np.abs(gradient).max(1, initial=0.0)
    finite = np.isfinite(largest)
    if not finite.all():
        raise ValueError(f"gradients must be finite, {n - finite.sum()} of {n} are not")
    return (gradient / np.where(largest > 0, largest, 1)[:, None]).astype(np.float32)


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
