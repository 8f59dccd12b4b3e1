from .drift.detector import Detector
from .drift.monitor import DriftMonitor
from .inventory import Inventory
from .prequential import Prequential
from .retention.holdout import Holdout
from .retention.probe import Probe

__all__ = ["Detector", "DriftMonitor", "Holdout", "Inventory", "Prequential", "Probe"]
