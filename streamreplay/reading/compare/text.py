"""A comparison as text for a person, and as an object for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from streamreplay.log.score_table import COLUMNS
from streamreplay.plain_text import Row, aligned, printable
from streamreplay.reading.compare.comparison import Comparison, Difference
from streamreplay.reading.compare.members import SeedGroup
from streamreplay.reading.compare.sentences import statements
from streamreplay.reading.estimates import LEVEL, mean_of_runs

__all__ = ["comparison_lines", "comparison_object"]

_COLUMNS = (
    ("prequential", "rows", "rows"),
    *COLUMNS,
    ("retention", "class_forgetting", "class forgetting"),
)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of the tables, then a paragraph for each sentence."""
    yield from _side_by_side(comparison.groups)
    yield from _settings(comparison)
    yield ""
    yield from statements(comparison)


def _side_by_side(groups: Sequence[SeedGroup]) -> Iterator[str]:
    columns = [*_scores(groups)]
    names = [printable(group.title) for group in groups]
    if len(groups) == 2:  # a line for each score leaves room for long names
        rows = [(title, *map(_written, found), _change(*found)) for title, found in columns]
        yield from aligned(("", *names, "difference"), rows)
    else:
        header: Row = ("", *(title for title, _ in columns))
        table = zip(*(found for _, found in columns), strict=True)
        found_by_group = [*table]
        yield from aligned(
            header,
            [
                (name, *map(_written, found))
                for name, found in zip(names, found_by_group, strict=True)
            ],
        )
        yield f"\nless {names[0]}"
        yield from aligned(
            header,
            [
                (name, *map(_change, found_by_group[0], found))
                for name, found in zip(names[1:], found_by_group[1:], strict=True)
            ],
        )
    yield from _notes(groups)


def _scores(groups: Sequence[SeedGroup]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yield each score that anyone has: its heading, and for each group its members' values."""
    for kind, field, heading in _COLUMNS:
        found = [_known(group.values(kind, field)) for group in groups]
        if any(found):
            yield heading, found
    rates = [_known([member.rows_per_s for member in group]) for group in groups]
    if any(rates):
        yield "rows/s", [[round(rate) for rate in each] for each in rates]


def _known(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _written(values: Sequence[float]) -> str:
    """Write one value, or the mean of several and how far its interval reaches."""
    if not values:
        return "-"
    if len(values) == 1:
        return _number(values[0])
    estimate = mean_of_runs(values)
    if all(isinstance(value, int) for value in values):
        return f"{estimate.value:,.0f}"
    return f"{estimate.value:.4f} +/- {estimate.interval[1] - estimate.value:.4f}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _change(before: Sequence[float], now: Sequence[float]) -> str:
    if not before or not now:
        return "-"
    change = sum(now) / len(now) - sum(before) / len(before)
    whole = all(isinstance(value, int) for value in (*before, *now))
    return f"{change:+,.0f}" if whole else f"{change:+.4f}"


def _notes(groups: Sequence[SeedGroup]) -> Iterator[str]:
    samples = {m.retention.get("sample", "test"): g.name for g in groups for m in g if m.retention}
    if "probe" in samples:
        said = (
            "the probe" if len(samples) == 1 else "the test set where there is one, else the probe"
        )
        yield f"retained, forgetting: on rows of {said}"
    positions = {member.score["position"] for group in groups for member in group}
    if len(positions) > 1:
        yield (
            f"these are the last scores, and the runs are of different lengths "
            f"({min(positions):,} to {max(positions):,} rows)"
        )
    if any(len(group.members) > 1 for group in groups):
        yield f"+/-: {LEVEL:.0%} interval over seeds (Student's t)"


def _settings(comparison: Comparison) -> Iterator[str]:
    if comparison.settings:
        yield "\nsettings that differ"
        rows = [(key, *map(_setting, values)) for key, values in comparison.settings.items()]
        yield from aligned(("", *(printable(group.name) for group in comparison.groups)), rows)
    unread = [printable(m.name) for group in comparison.groups for m in group if m.job is None]
    if unread:
        yield f"\nsettings that cannot be read: {', '.join(unread)}"


def _setting(value: Any) -> str:
    text = "-" if value is None else printable(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def comparison_object(comparison: Comparison) -> dict[str, Any]:
    """Return what JSON can hold of a comparison."""
    return {
        "v": 1,
        "metric": comparison.metric,
        "level": LEVEL,
        "resamples": comparison.resamples,
        "groups": [_group(group, comparison.metric) for group in comparison.groups],
        "settings": {
            key: dict(zip((group.name for group in comparison.groups), values, strict=True))
            for key, values in comparison.settings.items()
        },
        "differences": [_difference(each) for each in comparison.differences],
        "statements": [*statements(comparison)],
    }


def _group(group: SeedGroup, metric: str) -> dict[str, Any]:
    scores = _known(group.values("prequential", metric))
    seeds = mean_of_runs(scores) if len(scores) > 1 else None
    return {
        "name": group.name,
        "n": len(group.members),
        "mean": sum(scores) / len(scores),
        "interval": None if seeds is None else list(seeds.interval),
        "runs": [
            {
                "name": member.name,
                "path": str(member.run),
                "learner": member.learner or None,
                "seed": member.settings.get("seed"),
                "rows_per_s": member.rows_per_s,
                "prequential": member.score,
                "retention": member.retention or None,
            }
            for member in group
        ],
    }


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "from": each.one.name,
        "to": each.other.name,
        "value": each.value,
        "interval": None if each.interval is None else list(each.interval),
        "verdict": each.verdict,
        "paired": each.paired,
        "data": each.data,
        "rows": each.rows,
        "block_length": each.length,
        "blocks": each.blocks,
        "dependence_without_end": each.far,
        "seeds": None
        if each.seeds is None
        else {"value": each.seeds.value, "interval": list(each.seeds.interval)},
    }
