"""Sentences on what the log of a learner shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from streamreplay.log.rows_text import labels_text, latency_text, sum_text
from streamreplay.reading.number_text import and_list, number, percent, points, size
from streamreplay.reading.report.curves import LearnerCurves
from streamreplay.reading.report.drifts import count_warm_up, read_drifts
from streamreplay.reading.report.summary import LearnerSummary, RetentionSummary, summarize
from streamreplay.reading.scores import Score, sample_name

Tone: TypeAlias = Literal["plain", "warning"]

_MISLEADING = 0.10  # prequential accuracy this far above retained accuracy is pointed out
_FELL = 0.05  # a class is named if its accuracy has fallen by so much
_NAMED = 3  # classes that are named


@dataclass(frozen=True)
class Sentence:
    """A sentence of the summary.

    Attributes
    ----------
    text : str
    tone : {"plain", "warning"}
    """

    text: str
    tone: Tone = "plain"


def learner_sentences(learner: LearnerCurves) -> list[Sentence]:
    """Return a few sentences on what a learner's log shows."""
    summary = summarize(learner)
    return [
        *_predictions(summary),
        *_rows(learner),
        *_misleading(summary),
        *_retention(summary),
        *_stability_gap(summary),
        *_drifts(learner),
        *_cost(learner, summary),
    ]


def _predictions(summary: LearnerSummary) -> Iterator[Sentence]:
    score, overall = summary.score, summary.overall
    if overall is None:
        yield Sentence(f"None of the {summary.position:,} rows so far had a label to compare with.")
        return
    if score.name == "accuracy":
        text = f"Of {summary.rows:,} labelled rows, {percent(overall)} were predicted correctly"
    else:
        text = f"Over {summary.rows:,} labelled rows the {score.title} was {score.write(overall)}"
    if summary.window_differs:
        text += f", and {score.write(summary.window)} over the last {summary.window_rows:,}"
    yield Sentence(f"{text}.")
    if summary.baselines:
        yield _baselines(summary, overall)


def _rows(learner: LearnerCurves) -> Iterator[Sentence]:
    """Yield what became of the rows that came."""
    rows = learner.rows
    if rows:
        lost = rows["put_aside"] or rows["skipped"]
        text = f"What became of the rows of the stream: {sum_text(rows)}."
        yield Sentence(text, "warning" if lost else "plain")
        if labels_text(rows):
            yield Sentence(f"Labels that came later than their rows: {labels_text(rows)}.")
    if latency_text(learner.late):
        yield Sentence(f"How late labels came: {latency_text(learner.late)}.")


def _baselines(summary: LearnerSummary, overall: float) -> Sentence:
    """Compare the model with the best baseline over all rows, and over the window if it differs."""
    score, best = summary.score, summary.best_baseline
    others = and_list([f"{name} {score.write(each)}" for name, each in summary.baselines.items()])
    over = f"over all {summary.rows:,} labelled rows"
    better, against = _against(score, overall, best, summary.baselines[best])
    text = f"Without any model the same score {over} would be: {others}. "
    if better:
        text += f"Over these rows the model is {against}."
    else:
        text = f"The model is {against}, {over}. Without any model: {others}."
    agrees = True
    if summary.window is not None and summary.window_differs and summary.window_baselines:
        last = summary.best(summary.window_baselines)
        value = summary.window_baselines[last]
        now_better, against = _against(score, summary.window, last, value)
        agrees = now_better == better
        if not agrees:
            text += f" But over the last {summary.window_rows:,} it is {against}."
    return Sentence(text, "plain" if better and agrees else "warning")


def _against(score: Score, value: float, name: str, baseline: float) -> tuple[bool, str]:
    """Return whether a model is better than a baseline, and the comparison as text."""
    figures = f"{score.write(value)} against {score.write(baseline)}"
    if not score.better(value, baseline):
        return False, f"not better than {name}: {figures}"
    if score.share:
        return True, f"{points(value - baseline)[1:]} points better than {name}"
    return True, f"{number(baseline - value)} better than {name}"


def _misleading(summary: LearnerSummary) -> Iterator[Sentence]:
    """Yield a warning if prequential accuracy hides what was forgotten.

    It is compared with a mean over classes, which is lower already where rare classes are hard. So
    its own mean over classes must be above that, too.
    """
    known = summary.retained[0].known if summary.retained else None
    if summary.score.name != "accuracy" or summary.overall is None or known is None:
        return
    if _least(summary.overall, summary.by_class) - known >= _MISLEADING:
        right = f"{percent(summary.overall)} of the rows"
    elif (
        summary.window is not None
        and _least(summary.window, summary.window_by_class) - known >= _MISLEADING
    ):
        right = f"{percent(summary.window)} of the last {summary.window_rows:,} rows"
    else:
        return
    yield Sentence(
        f"Prequential accuracy alone is misleading here: {right} were predicted correctly as they "
        "came, but on rows that the model never learned, its mean accuracy over the classes seen "
        f"is {percent(known)}.",
        "warning",
    )


def _least(score: float, by_class: float | None) -> float:
    return score if by_class is None else min(score, by_class)


def _retention(summary: LearnerSummary) -> Iterator[Sentence]:
    if not summary.retained:
        yield Sentence(
            "Forgetting was not measured: no rows were kept out of learning. Run with "
            "`--probe 0.02`, or add a `[test]` section to the job.",
            "warning",
        )
        return
    first, score = summary.retained[0], summary.score
    if first.score is not None:
        text = (
            f"On {first.rows:,} rows that it never learned ({sample_name(first.sample)}), the "
            f"model's {score.retained_title} is {score.write(first.score)} at the end"
        )
        if score.name == "accuracy" and first.known is not None:
            text += f"; the mean over the classes seen is {percent(first.known)}"
        yield Sentence(f"{text}.")
    for retained in summary.retained:
        withheld, probed = retained.last.get("withheld"), retained.last.get("probed")
        if withheld and probed:
            yield Sentence(
                f"The probe kept {withheld:,} rows out of learning and cost {probed:,} predictions."
            )
    if first.last.get("by_class"):
        yield from _forgotten(first)
        for other in summary.retained[1:2]:
            yield from _agreement(first, other)


def _forgotten(retained: RetentionSummary) -> Iterator[Sentence]:
    fallen = [each for each in retained.forgotten if each.best - each.now >= _FELL]
    least = f"{100 * _FELL:.0f} points or more"
    if fallen:
        named = and_list(
            [f"{e.name} (from {percent(e.best)} to {percent(e.now)})" for e in fallen[:_NAMED]]
        )
        rest = len(fallen) - _NAMED
        more = f", and {rest} more that fell by {least}" if rest > 0 else ""
        yield Sentence(f"Most forgotten: class {named}{more}.")
    else:
        few = ", beyond what chance may do in so few rows" if retained.sample == "probe" else ""
        yield Sentence(f"No class fell by {least} from its best{few}.")
    if retained.forgetting is not None:
        of = "experiences" if retained.last.get("forgetting") is not None else "classes"
        text = f"On average over earlier {of}, nothing was forgotten."
        if retained.forgetting > 0:
            below = f"{100 * retained.forgetting:.1f} points below its best"
            chance = retained.sample == "probe" and not fallen
            doubt = ", which in so few rows may be chance" if chance else ""
            text = f"On average over earlier {of}, the model is {below}{doubt}."
        yield Sentence(text)


def _agreement(one: RetentionSummary, other: RetentionSummary) -> Iterator[Sentence]:
    if one.score is not None and other.score is not None:
        yield Sentence(
            f"On the {sample_name(other.sample)} ({other.rows:,} rows) its accuracy is "
            f"{percent(other.score)}, {points(abs(other.score - one.score))[1:]} points from that "
            f"on the {sample_name(one.sample)}."
        )


def _stability_gap(summary: LearnerSummary) -> Iterator[Sentence]:
    for retained in summary.retained:
        gap = retained.last.get("stability_gap")
        if isinstance(gap, dict) and (gap.get("depth") or 0) >= _FELL:
            after = gap.get("recovered_after")
            recovery = "has not recovered" if after is None else f"recovered after {after:,} rows"
            yield Sentence(
                f"When the last experience began, at row {gap['since']:,}, the score on earlier "
                f"ones fell by {100 * gap['depth']:.1f} points; it {recovery}.",
                "warning" if after is None else "plain",
            )
            return


def _drifts(learner: LearnerCurves) -> Iterator[Sentence]:
    if learner.n_drifts > len(learner.drifts):
        yield Sentence(
            f"Drift detectors fired {learner.n_drifts:,} times, including warnings.", "warning"
        )
        return
    by_level: dict[str, list[dict[str, Any]]] = {"drift": [], "warning": []}
    for record in learner.drifts:
        by_level.setdefault(str(record.get("level")), []).append(record)
    if by_level["drift"]:
        yield _drift_sentence(by_level["drift"], count_warm_up(read_drifts(learner)))
    n = len(by_level["warning"])
    if n:
        count = "was one warning" if n == 1 else f"were {n} warnings"
        yield Sentence(f"There {count} of drift.")
    elif not by_level["drift"] and learner.watches_drift:
        yield Sentence("No drift was detected.")


def _drift_sentence(drifts: Sequence[dict[str, Any]], early: int) -> Sentence:
    n = len(drifts)
    places = [f"{each['position']:,}" for each in drifts[:_NAMED]]
    places += [f"{n - _NAMED:,} more"] if n > _NAMED else []
    detectors = list(dict.fromkeys(f"{each['detector']} on {each['on']}" for each in drifts))
    by = and_list(detectors[:_NAMED])
    text = f"{n} drifts were detected, by {by}, at rows {and_list(places)}"
    if n == 1:
        text = f"Drift was detected once, by {by}, at row {places[0]}"
    actions = list(dict.fromkeys(act for each in drifts for act in each.get("actions") or ()))
    text = f"{text}; actions: {and_list(actions)}." if actions else f"{text}."
    if early:
        which = "All are" if early == n else f"{early:,} of them {'is' if early == 1 else 'are'}"
        which = "It is" if n == 1 else which
        text += f" {which} of the warm-up, in which the model's own error fell."
    return Sentence(text)


def _cost(learner: LearnerCurves, summary: LearnerSummary) -> Iterator[Sentence]:
    replayed = learner.prequential.get("replayed", 0)
    if replayed:
        each = number(summary.replayed, digits=3)
        yield Sentence(f"{replayed:,} memory rows were replayed, {each} for each row that came.")
    else:
        yield Sentence("Nothing was replayed.")
    if summary.rows_per_s is not None:
        text = f"The run processed {summary.rows_per_s:,.0f} rows per second"
        if summary.p99_ms is not None:
            p99 = number(summary.p99_ms, digits=2)
            text += f", with a typical 99th percentile of {p99} ms for a batch"
        if summary.resident is not None:
            text += f", in {size(summary.resident)} of memory"
        yield Sentence(f"{text}.")
