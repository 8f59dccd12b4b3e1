"""Which rows of a group are kept."""

from streamreplay.buffers.selection.base import (
    Candidates,
    ExemplarsSelectionStrategy,
    OnlineSelectionStrategy,
)

__all__ = ["Candidates", "ExemplarsSelectionStrategy", "OnlineSelectionStrategy"]
