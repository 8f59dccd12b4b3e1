"""What to change in a job: advice that a figure of the log supports, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from streamreplay.log.rows_text import share_text
from streamreplay.plain_text import printable
from streamreplay.reading.number_text import and_list, number, percent, points
from streamreplay.reading.report.curves import LearnerCurves
from streamreplay.reading.report.drifts import read_drifts
from streamreplay.reading.report.summary import (
    ForgottenClass,
    LearnerSummary,
    RetentionSummary,
    summarize,
)
from streamreplay.reading.scores import sample_name

_SHARE = 0.01  # of the rows: fewer that are lost call for no change
_FELL = 0.05  # of the accuracy: a smaller change is none
_LEFT_OUT = 0.10  # of the memory rows drawn
_NEVER = 0.5  # of the stored rows
_ROUGH = 0.10  # two standard errors of an accuracy that says little
_FEW = 100  # stored rows of a class
_MOST_COLUMNS = 3


def advice(learner: LearnerCurves) -> list[str]:
    """Return sentences on what to change, each with the figure that it follows from.

    There is none where the log does not show the cause, or lacks the figure.
    """
    summary = summarize(learner)
    return [
        *_rows_put_aside(learner.rows),
        *_misfits(learner.rows),
        *_late_labels(learner),
        *_divergence(learner, summary),
        *_baselines(summary),
        *_forgetting(learner, summary),
        *_budget(learner, summary),
        *_never_replayed(learner),
        *_drifts(learner, summary),
        *_small_probe(learner, summary),
    ]


def _now(learner: LearnerCurves, key: str) -> str:
    """Return a key of the job with its value, if that is known."""
    value = learner.settings.get(key)
    if value is None or isinstance(value, list | dict):
        return f"`{key}`"
    shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return f"`{key}` (now {shown})"


def _rows_put_aside(rows: Mapping[str, Any]) -> Iterator[str]:
    labels = rows.get("without_event", 0)  # another cause, which reasons do not tell apart
    lost = rows.get("put_aside", 0) - labels
    if not rows or lost < _SHARE * max(rows["rows_in"], 1):
        return
    reasons = {} if labels else rows.get("put_aside_by_reason") or {}
    why = "".join(
        f", most often since: {printable(reason)}"
        for reason in sorted(reasons, key=lambda each: -reasons[each])[:1]
    )
    yield (
        f"Mend the input, or say in `[source]` how to read it: {lost:,} of {rows['rows_in']:,} "
        f"rows ({share_text(lost / rows['rows_in'])}) were put aside{why}. `dead_letters.jsonl` "
        "has each of them."
    )


def _misfits(rows: Mapping[str, Any]) -> Iterator[str]:
    found = rows.get("misfits") or {}
    most = {name: n for name, n in found.items() if n >= _SHARE * rows["rows_in"]}
    if most:
        names = sorted(most, key=lambda name: -most[name])[:_MOST_COLUMNS]
        counts = and_list([f"{most[name]:,} of {printable(name)}" for name in names])
        yield (
            "Give columns their kind in `[features.kinds]`, or name what stands for a gap in "
            f"`features.null_values`: of {rows['rows_in']:,} rows, the values {counts} did not fit "
            "their column and counted as missing."
        )


def _late_labels(learner: LearnerCurves) -> Iterator[str]:
    rows = learner.rows
    given_up, lost = rows.get("given_up", 0), rows.get("without_event", 0)
    if given_up and lost >= max(1, _SHARE * rows.get("label_records", 0)):
        keys = ["labels.max_pending"]
        keys += ["labels.max_age"] if learner.settings.get("labels.max_age") is not None else []
        latency = learner.late.get("latency_rows", {}).get("max")
        late = "" if latency is None else f" Labels came up to {latency:,.0f} rows late."
        yield (
            f"Raise {' or '.join(_now(learner, key) for key in keys)}: {given_up:,} events were "
            f"given up before their label came, and {lost:,} of {rows['label_records']:,} labels "
            f"found no event.{late}"
        )


def _divergence(learner: LearnerCurves, summary: LearnerSummary) -> Iterator[str]:
    if learner.settings.get("learner.river") is not None:
        return
    skipped = learner.rows.get("skipped", 0)
    if skipped:
        yield (
            f"Lower {_now(learner, 'learner.lr')}, or set `learner.clip_grad_norm`: the loss of "
            f"{skipped:,} of {learner.rows['rows_in']:,} rows was not finite, and they were not "
            "learned."
        )
        return
    loss = learner.prequential.get("loss_window")
    classes = len(learner.prequential.get("by_class") or {})
    if summary.score.name == "accuracy" and loss is not None and 2 <= classes < math.exp(loss):
        yield (
            f"Try a lower {_now(learner, 'learner.lr')}: over the last {summary.window_rows:,} "
            f"labelled rows the log loss is {number(loss, digits=3)}, and giving each of the "
            f"{classes:,} classes the same probability would have "
            f"{number(math.log(classes), digits=3)}. The model is sure of what is wrong."
        )


def _baselines(summary: LearnerSummary) -> Iterator[str]:
    score = summary.score
    value, baselines, over = summary.overall, summary.baselines, "all"
    if summary.window_differs and summary.window_baselines:
        value, baselines, over = summary.window, summary.window_baselines, "the last"
    if value is None or not baselines:
        return
    best = summary.best(baselines)
    if not score.better(value, baselines[best]):
        rows = summary.rows if over == "all" else summary.window_rows
        yield (
            "Give the model columns that tell more, or do without it: over "
            f"{over} {rows:,} labelled rows its {score.title} is {score.write(value)}, and that of "
            f"{best} is {score.write(baselines[best])}."
        )


def _forgetting(learner: LearnerCurves, summary: LearnerSummary) -> Iterator[str]:
    worst = _worst(summary)
    if worst is None:
        return
    retained, forgotten = worst
    fell = (
        f"on the {sample_name(retained.sample)}, class {printable(forgotten.name)} fell from "
        f"{percent(forgotten.best)} to {percent(forgotten.now)}"
    )
    if not learner.prequential.get("replayed"):
        yield (
            f"Replay stored rows, see {_now(learner, 'buffer.kind')} and `mixer.batch_size_mem`: "
            f"{fell}, and nothing was replayed."
        )
    elif learner.buffer is not None:
        yield from _of_the_buffer(learner, learner.buffer.last, forgotten.name, fell, summary)


def _worst(summary: LearnerSummary) -> tuple[RetentionSummary, ForgottenClass] | None:
    """Return the class forgotten most, if it fell far enough, and the sample that shows it."""
    for retained in summary.retained[:1]:
        for forgotten in retained.forgotten[:1]:
            if forgotten.best - forgotten.now >= _FELL:
                return retained, forgotten
    return None


def _of_the_buffer(
    learner: LearnerCurves, buffer: Mapping[str, Any], name: str, fell: str, summary: LearnerSummary
) -> Iterator[str]:
    by_class = buffer.get("by_class") or {}
    if not by_class or (name not in by_class and buffer.get("classes_not_listed")):
        return
    total = max(buffer["rows"], 1)
    stored = by_class.get(name, {}).get("rows", 0)
    held = f"{stored:,} of {buffer['rows']:,} stored rows are its ({share_text(stored / total)})"
    if stored < 0.5 * total / len(by_class):
        if learner.settings.get("buffer.kind") != "class_balanced":  # else the class is rare
            kind = f"set {_now(learner, 'buffer.kind')} to `class_balanced`"
            yield f"Store as many rows of each class, {kind}: {fell}, and {held}."
    elif stored < _FEW and buffer["rows"] >= 0.9 * buffer.get("max_size", math.inf):
        yield f"Raise {_now(learner, 'buffer.max_size')}: {fell}, and {held}; the buffer is full."
    elif stored >= _FEW:
        replayed = number(summary.replayed, digits=3)
        yield (
            f"Rehearse more, with `mixer.batch_size_mem` or {_now(learner, 'mixer.steps')}: "
            f"{fell}, though {held}; {replayed} memory rows were learned for each row that came."
        )


def _budget(learner: LearnerCurves, summary: LearnerSummary) -> Iterator[str]:
    keys = ("learner.replay_budget", "learner.replay_rows_per_second")
    key = next((each for each in keys if learner.settings.get(each) is not None), None)
    timings = learner.run.timings
    if key is None or "throttled" not in timings or learner.learner:
        return  # of several learners the log has only the sum
    left_out, replayed = (float(timings[each].sum()) for each in ("throttled", "replayed"))
    drawn = left_out + replayed
    if drawn and left_out / drawn >= _LEFT_OUT:
        yield (
            f"Raise {_now(learner, key)}, or draw fewer rows with `mixer.batch_size_mem`: of "
            f"{drawn:,.0f} memory rows drawn, {left_out:,.0f} ({percent(left_out / drawn)}) were "
            "left out to keep to it."
        )
    elif drawn and not left_out and (worst := _worst(summary)) is not None:
        yield (
            f"There is time for more rehearsal: {_now(learner, key)} left out 0 of "
            f"{drawn:,.0f} memory rows, and class {printable(worst[1].name)} fell by "
            f"{points(worst[1].best - worst[1].now)[1:]} points."
        )


def _never_replayed(learner: LearnerCurves) -> Iterator[str]:
    if learner.buffer is None or not learner.prequential.get("replayed"):
        return
    buffer = learner.buffer.last
    never, rows = (buffer.get("replays") or {}).get("never", 0), buffer.get("rows", 0)
    if rows >= _FEW and never >= _NEVER * rows:
        yield (
            "Rehearse more with `mixer.batch_size_mem`, or lower "
            f"{_now(learner, 'buffer.max_size')}: {never:,} of {rows:,} stored rows were never "
            "replayed."
        )


def _drifts(learner: LearnerCurves, summary: LearnerSummary) -> Iterator[str]:
    drifts = [each for each in read_drifts(learner) if each.is_drift]
    if any(each.record.get("actions") for each in drifts):
        return
    rises = [
        each
        for each in drifts
        if each.record.get("on") == "error" and (each.change or 0.0) >= _FELL
    ]
    if summary.score.name != "accuracy" or summary.window is None or not rises:
        return
    last, error = rises[-1].record, 1 - summary.window
    if error >= last["before"] + _FELL and summary.window_differs:
        yield (
            'Give the detector an action, such as `actions = ["forget(1000)"]` where old rows no '
            f"longer hold: at row {last['position']:,} the error rose from "
            f"{percent(last['before'])} to {percent(last['after'])}, it is {percent(error)} over "
            f"the last {summary.window_rows:,} labelled rows, and the job has no action."
        )


def _small_probe(learner: LearnerCurves, summary: LearnerSummary) -> Iterator[str]:
    if summary.score.name != "accuracy":
        return
    for retained in summary.retained[:1]:
        if retained.sample == "probe" and retained.score is not None and retained.rows:
            error = 2 * math.sqrt(retained.score * (1 - retained.score) / retained.rows)
            if error >= _ROUGH:
                yield (
                    f"Raise {_now(learner, 'probe.share')}: the probe has {retained.rows:,} rows "
                    f"at the end, so its accuracy of {percent(retained.score)} may be "
                    f"{points(error)[1:]} points off (two standard errors)."
                )
