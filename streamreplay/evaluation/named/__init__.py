"""River's metrics by name: fed in bulk where that gives River's own figures, else row by row."""

from streamreplay.evaluation.named.kinds import Named, describe
from streamreplay.evaluation.named.metrics import LabelNames, NamedMetrics, class_index

__all__ = ["LabelNames", "Named", "NamedMetrics", "class_index", "describe"]
