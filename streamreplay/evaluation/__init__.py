"""What a model knew when, and what it forgot: prequential scores and retention."""

from streamreplay.evaluation.holdout import Holdout
from streamreplay.evaluation.prequential import Prequential
from streamreplay.evaluation.probe import Probe

__all__ = ["Holdout", "Prequential", "Probe"]
