from .loaders import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    TaskBalancedDataLoader,
)
from .loading import Provenance
from .mixer import Mixer
from .replay import ReplayDataLoader

__all__ = [
    "GroupBalancedDataLoader",
    "GroupBalancedInfiniteDataLoader",
    "Mixer",
    "Provenance",
    "ReplayDataLoader",
    "TaskBalancedDataLoader",
]
