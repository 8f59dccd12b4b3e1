"""Lines of metrics.jsonl about rows that are kept out of training."""

from __future__ import annotations

from typing import Literal

from streamreplay.log.schema.base import Id, LogLine, Record, Rows, Share, Signed, absent
from streamreplay.log.schema.prequential import NumberScoreFields

__all__ = [
    "AgedLabels",
    "AgedNumbers",
    "LabelTotals",
    "RetainedFields",
    "RetentionClassesRecord",
    "RetentionLabelsRecord",
    "RetentionNumbersRecord",
    "RetentionRecord",
    "StabilityGap",
]


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
    """Accuracy on the older experiences' rows at the boundary."""
    depth: float
    """`before` minus the lowest accuracy on them since; at least 0."""
    recovered_after: Rows | None
    """Rows from the boundary to the first round as good as `before`; null while there is none."""


class RetentionRecord(Record):
    """Fields of every retention record."""

    kind: Literal["retention"]
    after_experience: Id | None
    """Experience of the last row."""
    experience_end: bool
    """True if it, or the stream, had ended; false for a round in between."""
    sample: Literal["test", "probe"]
    """Whether the rows are those of a test set, or rows of the stream that a probe keeps back."""
    rows: Rows
    """Rows kept out of training that were predicted in this round."""
    forgetting: float | None
    """Mean over earlier experiences of how far the score is below its best."""
    backward_transfer: float | None
    """Mean over earlier experiences of how the score has changed since each ended."""
    forward_transfer: float | None
    """Mean over experiences, but for the first, of the score just before each was learned."""
    stability_gap: StabilityGap | None
    """The drop of the score on older experiences since the last boundary."""
    area: float | None
    """Mean of the score over the stream so far: the area under its curve, divided by its width."""
    probed: Rows = absent()
    """Probe rows predicted in all rounds so far; for a probe only."""
    withheld: Rows = absent()
    """Rows of the stream kept out of learning so far; for a probe only."""


class RetentionClassesRecord(RetentionRecord):
    """Scores of predictions of one of several classes."""

    accuracy: Share
    """Share of all rows predicted right; those of a class not seen yet are wrong."""
    balanced_accuracy: Share | None
    """Mean of the accuracies of the classes seen."""
    average_accuracy: Share | None
    """Mean accuracy over the experiences learned so far."""
    class_forgetting: Signed | None
    """Mean over classes of how far accuracy is below its best in any earlier round."""
    min_accuracy: Share | None
    """Mean over earlier experiences of the lowest accuracy since each ended."""
    accuracy_by_experience: dict[str, Share]
    """Accuracy on the rows of each experience."""
    by_class: dict[str, RetainedFields]
    """Rows and accuracy of each class that the stream has shown."""
    by_age: dict[str, RetainedFields] = absent()
    """Rows and accuracy by age, named by the greatest age in rows; for a probe only."""


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
    """1 - squared error / squared deviation of the targets, at most 1."""
    average_mae: float | None
    """Mean over the experiences learned so far."""
    max_mae: float | None
    """Mean over earlier experiences of the highest error since each ended."""
    by_experience: dict[str, NumberScoreFields]
    """The four scores of each experience."""
    by_age: dict[str, AgedNumbers] = absent()
    """Rows and the four scores by age; for a probe only."""


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
    """Mean over the experiences learned so far."""
    min_f1_micro: Share | None
    """Mean over earlier experiences of the lowest score since each ended."""
    by_experience: dict[str, LabelTotals]
    """The four scores of each experience."""
    by_age: dict[str, AgedLabels] = absent()
    """Rows and the four scores by age; for a probe only."""
