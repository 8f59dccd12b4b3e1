"""Mean curves over seeds along the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from streamreplay.reading.columns import Floats
from streamreplay.reading.estimates import LEVEL, t_quantile
from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.seed_groups import SeedGroup

CurveGroup: TypeAlias = SeedGroup[LearnerCurves]
"""Learners that differ only in their seed, with their curves."""

ReadCurve: TypeAlias = Callable[[LearnerCurves], tuple[Floats, Floats] | None]
"""Returns positions and values of a learner's curve, or None."""


@dataclass(frozen=True)
class MeanCurve:
    """A mean over seeds along the stream.

    Attributes
    ----------
    x, y : float64[n]
    low, high : float64[n], optional
        The 95 % interval of the mean, if there are several seeds.
    """

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def mean_curve(group: CurveGroup, read: ReadCurve) -> MeanCurve | None:
    """Return the mean over a group's seeds of a curve; None if no learner has it.

    If the seeds have records at different rows, values are interpolated linearly.
    """
    found = [curve for each in group if (curve := _known_points(read(each))) is not None]
    if not found:
        return None
    x, y = found[0]
    if len(found) == 1:
        return MeanCurve(x, y)
    start, stop = max(each[0][0] for each in found), min(each[0][-1] for each in found)
    x = x[(x >= start) & (x <= stop)]
    if not len(x):
        return MeanCurve(*found[0])
    values = np.stack([np.interp(x, *each) for each in found])
    n = len(values)
    half = t_quantile((1 + LEVEL) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    mean: Floats = values.mean(axis=0)
    return MeanCurve(x, mean, mean - half, mean + half)


def _known_points(curve: tuple[Floats, Floats] | None) -> tuple[Floats, Floats] | None:
    if curve is None:
        return None
    x, y = curve
    known = np.isfinite(y)
    known[:-1] &= (np.diff(x) > 0) | ~known[1:]  # of two points at one row, keep the later one
    return (x[known], y[known]) if known.any() else None


def read_score(name: str) -> ReadCurve:
    """Return a function that reads a prequential score along the stream, for `mean_curve`."""

    def read(learner: LearnerCurves) -> tuple[Floats, Floats] | None:
        values = learner.scores.get(name)
        return None if values is None else (learner.scores["position"], values)

    return read
