"""Selection strategies: which rows of a group are kept."""

from streamreplay.buffers.selection.base import (
    Candidates,
    ExemplarsSelectionStrategy,
    OnlineSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from streamreplay.buffers.selection.centers import (
    ClosestToCenterSelectionStrategy,
    HerdingSelectionStrategy,
)
from streamreplay.buffers.selection.features import FeatureExtractor
from streamreplay.buffers.selection.gss import GSSGreedySelectionStrategy
from streamreplay.buffers.selection.loss_aware import LossAwareSelectionStrategy

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
