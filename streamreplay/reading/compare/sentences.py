"""A comparison in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from streamreplay.plain_text import printable
from streamreplay.reading.compare.comparison import FEWEST_BLOCKS, Comparison, Difference
from streamreplay.reading.compare.outcomes import METRICS
from streamreplay.reading.estimates import difference, mean_of_runs

__all__ = ["statements"]


def statements(comparison: Comparison) -> Iterator[str]:
    """Yield sentences on each difference, and on what the intervals do and do not cover."""
    for each in comparison.differences:
        yield _statement(each, comparison)
        yield from _what_is_retained(each, comparison.metric)
        if each.seeds is not None:
            n, m = len(each.other.members), len(each.one.members)
            words = _Words(comparison.metric, each.seeds.interval)
            low, high = each.seeds.interval
            told = "" if low > 0 or high < 0 else ": over seeds, no difference can be told"
            yield (
                f"Over seeds ({n} of {printable(each.other.name)}, {m} of "
                f"{printable(each.one.name)}): "
                f"{words.signed(each.seeds.value)} at the end "
                f"({words.interval(each.seeds.interval)}, Welch){told}."
            )
    yield from _cautions(comparison)


def _what_is_retained(each: Difference, metric: str) -> Iterator[str]:
    """Yield a sentence where scores of what comes now and of what was retained disagree."""
    kept = [_known(group.values("retention", metric)) for group in (each.one, each.other)]
    if not all(kept):
        return
    one, other = (sum(values) / len(values) for values in kept)
    if (other - one) * each.value < 0 and _is_clear(each, metric):
        words = _Words(metric, None)
        told = each.verdict in ("better", "worse")
        why = ": a score of what comes now rewards forgetting" if told else ""
        yield (
            f"But of what was never learned {printable(each.other.name)} has "
            f"{words.signed(other - one)} at "
            f"the end{why}."
        )


def _is_clear(each: Difference, metric: str) -> bool:
    """Tell whether retained scores are of the same sample and more apart than chance would do."""
    groups = (each.one, each.other)
    if len({sample for group in groups for sample in group.values("retention", "sample")}) > 1:
        return False
    kept = [_known(group.values("retention", metric)) for group in groups]
    seeded = min(map(len, kept)) > 1
    if seeded:
        low, high = difference(mean_of_runs(kept[1]), mean_of_runs(kept[0])).interval
        if low <= 0 <= high:
            return False
    if not METRICS[metric].counts:
        return seeded  # nothing else tells how much errors vary
    one, other = (sum(values) / len(values) for values in kept)
    # members of a group are asked for the same rows: more seeds are not more rows
    n, m = (min(_known(group.values("retention", "rows")), default=0) for group in groups)
    if not n or not m:
        return False
    return bool(abs(other - one) > 2 * math.sqrt(one * (1 - one) / n + other * (1 - other) / m))


def _known(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _cautions(comparison: Comparison) -> Iterator[str]:
    counts = [len(group.members) for group in comparison.groups]
    if max(counts) == 1:
        yield (
            "With one seed each, these intervals cover the randomness of the stream and not that "
            "of the seed."
        )
    elif min(counts) == 1:
        yield (
            "A difference to a group with one seed has no interval over seeds: what is said above "
            "covers the randomness of the stream alone."
        )
    if len(comparison.differences) > 1:
        n = len(comparison.differences)
        yield (
            f"Each of the {n} intervals holds for itself: that one of them errs is up to {n} times "
            "as likely."
        )


def _statement(each: Difference, comparison: Comparison) -> str:
    one, other = printable(each.one.name), printable(each.other.name)
    words = _Words(comparison.metric, each.interval)
    if each.verdict == "no verdict":
        return (
            f"No verdict on {other} against {one}: {words.signed(each.value)}, but {_why(each)} "
            f"({_how(each, comparison)})."
        )
    how = _how(each, comparison)
    if each.interval == (0.0, 0.0):
        return f"{other} and {one} did equally well at every step ({how})."
    told = words.interval(each.interval or (0.0, 0.0))
    if each.verdict == "no difference":
        return (
            f"No difference between {other} and {one} can be told: {words.signed(each.value)} "
            f"({told}; {how})."
        )
    return (
        f"{words.compared(other, one, each.value)} ({told}; {how}): {each.verdict} on this stream."
    )


def _why(each: Difference) -> str:
    if each.units < FEWEST_BLOCKS:
        what = "rows" if each.data == "predictions" else "stretches between records"
        return f"there are only {each.units} {what} to compare, and {FEWEST_BLOCKS} are needed"
    if each.far:
        return (
            "how they differ changes so slowly along the stream that no stretch of it can be taken "
            "for independent of the rest"
        )
    return (
        f"the stream has only about {each.blocks:.0f} stretches of {each.length:,.0f} rows that "
        f"can be taken for independent, and {FEWEST_BLOCKS} are needed"
    )


def _how(each: Difference, comparison: Comparison) -> str:
    rows = f"{each.rows:,} rows"
    if not each.paired:
        pairing = f"not paired, as the streams are not known to be the same; {rows}"
    elif each.data == "predictions":
        pairing = f"paired row by row, positions and labels being the same; {rows}"
    else:
        pairing = f"paired record by record, counts and baselines being the same; {rows}"
    if each.verdict == "no verdict":
        return pairing
    length = f"{each.length:,.1f}" if each.length < 10 else f"{each.length:,.0f}"
    return (
        f"{pairing}, blocks of {length}, {each.blocks:,.0f} blocks, "
        f"{comparison.resamples:,} resamples"
    )


class _Words:
    """How differences of a metric are written."""

    def __init__(self, metric: str, interval: tuple[float, float] | None) -> None:
        self._metric = METRICS[metric]
        self._points = self._metric.counts
        reach = 0.0 if interval is None else (interval[1] - interval[0]) / 2
        reach *= 100 if self._points else 1
        # one significant digit of how far it reaches, two where that is below 3
        self._digits = min(max(1, math.ceil(-math.log10(reach / 3))), 12) if reach else 2

    def compared(self, other: str, one: str, value: float) -> str:
        """Say that the one is more or less than the other."""
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
        """Write both ends."""
        low, high = map(self._number, interval)
        return f"95 % interval {low} to {high}"

    def _number(self, value: float) -> str:
        return f"{value * (100 if self._points else 1):.{self._digits}f}"
