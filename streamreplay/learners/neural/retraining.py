"""GDumb: train a fresh module on the rows of memory alone."""

from __future__ import annotations

from typing import ClassVar, final

import torch

from streamreplay.batch import Batch
from streamreplay.learners.methods.catalogue import Method
from streamreplay.learners.neural.builder import Builder
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.neural.trainer import Trainer
from streamreplay.learners.scaling import Scaler
from streamreplay.records import Rehearsal, Scored
from streamreplay.state import Fields

_BATCH_SIZE = 32


@final
class Retraining:
    """Find out when a fresh module is due, and train it.

    Parameters
    ----------
    network : Network
    builder : Builder
    scaler : Scaler
    trainer : Trainer
    predictor : Predictor
    method : Method
        Its ``retrain`` and ``retrain_every``.

    Raises
    ------
    ValueError
        The method retrains, and the network was made from a module: there is no fresh one.

    References
    ----------
    A. Prabhu et al., "GDumb: a simple approach that questions our progress in continual learning",
    2020.
    """

    STATE: ClassVar = Fields(rows=int)

    def __init__(
        self,
        network: Network,
        builder: Builder,
        scaler: Scaler,
        trainer: Trainer,
        predictor: Predictor,
        method: Method,
    ) -> None:
        self._network = network
        self._builder = builder
        self._scaler = scaler
        self._trainer = trainer
        self._predictor = predictor
        self._method = method
        self.rows = 0
        """Rows of the stream since a module was trained."""
        if method.retrain is not None:
            self._check_renewable("a method that retrains")

    def step(self, rehearsal: Rehearsal) -> Scored:
        """Train a fresh module if one is due, and predict; learn nothing from the stream itself."""
        incoming = rehearsal.incoming
        if self._due(rehearsal):
            self.retrain(rehearsal.memory.stored, self._method.retrain or 0, _BATCH_SIZE)
        predictions = self._predictor.predict_batch(incoming)
        if not incoming.held_out:
            learnable = incoming.learnable()
            self._network.targets.update(learnable)
            if len(learnable):
                self._scaler.update(learnable.x)
            self.rows += len(incoming)
            self._trainer.boost.passed(len(incoming))
        return predictions.scored(incoming)

    def retrain(self, memory: Batch, passes: int, batch_size: int) -> None:
        """Replace the module by a fresh one that has learned from these rows alone."""
        self._check_renewable("retrain")
        given = len(memory)
        memory = memory.take(memory.y >= 0)
        if not len(memory):
            raise ValueError(f"memory must have rows with a label, got {given} without")
        if self._network.built:
            self._network.check_shape(memory.x)
        if not self._scaler.count:
            self._scaler.update(memory.x)
        self._trainer.forget_module()
        self._trainer.restart_schedule()
        self._builder.build(memory)
        for _ in range(passes):
            order = torch.randperm(len(memory)).numpy()
            for start in range(0, len(memory), batch_size):
                rows = memory.take(order[start : start + batch_size])
                self._network.meet(rows.y)
                self._trainer.fit(rows)
        self.rows = 0

    def _due(self, rehearsal: Rehearsal) -> bool:
        if not self.rows or not len(rehearsal.memory.stored):
            return False
        return rehearsal.incoming.held_out is not None or (
            0 < self._method.retrain_every <= self.rows
        )

    def _check_renewable(self, what: str) -> None:
        if not self._network.renewable:
            raise ValueError(
                f"{what} needs a factory of modules, got a module: there is no way to a fresh one"
            )
