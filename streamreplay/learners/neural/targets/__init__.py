"""What a network's outputs stand for: classes, numbers, or labels of a row."""

from __future__ import annotations

from streamreplay.batch import Batch, objective_of
from streamreplay.learners.neural.targets.base import Targets
from streamreplay.learners.neural.targets.classes import Classes
from streamreplay.learners.neural.targets.numbers_and_labels import Labels, Numbers
from streamreplay.state import State, load_state

__all__ = ["Classes", "Labels", "Numbers", "Targets", "load_targets", "targets_of"]


def targets_of(rows: Batch, huber: float | None = None) -> Targets:
    """Return what some rows ask for.

    Parameters
    ----------
    rows : Batch
    huber : float, optional
        For numbers, see `Numbers`.

    Examples
    --------
    >>> str(targets_of(Batch.from_arrays([[0.0]], target=[[1.5, 2.0]])))
    'numbers[2]'
    """
    if rows.target is None:
        return Classes()
    width = rows.target.shape[1]
    return Labels(width) if objective_of(rows.target) == "labels" else Numbers(width, huber)


def load_targets(state: State, huber: float | None) -> Targets:
    """Return the targets of a state.

    Raises
    ------
    CheckpointError
        They were learned with another ``huber``.
    """
    targets: Targets = Classes()
    if state["objective"] == "numbers":
        targets = Numbers(int(state["width"]), huber)
    elif state["objective"] == "labels":
        targets = Labels(int(state["width"]))
    load_state(targets, state)
    return targets
