"""Scores of a model over time, what it forgot, and where the stream drifted."""

from streamreplay.evaluation.drift.detector import Detector
from streamreplay.evaluation.drift.monitor import DriftMonitor
from streamreplay.evaluation.inventory import Inventory
from streamreplay.evaluation.prequential import Prequential
from streamreplay.evaluation.retention.holdout import Holdout
from streamreplay.evaluation.retention.probe import Probe

__all__ = ["Detector", "DriftMonitor", "Holdout", "Inventory", "Prequential", "Probe"]
