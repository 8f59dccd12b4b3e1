"""Sentences on a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from streamreplay.plain_text import printable
from streamreplay.reading.compare.comparison import FEWEST_BLOCKS, Comparison, Difference
from streamreplay.reading.compare.outcomes import METRICS
from streamreplay.reading.estimates import difference, mean_of_runs


def statements(comparison: Comparison) -> Iterator[str]:
    """Yield sentences on each difference, and on what the intervals cover."""
    for each in comparison.differences:
        yield _verdict(each, comparison)
        yield from _retention(each, comparison.metric)
        yield from _over_seeds(each, comparison.metric)
    yield from _cautions(comparison)


def _verdict(each: Difference, comparison: Comparison) -> str:
    one, other = printable(each.one.name), printable(each.other.name)
    words, how = _DifferenceText(comparison.metric, each.interval), _how(each, comparison)
    if each.verdict == "no verdict":
        return (
            f"No verdict on {other} against {one}: {words.signed(each.value)}, but {_why(each)} "
            f"({how})."
        )
    if each.interval == (0.0, 0.0):
        return f"{other} and {one} did equally well at every step ({how})."
    interval = words.interval(each.interval or (0.0, 0.0))
    if each.verdict == "no difference":
        return (
            f"No significant difference between {other} and {one}: {words.signed(each.value)} "
            f"({interval}; {how})."
        )
    compared = words.compared(other, one, each.value)
    return f"{compared} ({interval}; {how}): {each.verdict} on this stream."


def _why(each: Difference) -> str:
    """Return the reason why there is no verdict."""
    tested = each.tested
    if tested.units < FEWEST_BLOCKS:
        units = "rows" if each.data == "predictions" else "steps between records"
        return f"there are only {tested.units} {units} to compare, and {FEWEST_BLOCKS} are needed"
    if tested.far:
        return (
            "their difference changes so slowly along the stream that no part of it is independent "
            "of the rest"
        )
    return (
        f"the stream has only about {tested.blocks:.0f} independent parts of {tested.length:,.0f} "
        f"rows, and {FEWEST_BLOCKS} are needed"
    )


def _how(each: Difference, comparison: Comparison) -> str:
    """Describe the data and the method of a test."""
    tested, rows = each.tested, f"{each.tested.rows:,} rows"
    if not each.paired:
        pairing = f"not paired, since the streams may differ; {rows}"
    elif each.data == "predictions":
        pairing = f"paired row by row, since positions and labels are equal; {rows}"
    else:
        pairing = f"paired record by record, since counts and baselines are equal; {rows}"
    if each.verdict == "no verdict":
        return pairing
    length = f"{tested.length:,.1f}" if tested.length < 10 else f"{tested.length:,.0f}"
    return (
        f"{pairing}, blocks of {length}, {tested.blocks:,.0f} blocks, "
        f"{comparison.resamples:,} resamples"
    )


def _retention(each: Difference, metric: str) -> Iterator[str]:
    """Yield a sentence if the scores on current rows and on retained rows disagree."""
    kept = [group.values("retention", metric) for group in (each.one, each.other)]
    if not all(kept):
        return
    one, other = (sum(values) / len(values) for values in kept)
    if (other - one) * each.value < 0 and _is_clear(each, metric):
        words = _DifferenceText(metric, None)
        clear = each.verdict in ("better", "worse")
        why = ": a score on current rows rewards forgetting" if clear else ""
        yield (
            f"But on rows that were never learned, {printable(each.other.name)} has "
            f"{words.signed(other - one)} at the end{why}."
        )


def _is_clear(each: Difference, metric: str) -> bool:
    """Return whether retained scores are of the same sample, and differ by more than chance."""
    groups = (each.one, each.other)
    samples = [sample for group in groups for sample in group.values("retention", "sample")]
    if len({*samples}) > 1:
        return False
    kept = [group.values("retention", metric) for group in groups]
    seeded = min(map(len, kept)) > 1
    if seeded:
        low, high = difference(mean_of_runs(kept[1]), mean_of_runs(kept[0])).interval
        if low <= 0 <= high:
            return False
    if not METRICS[metric].counts:
        return seeded  # the spread of errors is known from seeds only
    # learners of a group are tested on the same rows, so that more seeds are not more rows
    rows = [min(group.values("retention", "rows"), default=0) for group in groups]
    return _is_beyond_chance([sum(values) / len(values) for values in kept], rows)


def _is_beyond_chance(shares: Sequence[float], rows: Sequence[int]) -> bool:
    """Return whether two shares of rows differ by more than two standard errors."""
    if not all(rows):
        return False
    variance = sum(share * (1 - share) / n for share, n in zip(shares, rows, strict=True))
    return abs(shares[1] - shares[0]) > 2 * math.sqrt(variance)


def _over_seeds(each: Difference, metric: str) -> Iterator[str]:
    if each.seeds is None:
        return
    words = _DifferenceText(metric, each.seeds.interval)
    low, high = each.seeds.interval
    verdict = "" if low > 0 or high < 0 else ": no significant difference over seeds"
    yield (
        f"Over seeds ({len(each.other)} of {printable(each.other.name)}, {len(each.one)} of "
        f"{printable(each.one.name)}): {words.signed(each.seeds.value)} at the end "
        f"({words.interval(each.seeds.interval)}, Welch){verdict}."
    )


def _cautions(comparison: Comparison) -> Iterator[str]:
    counts = [len(group) for group in comparison.groups]
    if max(counts) == 1:
        yield (
            "With one seed each, these intervals cover the randomness of the stream and not that "
            "of the seed."
        )
    elif min(counts) == 1:
        yield (
            "A difference from a group with one seed has no interval over seeds: its interval "
            "covers only the randomness of the stream."
        )
    n = len(comparison.differences)
    if n > 1:
        yield (
            f"Each of the {n} intervals is valid on its own; the probability that at least one of "
            f"them is wrong is up to {n} times as high."
        )


class _DifferenceText:
    """Writes differences of a metric with as many digits as their interval justifies."""

    def __init__(self, metric: str, interval: tuple[float, float] | None) -> None:
        self._metric = METRICS[metric]
        self._points = self._metric.counts
        reach = 0.0 if interval is None else (interval[1] - interval[0]) / 2
        reach *= 100 if self._points else 1
        # one significant digit of the interval's half width, two if that is below 3
        self._digits = min(max(1, math.ceil(-math.log10(reach / 3))), 12) if reach else 2

    def compared(self, other: str, one: str, value: float) -> str:
        """Write how far one group is above or below another."""
        if self._metric.noun == "accuracy":
            more = "more" if value > 0 else "less"
            return f"{other} is {self._number(abs(value))} points {more} accurate than {one}"
        higher = "higher" if value > 0 else "lower"
        points = " points" if self._points else ""
        return (
            f"The {self._metric.noun} of {other} is {self._number(abs(value))}{points} {higher} "
            f"than that of {one}"
        )

    def signed(self, value: float) -> str:
        """Write a difference with its sign."""
        noun = f"points of {self._metric.noun}" if self._points else f"in {self._metric.noun}"
        return f"{'+' if value >= 0 else ''}{self._number(value)} {noun}"

    def interval(self, interval: tuple[float, float]) -> str:
        """Write both ends of an interval."""
        low, high = map(self._number, interval)
        return f"95 % interval {low} to {high}"

    def _number(self, value: float) -> str:
        return f"{value * (100 if self._points else 1):.{self._digits}f}"
