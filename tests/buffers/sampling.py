"""What statistical tests of buffers share: streams, and how unlikely a sample is."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.batch import Batch
from streamreplay.buffers import ExemplarsBuffer

__all__ = ["FALSE_ALARM", "feed", "p_value", "share_p_value"]

FALSE_ALARM = 1e-4
"""How often a correct program may fail a test, over choices of seeds."""

AnyBuffer = TypeVar("AnyBuffer", bound=ExemplarsBuffer)


def feed(
    buffer: AnyBuffer,
    labels: NDArray[np.int64],
    chunk: int,
    start: int = 0,
    *,
    task: NDArray[np.int64] | None = None,
    experience: NDArray[np.int64] | None = None,
    time: NDArray[np.float64] | None = None,
) -> AnyBuffer:
    """Offer rows of so many labels, a chunk at a time."""
    x = np.zeros((len(labels), 1), np.float32)
    for a in range(0, len(labels), chunk):
        part = slice(a, a + chunk)
        buffer.update(
            Batch.from_arrays(
                x[part],
                labels[part],
                start=start + a,
                id=np.arange(start + a, start + a + len(labels[part])),
                task=0 if task is None else task[part],
                experience=0 if experience is None else experience[part],
                time=None if time is None else time[part],
            )
        )
    return buffer


def p_value(ages: list[int], n: int, bins: int, share: float = 0.0) -> float:
    """Return how likely ages this far from uniform on 0..n-1 are; ``share`` of n was drawn.

    Within a run rows are drawn without replacement, which shrinks the variance by 1 - share.
    """
    found = np.bincount(np.array(ages) * bins // n, minlength=bins)
    expected = len(ages) / bins
    return float(chi2.sf(((found - expected) ** 2).sum() / expected / (1 - share), bins - 1))


def share_p_value(found: ArrayLike, expected: ArrayLike) -> float:
    """Return how likely counts this far from the expected ones, of the same sum, are."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return float(chi2.sf(((found - expected) ** 2 / expected).sum(), len(found) - 1))
