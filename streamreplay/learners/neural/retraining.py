"""GDumb: train a fresh module on the rows of memory alone."""

from __future__ import annotations

from typing import ClassVar, final

import torch

from streamreplay.batch import Batch
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.trainer import Trainer
from streamreplay.records import Rehearsal
from streamreplay.state import Fields

__all__ = ["Retraining"]


@final
class Retraining:
    """Find out when a fresh module is due, and train it.

    Parameters
    ----------
    network : Network
        Made from a factory, or there would be no fresh module.
    trainer : Trainer
    every : int
        Rows of the stream after which it is due; 0: for held-out rows only.

    References
    ----------
    A. Prabhu et al., "GDumb: a simple approach that questions our progress in continual learning",
    2020.
    """

    STATE: ClassVar = Fields(rows=int)

    def __init__(self, network: Network, trainer: Trainer, every: int) -> None:
        self._network = network
        self._trainer = trainer
        self._every = every
        self.rows = 0
        """Rows of the stream since a module was trained."""

    def check(self, what: str) -> None:
        """Raise ValueError if there is no way to a fresh module."""
        if not self._network.renewable:
            raise ValueError(
                f"{what} needs a factory of modules, got a module: there is no way to a fresh one"
            )

    def due(self, rehearsal: Rehearsal) -> bool:
        """Return whether a fresh module is due before a batch is predicted."""
        if not self.rows or not len(rehearsal.memory.stored):
            return False
        return rehearsal.incoming.held_out is not None or 0 < self._every <= self.rows

    def fit(self, memory: Batch, passes: int, batch_size: int) -> None:
        """Train the module, which was just built, on labelled rows in random order."""
        for _ in range(passes):
            order = torch.randperm(len(memory)).numpy()
            for start in range(0, len(memory), batch_size):
                rows = memory.take(order[start : start + batch_size])
                self._network.meet(rows.y)
                self._trainer.fit(rows)
        self.rows = 0
