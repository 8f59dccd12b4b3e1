from .balanced import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    TaskBalancedDataLoader,
)
from .base import Provenance
from .replay import ReplayDataLoader

__all__ = [
    "GroupBalancedDataLoader",
    "GroupBalancedInfiniteDataLoader",
    "Provenance",
    "ReplayDataLoader",
    "TaskBalancedDataLoader",
]
