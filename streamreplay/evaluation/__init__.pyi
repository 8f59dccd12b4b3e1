from .drift.monitor import Detector, DriftMonitor
from .inventory import Inventory
from .label_latency import LabelLatency
from .prequential import Prequential
from .retention.holdout import Holdout
from .retention.probe import Probe

__all__ = [
    "Detector",
    "DriftMonitor",
    "Holdout",
    "Inventory",
    "LabelLatency",
    "Prequential",
    "Probe",
]
