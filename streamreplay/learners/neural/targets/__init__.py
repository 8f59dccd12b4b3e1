"""What a network's outputs stand for: classes, numbers, or labels of a row."""

from __future__ import annotations

from streamreplay.batch import Batch, objective_of
from streamreplay.learners.neural.targets.base import Targets
from streamreplay.learners.neural.targets.classes import ClassTargets
from streamreplay.learners.neural.targets.numbers_and_labels import LabelTargets, NumberTargets
from streamreplay.state import State, load_state

__all__ = ["ClassTargets", "LabelTargets", "NumberTargets", "Targets", "load_targets", "targets_of"]


def targets_of(rows: Batch, huber: float | None = None) -> Targets:
    """Return what some rows ask for.

    Parameters
    ----------
    rows : Batch
    huber : float, optional
        For numbers, see `NumberTargets`.

    Examples
    --------
    >>> str(targets_of(Batch.from_arrays([[0.0]], target=[[1.5, 2.0]])))
    'numbers[2]'
    """
    if rows.target is None:
        return ClassTargets()
    width = rows.target.shape[1]
    return (
        LabelTargets(width)
        if objective_of(rows.target) == "labels"
        else NumberTargets(width, huber)
    )


def load_targets(state: State, huber: float | None) -> Targets:
    """Return the targets of a state.

    Raises
    ------
    CheckpointError
        They were learned with another ``huber``.
    """
    targets: Targets = ClassTargets()
    if state["objective"] == "numbers":
        targets = NumberTargets(int(state["width"]), huber)
    elif state["objective"] == "labels":
        targets = LabelTargets(int(state["width"]))
    load_state(targets, state)
    return targets
