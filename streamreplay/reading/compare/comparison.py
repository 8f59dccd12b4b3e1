"""Runs side by side: which is better, and whether that can be told from chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.reading.bootstrap import Units
from streamreplay.reading.compare.members import Member, SeedGroup, group_members, read_members
from streamreplay.reading.compare.outcomes import METRICS, Outcomes, align, common_positions
from streamreplay.reading.estimates import (
    Estimate,
    average,
    difference,
    mean_of_runs,
    mean_of_stream,
)

__all__ = ["FEWEST_BLOCKS", "Comparison", "Difference", "Verdict", "compare_runs"]

FEWEST_BLOCKS = 20
"""With fewer independent stretches of the stream there is no verdict."""

Verdict = Literal["better", "worse", "no difference", "no verdict"]


@dataclass(frozen=True)
class Difference:
    """One group against the first.

    Attributes
    ----------
    one, other : Group
        The first, and the one that is compared with it.
    paired : bool
        Whether the streams are the same, so that differences were taken step by step.
    data : str
        The log that the outcomes are from: ``predictions`` or ``metrics``.
    rows : int
        Rows that were scored, of both, if paired, else of the one with fewer.
    value : float
        Mean of the metric of the other less that of the first, over these rows.
    interval : (float, float) or None
        None where there is no verdict.
    length : float
        Mean length of the blocks in rows.
    blocks : float
        How many of them there are.
    far : bool
        Whether dependence reaches further than could be seen.
    units : int
        Rows or stretches between records that were compared; of the one with fewer if not paired.
    verdict : str
        Of the other, on this stream.
    seeds : Estimate or None
        The same difference of the scores at the end, with its error over seeds; None where either
        group has one seed.
    """

    one: SeedGroup
    other: SeedGroup
    paired: bool
    data: str
    rows: int
    value: float
    interval: tuple[float, float] | None
    length: float
    blocks: float
    far: bool
    units: int
    verdict: Verdict
    seeds: Estimate | None


@dataclass(frozen=True)
class Comparison:
    """All that is known about some runs side by side.

    Attributes
    ----------
    metric : str
    groups : list of Group
    differences : list of Difference
        Of each group but the first, to the first.
    settings : dict of str to list
        Those in which groups differ, with the value of each group.
    resamples : int
    """

    metric: str
    groups: list[SeedGroup]
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
        How often each mean is drawn anew.
    seed : int
        Of these draws.

    Raises
    ------
    ConfigError
        There is nothing to compare, or the metric is none.
    RunFolderError
        A run has no scores, or they cannot be compared.
    """
    if metric is not None and metric not in METRICS:
        raise ConfigError(
            f"--metric: must be a mean over rows ({', '.join(METRICS)}), got {metric!r}"
        )
    if resamples < 100:
        raise ConfigError(f"--resamples: must be at least 100, got {resamples}")
    members, chosen = read_members(runs, metric)
    if len(members) < 2:
        raise ConfigError(f"{runs[0]}: has one learner; give a second run to compare it with")
    groups = group_members(members)
    tests = [_Test(chosen, groups[0], other, resamples, seed) for other in groups[1:]]
    return Comparison(
        chosen, groups, [test.difference() for test in tests], _differing(groups), resamples
    )


def _differing(groups: Sequence[SeedGroup]) -> dict[str, list[Any]]:
    of_each = [{**group.members[0].settings} for group in groups]
    for group, settings in zip(groups, of_each, strict=True):
        if len(group.members) > 1:
            settings["seed"] = [member.settings["seed"] for member in group]
    keys = dict.fromkeys(key for settings in of_each for key in settings)
    values = {key: [settings.get(key) for settings in of_each] for key in keys}
    return {key: found for key, found in values.items() if any(v != found[0] for v in found)}


class _Test:
    """The test of one group against another."""

    def __init__(
        self, metric: str, one: SeedGroup, other: SeedGroup, resamples: int, seed: int
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
        value, low, high = tested.estimate.value, *tested.estimate.interval
        verdict: Verdict = "no difference"
        if tested.far or tested.blocks < FEWEST_BLOCKS:
            verdict = "no verdict" if tested.estimate.error or value else "no difference"
        elif low > 0 or high < 0:
            verdict = "better" if (low > 0) == METRICS[self._metric].more_is_better else "worse"
        return Difference(
            one=self._one,
            other=self._other,
            paired=paired,
            data=found[0].data,
            rows=tested.rows,
            value=value,
            interval=None if verdict == "no verdict" else (low, high),
            length=tested.length,
            blocks=tested.blocks,
            far=tested.far,
            units=tested.units,
            verdict=verdict,
            seeds=self._over_seeds(),
        )

    def _gains(self, aligned: Sequence[Outcomes]) -> Units:
        """Return differences step by step; none where nothing was scored between two records."""
        cut = any(each.cut for each in aligned)
        steps = [each.steps(cut=cut) for each in aligned]
        rows = np.min([each.rows for each in steps], axis=0)  # scored of all
        sums = [_scaled(each, rows) for each in steps]
        n = len(self._one.members)
        gain = np.mean(sums[n:], axis=0) - np.mean(sums[:n], axis=0)
        return Units(gain[rows > 0], rows[rows > 0])

    def _unpaired(self, found: Sequence[Outcomes]) -> _Tested:
        steps = [each.steps() for each in found]
        means = [self._mean(Units(s.sums[s.rows > 0], s.rows[s.rows > 0])) for s in steps]
        n = len(self._one.members)
        one, other = (average([mean.estimate for mean in each]) for each in (means[:n], means[n:]))
        return _Tested(
            difference(other, one),
            min(mean.rows for mean in means),
            max(mean.length for mean in means),
            min(mean.blocks for mean in means),
            any(mean.far for mean in means),
            min(mean.units for mean in means),
        )

    def _mean(self, units: Units) -> _Tested:
        if not len(units):
            names = f"{self._one.members[0].run} and {self._other.members[0].run}"
            raise RunFolderError(f"{names}: no rows were scored in both")
        estimate, length, far = mean_of_stream(units, self._resamples, self._rng)
        rows = int(units.rows.sum())
        n = len(units)
        return _Tested(estimate, rows, length * rows / n, n / length, far, n)

    def _over_seeds(self) -> Estimate | None:
        one, other = (
            group.values("prequential", self._metric) for group in (self._one, self._other)
        )
        if min(len(one), len(other)) < 2:
            return None
        return difference(mean_of_runs(other), mean_of_runs(one))


@dataclass(frozen=True)
class _Tested:
    """An estimate, from how many rows, and by which blocks of rows."""

    estimate: Estimate
    rows: int
    length: float
    blocks: float
    far: bool
    units: int


def _outcomes(members: Sequence[Member]) -> list[Outcomes]:
    """Return the outcomes of rows if all have some in common, else those between records."""
    rows = [member.predictions for member in members if member.predictions is not None]
    if len(rows) == len(members) and len(common_positions(rows)):
        return rows
    return [member.totals.outcomes() for member in members]


def _scaled(steps: Units, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums as if only so many rows of each step had been scored."""
    share = np.divide(rows, steps.rows, out=np.zeros_like(rows), where=steps.rows > 0)
    return steps.sums * share
