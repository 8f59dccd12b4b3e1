"""Lines of metrics.jsonl about rows that were predicted first and learned afterwards."""

from __future__ import annotations

from typing import Literal

from streamreplay.log.schema.base import Id, LogLine, Nats, Record, Rows, Share, absent

__all__ = [
    "Baseline",
    "ClassGroup",
    "ClassScoreFields",
    "LabelBaseline",
    "LabelGroup",
    "LabelScoreFields",
    "NumberBaseline",
    "NumberGroup",
    "NumberScoreFields",
    "PrequentialClassesRecord",
    "PrequentialLabelsRecord",
    "PrequentialNumbersRecord",
    "PrequentialRecord",
]


class Baseline(LogLine):
    """Accuracy of a rule that does not use the features."""

    accuracy: Share | None
    """Share of labelled rows predicted right."""
    accuracy_window: Share | None
    """The same over the last `window` labelled rows."""


class ClassGroup(LogLine):
    """Scores of the rows of one class, task or experience."""

    rows: Rows
    """Labelled rows of the group so far."""
    accuracy: Share | None
    """Share of them predicted right."""
    rows_recent: Rows
    """Labelled rows of the group since the line before."""
    accuracy_recent: Share | None
    """Share of them predicted right."""
    metrics: dict[str, float | None] = absent()
    """By name, the metrics that the job asks for; absent without any, and by class."""


class ClassScoreFields(ClassGroup):
    """Scores of one class."""

    precision: Share | None
    """Share of the rows predicted as this class that belong to it."""
    f1: Share | None
    """2 hits / (rows of the class + rows predicted as it)."""


class PrequentialRecord(Record):
    """Fields of every prequential record."""

    kind: Literal["prequential"]
    experience: Id
    """Experience of the last row."""
    experience_end: bool
    """True if the record was written because the experience, or the stream, had ended."""
    rows: Rows
    """Labelled rows so far: the rows scored."""
    unlabelled: Rows
    """Rows without a label so far; no other count includes them."""
    replayed: Rows
    """Memory rows learned so far, over all passes, including those of the current batch."""
    skipped: int
    """Training passes left out because the loss was not finite."""
    metrics: dict[str, float | None] = absent()
    """By name, the metrics that the job asks for, each with _window and _fading."""


class PrequentialClassesRecord(PrequentialRecord):
    """Scores of predictions of one of several classes."""

    accuracy: Share | None
    """Share of labelled rows predicted right; a missing prediction counts as wrong."""
    accuracy_window: Share | None
    """The same over the last `window` labelled rows."""
    accuracy_fading: Share | None
    """The same with weights that fade at each labelled row."""
    loss: Nats | None
    """Mean negative log-likelihood of the true class over labelled rows whose loss is finite."""
    loss_window: Nats | None
    """The same over the last `window` labelled rows."""
    kappa: float | None
    """Cohen's kappa, at most 1; null if chance alone is always right."""
    kappa_temporal: float | None
    """Accuracy compared with that of repeating the last label, at most 1."""
    kappa_temporal_window: float | None
    """The same over the last `window` labelled rows."""
    brier: float | None
    """Mean squared distance of the probabilities from the true class."""
    brier_window: float | None
    """The same over the last `window` labelled rows."""
    ece: Share | None
    """Expected calibration error: mean distance of probabilities from the share predicted right."""
    ece_window: Share | None
    """The same over the last `window` labelled rows."""
    no_change: Baseline
    """Repeating the last label; wrong before there is one."""
    majority: Baseline
    """The most frequent class so far; wrong before there is one."""
    by_class: dict[str, ClassScoreFields] = absent()
    """Scores of the rows of each class, by its name."""
    by_task: dict[str, ClassGroup] = absent()
    """The same by task; absent while the only task is 0."""
    by_experience: dict[str, ClassGroup] = absent()
    """The same by experience; absent while the only experience is 0."""


class NumberScoreFields(LogLine):
    """Errors of one number."""

    mae: float | None
    """Mean absolute error, in the target's unit."""
    mse: float | None
    """Mean squared error."""
    rmse: float | None
    """Its square root."""
    r2: float | None
    """1 - squared error / squared deviation of the targets; null while targets do not differ."""


class NumberBaseline(LogLine):
    """Errors of a rule that does not use the features."""

    mae: float | None
    """Mean absolute error."""
    mae_window: float | None
    """The same over the last `window` labelled rows."""
    rmse: float | None
    """Root of the mean squared error."""
    rmse_window: float | None
    """The same over the last `window` labelled rows."""


class NumberGroup(LogLine):
    """Errors in the rows of one task or experience."""

    rows: Rows
    """Labelled rows of the group so far."""
    mae: float | None
    """Mean absolute error in them."""
    rows_recent: Rows
    """Labelled rows of the group since the line before."""
    mae_recent: float | None
    """Mean absolute error in them."""
    metrics: dict[str, float | None] = absent()
    """By name, the metrics that the job asks for; absent without any."""


class PrequentialNumbersRecord(PrequentialRecord):
    """Errors of predictions of numbers; means over them if there are several."""

    unpredicted: Rows
    """Labelled rows for which the model had no number."""
    mae: float | None
    """Mean absolute error."""
    mae_window: float | None
    """The same over the last `window` labelled rows."""
    mae_fading: float | None
    """The same with weights that fade at each scored row."""
    mse: float | None
    """Mean squared error."""
    mse_window: float | None
    """The same over the last `window` labelled rows."""
    mse_fading: float | None
    """The same with weights that fade at each scored row."""
    rmse: float | None
    """Root of the mean squared error."""
    rmse_window: float | None
    """The same over the last `window` labelled rows."""
    rmse_fading: float | None
    """The same with weights that fade at each scored row."""
    r2: float | None
    """1 - squared error / squared deviation of the targets; null while targets do not differ."""
    r2_window: float | None
    """The same over the last `window` labelled rows."""
    r2_fading: float | None
    """The same with weights that fade at each scored row."""
    no_change: NumberBaseline
    """Repeating the last target."""
    mean: NumberBaseline
    """The mean of all targets before."""
    by_output: dict[str, NumberScoreFields] = absent()
    """Scores of each number, by its name; absent where there is one."""
    by_task: dict[str, NumberGroup] = absent()
    """By task; absent while the only task is 0."""
    by_experience: dict[str, NumberGroup] = absent()
    """By experience; absent while the only experience is 0."""


class LabelScoreFields(LogLine):
    """Scores of one label."""

    rows: Rows
    """Rows that have it."""
    precision: Share | None
    """Share of the rows predicted to have it that do."""
    recall: Share | None
    """Share of the rows that have it that were predicted to."""
    f1: Share | None
    """2 hits / (2 hits + false alarms + missed)."""


class LabelBaseline(LogLine):
    """Scores of a rule that does not use the features."""

    exact_match: Share | None
    """Share of rows right in every label."""
    exact_match_window: Share | None
    """The same over the last `window` labelled rows."""
    hamming_loss: Share | None
    """Share of wrong cells."""
    hamming_loss_window: Share | None
    """The same over the last `window` labelled rows."""
    f1_micro: Share | None
    """F1 over all cells."""
    f1_micro_window: Share | None
    """The same over the last `window` labelled rows."""
    f1_macro: Share | None
    """Mean of F1 over labels."""
    f1_macro_window: Share | None
    """The same over the last `window` labelled rows."""


class LabelGroup(LogLine):
    """Scores of the rows of one task or experience."""

    rows: Rows
    """Labelled rows of the group so far."""
    exact_match: Share | None
    """Share of them right in every label."""
    rows_recent: Rows
    """Labelled rows of the group since the line before."""
    exact_match_recent: Share | None
    """Share of them right in every label."""
    metrics: dict[str, float | None] = absent()
    """By name, the metrics that the job asks for; absent without any."""


class PrequentialLabelsRecord(PrequentialRecord):
    """Scores of predictions of any number of labels."""

    exact_match: Share | None
    """Share of rows right in every label."""
    exact_match_window: Share | None
    """The same over the last `window` labelled rows."""
    exact_match_fading: Share | None
    """The same with weights that fade at each labelled row."""
    hamming_loss: Share | None
    """Share of wrong cells, of all rows and labels."""
    hamming_loss_window: Share | None
    """The same over the last `window` labelled rows."""
    hamming_loss_fading: Share | None
    """The same with weights that fade at each labelled row."""
    f1_micro: Share | None
    """2 hits / (2 hits + false alarms + missed), over all cells."""
    f1_micro_window: Share | None
    """The same over the last `window` labelled rows."""
    f1_micro_fading: Share | None
    """The same with weights that fade at each labelled row."""
    f1_macro: Share | None
    """Mean of F1 over the labels that were there or predicted at least once."""
    f1_macro_window: Share | None
    """The same over the last `window` labelled rows."""
    f1_macro_fading: Share | None
    """The same with weights that fade at each labelled row."""
    loss: Nats | None
    """Mean negative log-likelihood of whether a label is there, over rows and labels."""
    loss_window: Nats | None
    """The same over the last `window` labelled rows."""
    no_change: LabelBaseline
    """Repeating the last row's labels."""
    majority: LabelBaseline
    """The labels that more than half of the rows before had."""
    by_label: dict[str, LabelScoreFields] = absent()
    """Scores of each label, by its name."""
    by_task: dict[str, LabelGroup] = absent()
    """By task; absent while the only task is 0."""
    by_experience: dict[str, LabelGroup] = absent()
    """By experience; absent while the only experience is 0."""
