from __future__ import annotations

import numpy as np
import pytest

from streamreplay.buffers.selection.gss import RandomProjection


@pytest.mark.parametrize(("short", "long"), [(3, 9), (1000, 1025), (1024, 5000)])
def test_appended_zeros_change_nothing(short: int, long: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((4, short)).astype(np.float32)
    padded = np.pad(vectors, ((0, 0), (0, long - short)))
    project = RandomProjection(7, 16)
    before = project(vectors)
    np.testing.assert_allclose(project(padded), before, rtol=1e-4, atol=1e-4)
    # whichever was asked first, and again after longer ones were
    assert (RandomProjection(7, 16)(padded) == project(padded)).all()
    assert (project(vectors) == before).all()


def test_rows_of_all_blocks_and_seeds_differ() -> None:
    project, other = RandomProjection(7, 8), RandomProjection(8, 8)
    unit = np.zeros((2, 2048), np.float32)
    unit[0, 5] = unit[1, 1024 + 5] = 1
    first, second = project(unit)
    assert (first != second).all()
    assert (other(unit)[0] != first).all()


def test_cosines_are_kept() -> None:
    """Cosines of 2,000 pairs: errors have deviation below 1 / sqrt(64), and mean 0 within 4 sigma.

    A correct program fails once in 10,000 seeds.
    """
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2000, 50)).astype(np.float32)
    b = a + 2 * rng.standard_normal((2000, 50)).astype(np.float32)

    def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return np.asarray((a * b).sum(1) / lengths)

    found = [cosines(RandomProjection(s, 64)(a), RandomProjection(s, 64)(b)) for s in range(20)]
    error = np.stack(found) - cosines(a, b)
    assert 0.05 < error.std() < 1 / 8
    # all pairs of one seed share a matrix: each seed is one independent draw
    assert abs(error.mean()) < 4 / 8 / np.sqrt(20)
    lengths = np.linalg.norm(RandomProjection(0, 64)(a), axis=1) / np.linalg.norm(a, axis=1)
    assert abs(lengths.mean() - 1) < 0.1
