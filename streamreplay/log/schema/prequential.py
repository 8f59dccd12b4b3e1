"""Lines of metrics.jsonl about rows that were predicted first and learned afterwards."""

from __future__ import annotations

from typing import Literal

from streamreplay.log.schema.base import Id, LogLine, Nats, Record, Rows, Share, absent


class Baseline(LogLine):
    """Accuracy of a rule that does not use the features."""

    accuracy: Share | None
    """Share of labelled rows predicted right."""
    accuracy_window: Share | None
    """The same over the last `window` labelled rows."""


class LastKnownFields(LogLine):
    """Scores of a rule that does not use the features, where labels come late."""

    accuracy: Share | None = absent()
    """Of classes: share of labelled rows predicted right."""
    accuracy_window: Share | None = absent()
    """The same over the last `window` labelled rows."""
    mae: float | None = absent()
    """Of numbers: mean absolute error."""
    mae_window: float | None = absent()
    """The same over the last `window` labelled rows."""
    exact_match: Share | None = absent()
    """Of several labels: share of labelled rows predicted right in all of them."""
    exact_match_window: Share | None = absent()
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
    """Only by task and by experience: River's metrics of all rows of the group so far, by name;
    absent if the job asks for none."""


class ClassScoreFields(ClassGroup):
    """Scores of one class."""

    precision: Share | None
    """Share of the rows predicted as this class that are of it; null if none was."""
    f1: Share | None
    """2 hits / (rows of the class + rows predicted as it)."""


class PrequentialRecord(Record):
    """Fields of every prequential record."""

    kind: Literal["prequential"]
    experience: Id
    """Experience of the last row."""
    experience_end: bool
    """True if the line was written because the experience, or the stream, had ended. An end at a
    multiple of `report_every` has two lines at that position: that of the multiple, written
    before the end could be known, and that of the end, whose `recent` figures are empty."""
    rows: Rows
    """Labelled rows so far: the rows scored."""
    unlabelled: Rows
    """Rows without a label so far; no other count includes them."""
    replayed: Rows
    """Memory rows learned from so far, over all passes, including those of the batch in which
    this line fell due."""
    skipped: int
    """Training passes skipped so far because the loss was not finite, including those of this
    line's batch."""
    last_known: LastKnownFields = absent()
    """Scores of predicting the label that was known last when the row came; wrong before there is
    one. With `labels.delay` = S, that is the label of S + 1 rows before. Absent where labels come
    in time: there `no_change` is the same."""
    metrics: dict[str, float | None] = absent()
    """River's metrics that the job asks for (`evaluator.metrics`), by name: each, with `_window`
    and with `_fading`; null where undefined. Absent if there are none."""


class PrequentialClassesRecord(PrequentialRecord):
    """Scores of predictions of one of several classes."""

    accuracy: Share | None
    """Share of labelled rows predicted right. A row without a prediction (no class known yet)
    counts as wrong."""
    accuracy_window: Share | None
    """The same over the last `window` labelled rows."""
    accuracy_fading: Share | None
    """S/N with S = c + a S and N = 1 + a N at each labelled row, where c is 1 if the prediction
    is right, else 0, and a is the fading factor (Gama, Sebastião, Rodrigues 2013)."""
    loss: Nats | None
    """Mean negative log-likelihood of the true class over labelled rows whose loss is finite."""
    loss_window: Nats | None
    """The same over the last `window` labelled rows."""
    kappa: float | None
    """Cohen's kappa, at most 1: (p0 - pe) / (1 - pe), where p0 is `accuracy` and pe the agreement
    by chance of labels and predictions with these frequencies. null where chance alone is always
    right."""
    kappa_temporal: float | None
    """(p0 - p') / (1 - p'), at most 1, where p0 is `accuracy` and p' the accuracy of `no_change`:
    below 0 where repeating the last label is better (Bifet et al. 2013; Bifet et al. 2015). null
    where `no_change` is always right."""
    kappa_temporal_window: float | None
    """The same over the last `window` labelled rows."""
    brier: float | None
    """From 0 to 2: mean over labelled rows of the squared differences, summed over all classes,
    between the model's probability and 1 for the true class, 0 for others (Brier 1950). null
    where the learner does not provide it."""
    brier_window: float | None
    """The same over the last `window` labelled rows."""
    ece: Share | None
    """Expected calibration error of the predicted class's probability: over 15 bins of equal
    width, the mean distance between accuracy and mean probability, weighted by rows (Naeini et
    al. 2015; Guo et al. 2017)."""
    ece_window: Share | None
    """The same over the last `window` labelled rows."""
    no_change: Baseline
    """Scores of repeating the last label; wrong before there is one."""
    majority: Baseline
    """Scores of predicting the most frequent class so far (of equally frequent ones, the first to
    reach that count); wrong before there is one."""
    by_class: dict[str, ClassScoreFields] = absent()
    """Scores of the rows of each class, by its name. Of more than 200 classes those are listed that
    had rows since the last record, and the 200 with the most rows."""
    classes_not_listed: Rows = absent()
    """How many are not listed; absent if all are."""
    by_task: dict[str, ClassGroup] = absent()
    """The same by task; absent while the only task is 0. Of the 200 that had rows most
    recently those are listed that had some since the last record, and the latest 20."""
    tasks_not_listed: Rows = absent()
    """How many of the 200 are not listed; absent if all are."""
    by_experience: dict[str, ClassGroup] = absent()
    """The same by experience; absent while the only experience is 0. Of the 200 that had
    rows most recently those are listed that had some since the last record, and the latest 20."""
    experiences_not_listed: Rows = absent()
    """How many of the 200 are not listed; absent if all are."""


class NumberScoreFields(LogLine):
    """Errors of one number."""

    mae: float | None
    """Mean absolute error, in the target's unit."""
    mse: float | None
    """Mean squared error, in the squared unit of the target."""
    rmse: float | None
    """Its square root."""
    r2: float | None
    """1 minus the sum of squared errors divided by the sum of the targets' squared distances from
    their mean; at most 1, null while the targets do not differ."""


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
    """Labelled rows for which the model had no number (before the first target, or a prediction
    that is not finite in float32); they are left out of its scores."""
    mae: float | None
    """Mean absolute error, in the target's unit."""
    mae_window: float | None
    """The same over the last `window` labelled rows."""
    mae_fading: float | None
    """The same with weights that fade at each scored row."""
    mse: float | None
    """Mean squared error, in the squared unit of the target."""
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
    """1 minus the sum of squared errors divided by the sum of the targets' squared distances from
    their mean; at most 1, null while the targets do not differ."""
    r2_window: float | None
    """The same over the last `window` labelled rows."""
    r2_fading: float | None
    """The same with weights that fade at each scored row."""
    no_change: NumberBaseline
    """Errors of repeating the last target, over the rows that have one before them."""
    mean: NumberBaseline
    """Errors of predicting the mean of all targets before, over the same rows."""
    by_output: dict[str, NumberScoreFields] = absent()
    """Scores of each number, by its name; absent where there is one."""
    by_task: dict[str, NumberGroup] = absent()
    """Errors by task; absent while the only task is 0. Of the 200 that had rows most
    recently those are listed that had some since the last record, and the latest 20."""
    tasks_not_listed: Rows = absent()
    """How many of the 200 are not listed; absent if all are."""
    by_experience: dict[str, NumberGroup] = absent()
    """Errors by experience; absent while the only experience is 0. Of the 200 that had
    rows most recently those are listed that had some since the last record, and the latest 20."""
    experiences_not_listed: Rows = absent()
    """How many of the 200 are not listed; absent if all are."""


class LabelScoreFields(LogLine):
    """Scores of one label."""

    rows: Rows
    """Rows that have it; all else is null while there are none."""
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
    """2 hits / (2 hits + false alarms + misses), over all cells; null where there is none of
    these."""
    f1_micro_window: Share | None
    """The same over the last `window` labelled rows."""
    f1_micro_fading: Share | None
    """The same with weights that fade at each labelled row."""
    f1_macro: Share | None
    """Mean of F1 over the labels that occurred or were predicted at least once."""
    f1_macro_window: Share | None
    """The same over the last `window` labelled rows."""
    f1_macro_fading: Share | None
    """The same with weights that fade at each labelled row."""
    loss: Nats | None
    """Mean over rows and labels of the negative log-likelihood of whether the label is there, at
    most 16.1 each."""
    loss_window: Nats | None
    """The same over the last `window` labelled rows."""
    no_change: LabelBaseline
    """Scores of repeating the last row's labels; no labels before there is one."""
    majority: LabelBaseline
    """Scores of predicting the labels that more than half of the rows before had."""
    by_label: dict[str, LabelScoreFields] = absent()
    """Scores of each label, by its name."""
    by_task: dict[str, LabelGroup] = absent()
    """Scores by task; absent while the only task is 0. Of the 200 that had rows most
    recently those are listed that had some since the last record, and the latest 20."""
    tasks_not_listed: Rows = absent()
    """How many of the 200 are not listed; absent if all are."""
    by_experience: dict[str, LabelGroup] = absent()
    """Scores by experience; absent while the only experience is 0. Of the 200 that had
    rows most recently those are listed that had some since the last record, and the latest 20."""
    experiences_not_listed: Rows = absent()
    """How many of the 200 are not listed; absent if all are."""
