"""River's metrics by name: fed in bulk where that gives River's own figures, else row by row."""

from streamreplay.evaluation.river_metrics.metric_spec import MetricSpec, specs_of
from streamreplay.evaluation.river_metrics.river_scores import RiverScores, class_index

__all__ = ["MetricSpec", "RiverScores", "class_index", "specs_of"]
