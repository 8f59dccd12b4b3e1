"""What the figures of a run say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from streamreplay.reading.report.summary import LearnerSummary, RetentionSummary, facts_of
from streamreplay.reading.report.trace import Trace
from streamreplay.reading.scores import and_list, number, percent, points, size

__all__ = ["Sentence", "sum_up"]

Tone: TypeAlias = Literal["plain", "warning"]

_MISLEADS = 0.10  # how far prequential accuracy may be above what is retained before it is said
_FELL = 0.05  # how far a class has to fall to be named
_NAMED = 3  # classes that are named


@dataclass(frozen=True)
class Sentence:
    """A thing worth knowing.

    Attributes
    ----------
    text : str
    tone : {"plain", "warning"}
    """

    text: str
    tone: Tone = "plain"


def sum_up(trace: Trace) -> list[Sentence]:
    """Say in a few sentences what a trace shows."""
    facts = facts_of(trace)
    return [
        *_predictions(facts),
        *_misleading(facts),
        *_retention(facts),
        *_boundary(facts),
        *_drifts(trace),
        *_cost(trace, facts),
    ]


def _predictions(facts: LearnerSummary) -> Iterator[Sentence]:
    score = facts.score
    if facts.overall is None:
        yield Sentence(f"None of the {facts.position:,} rows so far had a label to compare with.")
        return
    if score.name == "accuracy":
        text = f"Of {facts.rows:,} labelled rows, {percent(facts.overall)} were predicted right"
    else:
        overall = score.write(facts.overall)
        text = f"Over {facts.rows:,} labelled rows the {score.title} was {overall}"
    if facts.window is not None and facts.window_rows < facts.rows:
        text += f", and {score.write(facts.window)} over the last {facts.window_rows:,}"
    yield Sentence(f"{text}.")
    if not facts.baselines:
        return
    best = facts.best_baseline
    others = [f"{name} {score.write(value)}" for name, value in facts.baselines.items()]
    if score.better(facts.overall, facts.baselines[best]):
        gap = abs(facts.overall - facts.baselines[best])
        by = f"{points(gap)[1:]} points better" if score.share else f"lower by {number(gap)}"
        yield Sentence(
            f"Without any model the same score would be: {and_list(others)}. The model is {by} "
            f"than {best}."
        )
    else:
        yield Sentence(
            f"The model is not better than {best}: {score.write(facts.overall)} against "
            f"{score.write(facts.baselines[best])}. Without any model: {and_list(others)}.",
            "warning",
        )


def _misleading(facts: LearnerSummary) -> Iterator[Sentence]:
    """Say so where what was asked for hides what was forgotten."""
    if facts.score.name != "accuracy" or not facts.retained or facts.overall is None:
        return
    known = facts.retained[0].known
    if known is None:
        return
    if facts.overall - known >= _MISLEADS:
        asked = f"{percent(facts.overall)} of the rows were predicted right as they came"
    elif facts.window is not None and facts.window - known >= _MISLEADS:
        rows = f"{facts.window_rows:,} rows"
        asked = f"{percent(facts.window)} of the last {rows} were predicted right as they came"
    else:
        return
    yield Sentence(
        f"Prequential accuracy alone would mislead here: {asked}, but over all classes seen the "
        f"model knows {percent(known)} of rows that it never learned.",
        "warning",
    )


def _retention(facts: LearnerSummary) -> Iterator[Sentence]:
    if not facts.retained:
        yield Sentence(
            "What was forgotten is not known: no rows were kept out of learning. Run with "
            "`--probe 0.02`, or give the job a `[test]` section.",
            "warning",
        )
        return
    first = facts.retained[0]
    if first.score is not None:
        score = facts.score
        text = (
            f"On {first.rows:,} rows that it never learned ({_sample(first)}), the "
            f"model's {score.retained_title} is {score.write(first.score)} at the end"
        )
        if score.name == "accuracy" and first.known is not None:
            text += f"; the mean over the classes seen is {percent(first.known)}"
        yield Sentence(f"{text}.")
    for retained in facts.retained:
        withheld, probed = retained.last.get("withheld"), retained.last.get("probed")
        if withheld and probed:
            yield Sentence(
                f"The probe kept {withheld:,} rows out of learning and cost {probed:,} predictions."
            )
    yield from _lost(first)
    if len(facts.retained) > 1:
        yield from _agreement(facts.retained[0], facts.retained[1])


def _sample(retained: RetentionSummary) -> str:
    return "test set" if retained.sample == "test" else retained.sample


def _lost(retained: RetentionSummary) -> Iterator[Sentence]:
    fallen = [each for each in retained.lost if each.best - each.now >= _FELL]
    if fallen:
        named = [
            f"{each.name} (from {percent(each.best)} to {percent(each.now)})"
            for each in fallen[:_NAMED]
        ]
        rest = len(fallen) - len(named)
        more = f", and {rest} more by {100 * _FELL:.0f} points or more" if rest else ""
        yield Sentence(f"Most was forgotten of class {and_list(named)}{more}.")
    elif retained.last.get("by_class"):
        yield Sentence(f"No class fell by {100 * _FELL:.0f} points or more from its best.")
    if retained.forgetting is not None:
        value = 100 * retained.forgetting
        what = "experiences" if retained.last.get("forgetting") is not None else "classes"
        if retained.last.get("by_class"):
            yield Sentence(
                f"On average over earlier {what}, the model is {value:.1f} points below its best."
                if value > 0
                else f"On average over earlier {what}, nothing was forgotten."
            )


def _agreement(one: RetentionSummary, other: RetentionSummary) -> Iterator[Sentence]:
    if one.score is not None and other.score is not None and one.last.get("by_class"):
        yield Sentence(
            f"The {_sample(other)} ({other.rows:,} rows) says {percent(other.score)}: "
            f"{points(abs(other.score - one.score))[1:]} points from the "
            f"{_sample(one)}."
        )


def _boundary(facts: LearnerSummary) -> Iterator[Sentence]:
    for retained in facts.retained:
        gap = retained.last.get("stability_gap")
        if isinstance(gap, dict) and gap.get("depth") and gap["depth"] >= _FELL:
            after = gap.get("recovered_after")
            back = "it has not come back" if after is None else f"it was back after {after:,} rows"
            yield Sentence(
                f"When the last experience began, at row {gap['since']:,}, what was known of "
                f"earlier ones fell by {100 * gap['depth']:.1f} points; {back}.",
                "warning" if after is None else "plain",
            )
            return


def _drifts(trace: Trace) -> Iterator[Sentence]:
    found = [each for each in trace.drifts if each.get("level") == "drift"]
    warnings = [each for each in trace.drifts if each.get("level") == "warning"]
    if not found and not warnings:
        if trace.job.get("drift"):
            yield Sentence("No drift was detected.")
        return
    exact = trace.n_drifts == len(trace.drifts)
    if not exact:
        yield Sentence(
            f"Drift detectors fired {trace.n_drifts:,} times, warnings among them.", "warning"
        )
        return
    if found:
        places = [f"{each['position']:,}" for each in found[:_NAMED]]
        places += [f"{len(found) - _NAMED:,} more"] if len(found) > _NAMED else []
        by = and_list(list(dict.fromkeys(f"{e['detector']} on {e['on']}" for e in found))[:_NAMED])
        count = (
            "Drift was detected once" if len(found) == 1 else f"{len(found)} drifts were detected"
        )
        where = "row" if len(found) == 1 else "rows"
        text = f"{count}, by {by}, at {where} {and_list(places)}"
        done = list(dict.fromkeys(action for each in found for action in each.get("actions") or ()))
        text += f"; carried out: {and_list(done)}" if done else ""
        yield Sentence(f"{text}.")
    if warnings:
        times = "one warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        yield Sentence(f"There {'was' if len(warnings) == 1 else 'were'} {times} of drift.")


def _cost(trace: Trace, facts: LearnerSummary) -> Iterator[Sentence]:
    replayed = trace.last.get("replayed", 0)
    if replayed:
        yield Sentence(
            f"{replayed:,} rows of memory were learned again, {number(facts.replayed, digits=3)} "
            "for each row that came."
        )
    else:
        yield Sentence("Nothing was replayed.")
    if facts.rows_per_s is not None:
        text = f"It went through {facts.rows_per_s:,.0f} rows a second"
        if facts.p99_ms is not None:
            p99 = number(facts.p99_ms, digits=2)
            text += f", with a 99th percentile of typically {p99} ms for a batch"
        if facts.resident is not None:
            text += f", in {size(facts.resident)} of memory"
        yield Sentence(f"{text}.")
