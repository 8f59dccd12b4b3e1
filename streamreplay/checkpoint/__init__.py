"""Checkpoints: a state tree in a folder, atomically, with checksums."""

from streamreplay.checkpoint.folder import (
    Checkpoint,
    Manifest,
    fsync_folder,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

__all__ = [
    "Checkpoint",
    "Manifest",
    "fsync_folder",
    "latest_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
]
