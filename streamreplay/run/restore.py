"""Put a run into the state of a checkpoint, which may be somebody else's."""

from __future__ import annotations

from streamreplay.checkpoint.folder import Checkpoint
from streamreplay.log.rotation import Mark
from streamreplay.pipeline import Pipeline
from streamreplay.restored import check_restored
from streamreplay.run.folder import ends_of
from streamreplay.run.rejected import RejectedRecords
from streamreplay.state import expect

__all__ = ["restore"]


def restore(
    checkpoint: Checkpoint, pipeline: Pipeline, rejected: RejectedRecords
) -> dict[str, Mark]:
    """Load the state of a checkpoint; return where the logs ended then.

    Raises
    ------
    CheckpointError
        It is not one of this run, or holds something else; the message begins with the first part
        that does not fit.
    """
    state = checkpoint.state
    expect("position", state["pipeline"]["position"], checkpoint.position)
    pipeline.load_state_dict(state["pipeline"])
    rejected.load_state_dict(state["rejected"])
    check_restored(state["pipeline"], pipeline.state_dict())
    return ends_of(state)
