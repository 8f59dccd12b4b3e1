"""Whether a metric of River is defined for the rows that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SINCE = "rows_since"  # of a rolling metric: rows since the last positive one, and the last other


def is_defined(metric: Any) -> bool:
    """Return whether a metric's figure is no stand-in for 0 / 0.

    River gives 0 then. Macro, micro and weighted averages over classes are as River defines them.

    Examples
    --------
    >>> from river import metrics
    >>> precision = metrics.Precision()
    >>> precision.update(True, False)
    >>> precision.get(), is_defined(precision)
    (0.0, False)
    """
    from river import metrics  # noqa: PLC0415 - slow

    inner = metric.metric if isinstance(metric, metrics.multioutput.MicroAverage) else metric
    defined = True
    match inner:
        case metrics.Precision() | metrics.Recall() | metrics.FBeta() | metrics.Jaccard():
            defined = _has_cases(inner)
        case metrics.MCC():
            tp, tn, fp, fn = _cells(inner.cm, inner.pos_val)
            defined = all((tp + fp, tp + fn, tn + fp, tn + fn))
        case metrics.CohenKappa():  # undefined where chance alone is always right
            matrix = inner.cm
            total = matrix.total_weight
            defined = all(matrix.true_positives(each) < total for each in list(matrix.classes))
        case metrics.ROCAUC():
            tp, tn, fp, fn = _cells(inner.cms[0], inner.pos_val)
            defined = bool(tp + fn and tn + fp)
        case metrics.RollingROCAUC() | metrics.RollingPRAUC():
            defined = max(getattr(inner, _SINCE, [inner.window_size])) < inner.window_size
        case metrics.R2():
            targets = inner._y_var  # noqa: SLF001 - has no other name
            defined = bool(targets.mean.n > 1 and targets.get())
    return defined


def note_classes(metric: Any, true: Sequence[Any]) -> None:
    """Note of which classes the rows are that a rolling metric was given: it does not tell."""
    from river import metrics  # noqa: PLC0415 - slow

    if not isinstance(metric, metrics.RollingROCAUC | metrics.RollingPRAUC):
        return
    since: list[int] = getattr(metric, _SINCE, [metric.window_size] * 2)
    for place, positive in enumerate((True, False)):
        newest = next((age for age, each in enumerate(reversed(true)) if each is positive), None)
        since[place] = since[place] + len(true) if newest is None else newest
    setattr(metric, _SINCE, since)


def _has_cases(metric: Any) -> bool:
    """Return whether the denominator of precision, recall, F or Jaccard is above 0."""
    from river import metrics  # noqa: PLC0415 - slow

    tp, _, fp, fn = _cells(metric.cm, metric.pos_val)
    if isinstance(metric, metrics.Precision):
        return bool(tp + fp)
    if isinstance(metric, metrics.Recall):
        return bool(tp + fn)
    return bool(tp + fp + fn)


def _cells(matrix: Any, positive: Any) -> tuple[float, float, float, float]:
    """Return hits, correct rejections, false alarms and misses."""
    return (
        matrix.true_positives(positive),
        matrix.true_negatives(positive),
        matrix.false_positives(positive),
        matrix.false_negatives(positive),
    )
