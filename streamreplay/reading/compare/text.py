"""A comparison as lines of text, and as a JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from streamreplay.log.score_table import COLUMNS
from streamreplay.plain_text import Row, aligned, printable
from streamreplay.reading.compare.comparison import Comparison, Difference
from streamreplay.reading.compare.learners import ComparedGroup
from streamreplay.reading.compare.outcomes import METRICS
from streamreplay.reading.compare.sentences import statements
from streamreplay.reading.estimates import LEVEL, difference_of_seeds, mean_of_seeds
from streamreplay.reading.seed_groups import setting_text

_COLUMNS = (
    ("prequential", "rows", "rows"),
    *COLUMNS,
    ("retention", "class_forgetting", "class forgetting"),
)


def comparison_lines(comparison: Comparison, width: int | None = None) -> Iterator[str]:
    """Yield the lines of the tables, then a paragraph for each sentence.

    Parameters
    ----------
    comparison : Comparison
    width : int, optional
        Columns of the terminal that the tables have to fit.
    """
    yield from _side_by_side(comparison.groups, width)
    yield from _settings(comparison, width)
    yield ""
    yield from statements(comparison)


def _side_by_side(groups: Sequence[ComparedGroup], width: int | None) -> Iterator[str]:
    columns = [*_scores(groups)]
    names = [printable(group.title) for group in groups]
    if len(groups) == 2:  # a line for each score leaves room for long names
        rows = [(title, *map(_mean_text, found), _change(*found)) for title, found in columns]
        yield from aligned(("", *names, "difference"), rows, width)
    else:
        header: Row = ("", *(title for title, _ in columns))
        by_group = [*zip(*(found for _, found in columns), strict=True)]
        named = [*zip(names, by_group, strict=True)]
        yield from aligned(
            header, [(name, *map(_mean_text, found)) for name, found in named], width
        )
        yield f"\ndifference from {names[0]}"
        changes = [(name, *map(_change, by_group[0], found)) for name, found in named[1:]]
        yield from aligned(header, changes, width)
    yield from _notes(groups)


def _scores(groups: Sequence[ComparedGroup]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yield each score that any group has: its heading, and the values of each group."""
    for kind, field, heading in _COLUMNS:
        found = [group.values(kind, field) for group in groups]
        if any(found):
            yield heading, found
    yield from _last_known(groups)
    rates = [[round(e.rows_per_s) for e in group if e.rows_per_s is not None] for group in groups]
    if any(rates):
        yield "rows/s", rates


def _last_known(groups: Sequence[ComparedGroup]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yield the score of repeating the label known last, if labels come late in any group."""
    records = [[each.prequential for each in group] for group in groups]
    if any("last_known" in record for record in chain.from_iterable(records)):
        scores = [list(map(_of_last_known, group)) for group in records]
        yield "last known", [[each for each in group if each is not None] for group in scores]


def _of_last_known(record: Mapping[str, Any]) -> float | None:
    baseline = record.get("last_known", record.get("no_change", {}))
    return next((baseline[name] for name in METRICS if name in baseline), None)


def _mean_text(values: Sequence[float]) -> str:
    """Write one value, or the mean of several and half the width of its interval."""
    if not values:
        return "-"
    mean = mean_of_seeds(values)
    if all(isinstance(value, int) for value in values):
        return f"{mean.value:,.0f}"
    return f"{mean.value:.4f}" if mean.half is None else f"{mean.value:.4f} +/- {mean.half:.4f}"


def _change(before: Sequence[float], now: Sequence[float]) -> str:
    if not before or not now:
        return "-"
    change = difference_of_seeds(now, before).value
    whole = all(isinstance(value, int) for value in (*before, *now))
    return f"{change:+,.0f}" if whole else f"{change:+.4f}"


def _notes(groups: Sequence[ComparedGroup]) -> Iterator[str]:
    learners = [learner for group in groups for learner in group]
    samples = {each.retention.get("sample", "test") for each in learners if each.retention}
    if samples == {"probe"}:
        yield "retained, forgetting: on rows of the probe"
    elif "probe" in samples:
        yield (
            "retained, forgetting: on rows of the test set where there is one, else of the probe"
        )
    positions = {each.prequential["position"] for each in learners}
    if len(positions) > 1:
        yield (
            f"the runs have different lengths ({min(positions):,} to {max(positions):,} rows): "
            "their last scores are not of the same rows"
        )
    if len(learners) > len(groups):
        yield f"+/-: {LEVEL:.0%} interval over seeds (Student's t)"


def _settings(comparison: Comparison, width: int | None) -> Iterator[str]:
    groups = comparison.groups
    if comparison.settings:
        yield "\nsettings that differ"
        rows = [(key, *map(_setting, values)) for key, values in comparison.settings.items()]
        yield from aligned(("", *(printable(group.name) for group in groups)), rows, width)
    unread = [printable(each.name) for group in groups for each in group if not each.settings]
    if unread:
        yield f"\nsettings that cannot be read: {', '.join(unread)}"


def _setting(value: Any) -> str:
    text = setting_text(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def comparison_object(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as an object for JSON."""
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


def _group(group: ComparedGroup, metric: str) -> dict[str, Any]:
    mean = mean_of_seeds(group.values("prequential", metric))
    interval = None if mean.half is None else [mean.value - mean.half, mean.value + mean.half]
    return {
        "name": group.name,
        "n": len(group),
        "mean": mean.value,
        "interval": interval,
        "runs": [
            {
                "name": learner.name,
                "path": str(learner.run.folder),
                "learner": learner.learner or None,
                "seed": learner.seed,
                "rows_per_s": learner.rows_per_s,
                "prequential": learner.prequential,
                "retention": learner.retention or None,
            }
            for learner in group
        ],
    }


def _difference(each: Difference) -> dict[str, Any]:
    seeds, tested = each.seeds, each.tested
    return {
        "from": each.one.name,
        "to": each.other.name,
        "value": each.value,
        "interval": None if each.interval is None else list(each.interval),
        "verdict": each.verdict,
        "paired": each.paired,
        "data": each.data,
        "rows": tested.rows,
        "block_length": tested.length,
        "blocks": tested.blocks,
        "dependence_without_end": tested.far,
        "seeds": seeds and {"value": seeds.value, "interval": list(seeds.interval)},
    }
