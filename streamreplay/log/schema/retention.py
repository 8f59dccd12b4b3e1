"""Lines of metrics.jsonl about rows that are kept out of training."""

from __future__ import annotations

from typing import Literal

from streamreplay.log.schema.base import Id, LogLine, Record, Rows, Share, Signed, absent
from streamreplay.log.schema.prequential import NumberScoreFields


class RetainedFields(LogLine):
    """Rows of a group that are kept out of training, and how many are predicted right."""

    rows: Rows
    """Such rows of the group."""
    accuracy: Share | None
    """Share of them predicted right."""


class StabilityGap(LogLine):
    """The drop after the last boundary between experiences (De Lange et al. 2023)."""

    since: Rows
    """Position of the boundary."""
    before: float
    """Mean score on the older experiences' rows at the boundary."""
    depth: float
    """How far below `before` the score has fallen at most since the boundary (where numbers are
    predicted: how far the error has risen above it); at least 0."""
    recovered_after: Rows | None
    """Rows from the boundary to the first round at which the score was back at `before`; null if
    it is not back yet, or never fell."""


class RetentionRecord(Record):
    """Fields of every retention record."""

    kind: Literal["retention"]
    after_experience: Id | None
    """Experience of the last row that was learned; i in the definitions below."""
    experience_end: bool
    """True if that experience, or the stream, had ended; false for a round in between."""
    sample: Literal["test", "probe"]
    """Whether the rows are those of a prepared test set or of a probe."""
    rows: Rows
    """Rows of the sample, all of which are predicted in this round."""
    forgetting: float | None
    """Mean, over the experiences j learned before i, of the best R[l, j] at any earlier end minus
    R[i, j] (Chaudhry et al. 2018); of errors, how much R[i, j] is above its least. null unless
    `experience_end`, and after the first experience."""
    backward_transfer: float | None
    """Mean over the same j of R[i, j] - R[j, j] (Lopez-Paz, Ranzato 2017): below 0 where
    something was lost; of errors with the opposite sign, so that it is below 0 where the error
    has grown. null unless `experience_end`, and after the first experience."""
    forward_transfer: float | None
    """Mean, over the experiences learned so far but for the first, of the score on each just
    before it began (Lopez-Paz, Ranzato 2017; what they subtract, the accuracy of an untrained
    model, is 0 here: it knows no class). A probe has no rows of an experience that is still to
    come: there it is the accuracy on the experience's first batch, as it was predicted, which is
    a rough figure where batches are small, and the only one in this log that depends on how the
    stream is cut into batches. Of a probe of numbers or several labels there is none."""
    stability_gap: StabilityGap | None
    """What the older experiences went through since the last boundary; null before there is one."""
    area: float | None
    """Area under the curve of the score (`balanced_accuracy`, `mae` or `f1_micro`) over
    `position` since the first round, by trapezoids, divided by its width: the score's mean over
    the stream."""
    probed: Rows = absent()
    """Probe only: rows predicted in all rounds so far."""
    withheld: Rows = absent()
    """Probe only: rows of the stream that were kept from being learned so far."""


class RetentionClassesRecord(RetentionRecord):
    """Scores of predictions of one of several classes."""

    accuracy: Share
    """Share of all rows of the sample predicted right; rows of a class that the stream has not
    shown are wrong."""
    balanced_accuracy: Share | None
    """Mean, over the classes that the stream has shown, of the share predicted right: the figure
    by which to compare samples."""
    average_accuracy: Share | None
    """Mean of R[i, j] over the experiences j learned so far, i included; null unless
    `experience_end`."""
    class_forgetting: Signed | None
    """Mean over classes of the best accuracy in any earlier round since the class was seen, minus
    the accuracy now: forgetting in a stream without experiences. Of a probe, only classes with at
    least 20 rows in the sample. null in the first round."""
    min_accuracy: Share | None
    """Mean, over the experiences that ended before the current one, of the lowest accuracy on
    each in any round since it ended (De Lange et al. 2023)."""
    accuracy_by_experience: dict[str, Share]
    """Accuracy on the rows of each experience: the row R[i, ·] if `experience_end`."""
    by_class: dict[str, RetainedFields]
    """Rows and accuracy of each class that the stream has shown."""
    by_age: dict[str, RetainedFields] = absent()
    """Probe only: rows and accuracy on the rows that came at most 1,000 rows ago, at most 10,000
    (and more than 1,000), and so on by powers of ten."""


class AgedNumbers(NumberScoreFields):
    """Errors in rows of one range of ages."""

    rows: Rows
    """Such rows for which the model had a number."""


class RetentionNumbersRecord(RetentionRecord):
    """Errors of predictions of numbers."""

    mae: float | None
    """Mean absolute error, in the target's unit."""
    mse: float | None
    """Mean squared error."""
    rmse: float | None
    """Its square root."""
    r2: float | None
    """1 minus the sum of squared errors divided by the sum of the targets' squared distances from
    their mean; at most 1."""
    average_mae: float | None
    """Mean of R[i, j] over the experiences j learned so far; null unless `experience_end`."""
    max_mae: float | None
    """Mean, over the experiences that ended before the current one, of the highest error on each
    since it ended."""
    by_experience: dict[str, NumberScoreFields]
    """The four scores on the rows of each experience."""
    by_age: dict[str, AgedNumbers] = absent()
    """Probe only: rows and the four scores by age."""


class LabelTotals(LogLine):
    """Scores of any number of labels a row."""

    exact_match: Share | None
    """Share of rows right in every label."""
    hamming_loss: Share | None
    """Share of wrong cells, of all rows and labels."""
    f1_micro: Share | None
    """F1 over all cells."""
    f1_macro: Share | None
    """Mean of F1 over labels."""


class AgedLabels(LabelTotals):
    """Scores of rows of one range of ages."""

    rows: Rows
    """Such rows."""


class RetentionLabelsRecord(RetentionRecord):
    """Scores of predictions of any number of labels."""

    exact_match: Share | None
    """Share of rows right in every label."""
    hamming_loss: Share | None
    """Share of wrong cells, of all rows and labels."""
    f1_micro: Share | None
    """F1 over all cells."""
    f1_macro: Share | None
    """Mean of F1 over labels."""
    average_f1_micro: Share | None
    """Mean of R[i, j] over the experiences j learned so far; null unless `experience_end`."""
    min_f1_micro: Share | None
    """Mean, over the experiences that ended before the current one, of the lowest score on each
    since it ended."""
    by_experience: dict[str, LabelTotals]
    """The four scores on the rows of each experience."""
    by_age: dict[str, AgedLabels] = absent()
    """Probe only: rows and the four scores by age."""
