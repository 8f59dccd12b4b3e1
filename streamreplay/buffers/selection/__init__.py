"""Selection strategies: which rows of a group are kept."""

from streamreplay.buffers.selection.base import (
    Candidates,
    ExemplarsSelectionStrategy,
    OnlineSelectionStrategy,
)
from streamreplay.buffers.selection.centers import (
    ClosestToCenterSelectionStrategy,
    HerdingSelectionStrategy,
)
from streamreplay.buffers.selection.features import FeatureExtractor
from streamreplay.buffers.selection.gss import GSSGreedySelectionStrategy
from streamreplay.buffers.selection.loss_aware import LossAwareSelectionStrategy
from streamreplay.buffers.selection.uniform import RandomExemplarsSelectionStrategy

__all__ = [
    "Candidates",
    "ClosestToCenterSelectionStrategy",
    "ExemplarsSelectionStrategy",
    "FeatureExtractor",
    "GSSGreedySelectionStrategy",
    "HerdingSelectionStrategy",
    "LossAwareSelectionStrategy",
    "OnlineSelectionStrategy",
    "RandomExemplarsSelectionStrategy",
]
