"""The section on drift: what the detectors found, in which direction, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from streamreplay.reading.number_text import number, percent, points
from streamreplay.reading.report.charts.chart import Section, Table
from streamreplay.reading.report.curves import CurveGroup, LearnerCurves
from streamreplay.reading.report.drifts import Drift, count_warm_up, read_drifts
from streamreplay.reading.scores import Score

_MOST = 40  # drifts and warnings of a run that are listed one by one
_BINS = 20  # stretches of the stream in which more of them are counted
_HEADER = ("row", "change", "before", "after", "level", "on", "detector", "actions")
_BINNED = ("rows", "drifts", "rose", "fell", "largest change", "before", "after", "warnings")
_WARM_UP = (
    " A drift of the warm-up is a fall of the error or the loss while the model first learned: "
    "the model changed, not the stream."
)
_MEANS = (
    " Before and after are means of what the detector watched, on both sides of the likeliest row "
    "of the change."
)
_NOT_KNOWN = " Logs of older versions do not have the direction and the size of a drift."


def drift_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section with the findings of drift detectors."""
    title = "Did the stream change?"
    found = [(group, read_drifts(group.first)) for group in groups]
    if not any(drifts for _, drifts in found):
        watched = any(group.first.watches_drift for group in groups)
        missing = (
            "The drift detectors of the job found nothing."
            if watched
            else "The job has no drift detector. To watch for drift, add a `[[drift]]` section to "
            "the job."
        )
        return Section("drift", title, missing=[missing])
    several, every = len(groups) > 1, [each for _, drifts in found for each in drifts]
    counts = [
        (f"{group.title}: " if several else "") + _count(group.first, drifts)
        for group, drifts in found
    ]
    lead = f"{'; '.join(counts)}. They are marked in the first chart."
    binned = any(len(drifts) > _MOST for _, drifts in found)
    if binned:
        lead += f" Those read are counted in {_BINS} equal stretches of the stream."
    lead += _WARM_UP if any(each.warm_up for each in every) else ""
    lead += _MEANS if any(each.change is not None for each in every) else _NOT_KNOWN
    return Section("drift", title, lead, figures=_table(found, binned=binned))


def _count(learner: LearnerCurves, drifts: Sequence[Drift]) -> str:
    if learner.n_drifts > len(drifts):
        return f"{learner.n_drifts:,} entries, of which {len(drifts):,} were read"
    if not drifts:
        return "nothing found" if learner.watches_drift else "not watched"
    levels = Counter(str(each.record.get("level")) for each in drifts)
    counts = [f"{n:,} {level}{'' if n == 1 else 's'}" for level, n in sorted(levels.items())]
    early = count_warm_up(drifts)
    if early:
        counts[0] += f" ({early:,} of the warm-up)"
    return ", ".join(counts)


def _table(found: Sequence[tuple[CurveGroup, Sequence[Drift]]], *, binned: bool) -> Table:
    rows: list[tuple[str, ...]] = []
    for group, drifts in found:
        of_group = _bins(group.first, drifts) if binned else [_cells(group, d) for d in drifts]
        rows += [(group.title, *cells) for cells in of_group]
    header = _BINNED if binned else _HEADER
    if len(found) == 1:
        return Table(header, [row[1:] for row in rows])
    return Table(("run", *header), rows)


def _cells(group: CurveGroup, drift: Drift) -> tuple[str, ...]:
    record = drift.record
    level = f"{record.get('level', '-')}{', warm-up' if drift.warm_up else ''}"
    actions = record.get("actions")
    return (
        f"{record['position']:,}",
        *_size(drift, group.first.score),
        level,
        *(str(record.get(field, "-")) for field in ("on", "detector")),
        ", ".join(map(str, actions)) if isinstance(actions, list) and actions else "-",
    )


def _size(drift: Drift, score: Score) -> tuple[str, str, str]:
    """Return the change, the mean before and the mean after as text."""
    if drift.change is None:
        return "-", "-", "-"
    on, record = str(drift.record.get("on")), drift.record
    if on.startswith("label") or (on == "error" and score.share):
        size = f"{points(abs(drift.change))[1:]} points"
        before, after = percent(record["before"]), percent(record["after"])
    else:
        size = number(abs(drift.change))
        before, after = number(record["before"]), number(record["after"])
    return f"{drift.direction} by {size}" if drift.direction else "none", before, after


def _bins(learner: LearnerCurves, drifts: Sequence[Drift]) -> list[tuple[str, ...]]:
    """Return a row for each stretch of the stream that has drifts or warnings."""
    last = learner.prequential["position"]
    rows: list[tuple[str, ...]] = []
    for low, high in pairwise(place * last // _BINS for place in range(_BINS + 1)):
        some = [drift for drift in drifts if low < min(drift.record["position"], last) <= high]
        if some:
            rows.append((f"{low + 1:,} to {high:,}", *_sums(some, learner.score)))
    return rows


def _sums(some: Sequence[Drift], score: Score) -> tuple[str, ...]:
    """Count drifts and warnings, and describe the largest change among them."""
    drifts = [each for each in some if each.is_drift]
    early, ways = count_warm_up(drifts), Counter(each.direction for each in drifts)
    count = f"{len(drifts):,}{f' ({early:,} warm-up)' if early else ''}"
    largest = max(some, key=_weight)
    change, *means = _size(largest, score)
    if largest.change is not None:
        change = f"{largest.record.get('on', '-')} {change}"
    counts = (count, f"{ways['rose']:,}", f"{ways['fell']:,}")
    return (*counts, change, *means, f"{len(some) - len(drifts):,}")


def _weight(drift: Drift) -> tuple[bool, bool, float]:
    """Return what orders changes: of the error, of the loss, then by size within their means."""
    on, record = drift.record.get("on"), drift.record
    if drift.change is None:
        return False, False, -1.0
    means = 1.0 if on == "error" else abs(record["before"]) + abs(record["after"]) or 1.0
    return on == "error", on == "loss", abs(drift.change) / means
