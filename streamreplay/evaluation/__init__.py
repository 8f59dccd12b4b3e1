"""What a model knew when, what it forgot, and where the stream drifted."""

from streamreplay.evaluation.drift import DriftMonitor
from streamreplay.evaluation.holdout import Holdout
from streamreplay.evaluation.inventory import Inventory
from streamreplay.evaluation.prequential import Prequential
from streamreplay.evaluation.probe import Probe
from streamreplay.evaluation.watches import Detector

__all__ = ["Detector", "DriftMonitor", "Holdout", "Inventory", "Prequential", "Probe"]
