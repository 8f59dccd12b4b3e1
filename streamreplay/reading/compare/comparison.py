"""Tests of whether one learner is better than another, or the difference may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.reading.bootstrap import Units
from streamreplay.reading.compare.learners import ComparedGroup, ComparedLearner, read_learners
from streamreplay.reading.compare.outcomes import METRICS, Outcomes, align, common_positions
from streamreplay.reading.estimates import (
    Estimate,
    average,
    difference,
    mean_of_runs,
    mean_of_stream,
)
from streamreplay.reading.seed_groups import group_by_seed, setting_differences

FEWEST_BLOCKS = 20
"""A test gives no verdict if the stream has fewer independent parts."""

Verdict = Literal["better", "worse", "no difference", "no verdict"]


@dataclass(frozen=True)
class Tested:
    """A mean along the stream, and the data that it comes from.

    Attributes
    ----------
    estimate : Estimate
    rows : int
        Rows that were scored; if not paired, those of the group with fewer.
    length : float
        Mean length of the blocks in rows.
    blocks : float
        Number of blocks.
    far : bool
        Whether rows depend on each other over longer distances than could be measured.
    units : int
        Rows, or steps between records, that were compared; if not paired, those of the group with
        fewer.
    """

    estimate: Estimate
    rows: int
    length: float
    blocks: float
    far: bool
    units: int


@dataclass(frozen=True)
class Difference:
    """The difference of one group from the first.

    Attributes
    ----------
    one, other : SeedGroup
        The first group, and the one that is compared with it.
    paired : bool
        Whether the streams are the same, so that differences are taken step by step.
    data : str
        The log that the outcomes are from: ``predictions`` or ``metrics``.
    interval : (float, float) or None
        None if there is no verdict.
    tested : Tested
    verdict : str
        About the other group, on this stream.
    seeds : Estimate or None
        The difference of the last scores, with its error over seeds; None if a group has one seed.
    """

    one: ComparedGroup
    other: ComparedGroup
    paired: bool
    data: str
    interval: tuple[float, float] | None
    tested: Tested
    verdict: Verdict
    seeds: Estimate | None

    @property
    def value(self) -> float:
        """The metric's mean of the other group minus that of the first."""
        return self.tested.estimate.value


@dataclass(frozen=True)
class Comparison:
    """The comparison of some learners.

    Attributes
    ----------
    metric : str
    groups : list of SeedGroup
    differences : list of Difference
        Of each further group from the first.
    settings : dict of str to list
        The settings that differ, with the value of each group.
    resamples : int
    """

    metric: str
    groups: list[ComparedGroup]
    differences: list[Difference]
    settings: dict[str, list[Any]]
    resamples: int


def compare_runs(
    runs: Sequence[Path], metric: str | None = None, *, resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Compare the learners of some runs by their logs.

    Parameters
    ----------
    runs : sequence of Path
        Run folders.
    metric : str, optional
        A score that is a mean over rows; by default accuracy, mean absolute error or exact match.
    resamples : int
        Number of resamples of each mean.
    seed : int
        Seed of the resampling.

    Raises
    ------
    ConfigError
        There is only one learner, or an option has a value that is not allowed.
    RunFolderError
        A run has no scores, its log and its job disagree, or the scores cannot be compared.
    """
    if metric is not None and metric not in METRICS:
        raise ConfigError(
            f"--metric: must be a mean over rows ({', '.join(METRICS)}), got {metric!r}"
        )
    if resamples < 100:
        raise ConfigError(f"--resamples: must be at least 100, got {resamples}")
    learners, chosen = read_learners(runs, metric)
    if len(learners) < 2:
        raise ConfigError(f"{runs[0]}: has one learner; give a second run to compare it with")
    groups = group_by_seed(learners)
    tests = [_Test(chosen, groups[0], other, resamples, seed) for other in groups[1:]]
    differences = [test.difference() for test in tests]
    return Comparison(chosen, groups, differences, setting_differences(groups), resamples)


class _Test:
    """The test of one group against another."""

    def __init__(
        self, metric: str, one: ComparedGroup, other: ComparedGroup, resamples: int, seed: int
    ) -> None:
        self._metric = metric
        self._one, self._other = one, other
        self._resamples = resamples
        self._rng = np.random.default_rng(seed)

    def difference(self) -> Difference:
        found = _outcomes([*self._one, *self._other])
        aligned = align(found)
        gains = None if aligned is None else self._gains(aligned)
        paired = gains is not None and len(gains) > 0
        tested = self._mean(gains) if gains is not None and paired else self._unpaired(found)
        verdict = self._verdict(tested)
        return Difference(
            one=self._one,
            other=self._other,
            paired=paired,
            data=found[0].data,
            interval=None if verdict == "no verdict" else tested.estimate.interval,
            tested=tested,
            verdict=verdict,
            seeds=self._over_seeds(),
        )

    def _verdict(self, tested: Tested) -> Verdict:
        low, high = tested.estimate.interval
        if tested.far or tested.blocks < FEWEST_BLOCKS:
            uncertain = tested.estimate.error or tested.estimate.value
            return "no verdict" if uncertain else "no difference"
        if low <= 0 <= high:
            return "no difference"
        return "better" if (low > 0) == METRICS[self._metric].more_is_better else "worse"

    def _gains(self, aligned: Sequence[Outcomes]) -> Units:
        """Return the differences step by step, without steps in which no row was scored."""
        cut = any(each.cut for each in aligned)
        steps = [each.steps(cut=cut) for each in aligned]
        rows = np.min([each.rows for each in steps], axis=0)  # that all have scored
        sums = [_scaled(each, rows) for each in steps]
        n = len(self._one)
        gain = np.mean(sums[n:], axis=0) - np.mean(sums[:n], axis=0)
        return Units(gain[rows > 0], rows[rows > 0])

    def _unpaired(self, found: Sequence[Outcomes]) -> Tested:
        steps = [each.steps() for each in found]
        means = [self._mean(Units(s.sums[s.rows > 0], s.rows[s.rows > 0])) for s in steps]
        n = len(self._one)
        one, other = (average([mean.estimate for mean in each]) for each in (means[:n], means[n:]))
        return Tested(
            difference(other, one),
            min(mean.rows for mean in means),
            max(mean.length for mean in means),
            min(mean.blocks for mean in means),
            any(mean.far for mean in means),
            min(mean.units for mean in means),
        )

    def _mean(self, units: Units) -> Tested:
        if not len(units):
            names = f"{self._one.first.run.folder} and {self._other.first.run.folder}"
            raise RunFolderError(f"{names}: no rows were scored in both")
        estimate, length, far = mean_of_stream(units, self._resamples, self._rng)
        rows = int(units.rows.sum())
        n = len(units)
        return Tested(estimate, rows, length * rows / n, n / length, far, n)

    def _over_seeds(self) -> Estimate | None:
        one, other = (
            group.values("prequential", self._metric) for group in (self._one, self._other)
        )
        if min(len(one), len(other)) < 2:
            return None
        return difference(mean_of_runs(other), mean_of_runs(one))


def _outcomes(learners: Sequence[ComparedLearner]) -> list[Outcomes]:
    """Return the outcomes by row if all have rows in common, else those between records."""
    rows = [each.predictions for each in learners if each.predictions is not None]
    if len(rows) == len(learners) and len(common_positions(rows)):
        return rows
    return [each.totals.outcomes() for each in learners]


def _scaled(steps: Units, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of steps, scaled down to a number of rows of each step."""
    share = np.divide(rows, steps.rows, out=np.zeros_like(rows), where=steps.rows > 0)
    return steps.sums * share
