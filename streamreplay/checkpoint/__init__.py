"""Checkpoints: a state tree in a folder, atomically, with checksums."""

from streamreplay.checkpoint.folder import (
    Checkpoint,
    Manifest,
    checkpoint_path,
    kept_positions,
    latest_checkpoint,
    load_checkpoint,
    remove_ended,
    save_checkpoint,
)

__all__ = [
    "Checkpoint",
    "Manifest",
    "checkpoint_path",
    "kept_positions",
    "latest_checkpoint",
    "load_checkpoint",
    "remove_ended",
    "save_checkpoint",
]
