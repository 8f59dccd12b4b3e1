"""River's metrics by name: fed in bulk where that gives River's own figures, else row by row."""

from streamreplay.evaluation.river_metrics.catalogue import MetricSpec, describe
from streamreplay.evaluation.river_metrics.metrics import LabelNames, NamedMetrics, class_index

__all__ = ["LabelNames", "MetricSpec", "NamedMetrics", "class_index", "describe"]
