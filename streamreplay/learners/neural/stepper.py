"""One record: predict its incoming rows, then learn from it, or retrain from memory alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.classifiers import Opinion, Outputs
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.global_state import OwnRandomness
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.neural.targets import targets_of
from streamreplay.learners.neural.trainer import Trainer
from streamreplay.records import Rehearsal, Scored
from streamreplay.state import Fields

_RETRAIN_BATCH = 32  # rows in a step


@final
class Stepper:
    """Predict the incoming rows of a record, then learn from the record.

    Where the first training pass is the same function of the old weights as a prediction, it
    doubles as the prediction.

    Parameters
    ----------
    trainer : Trainer
    predictor : Predictor
    budget : ReplayBudget or None
    """

    def __init__(self, trainer: Trainer, predictor: Predictor, budget: ReplayBudget | None) -> None:
        self._network = predictor.network
        self._staging = predictor.staging
        self._trainer = trainer
        self._predictor = predictor
        self._budget = budget
        # whether rows must be predicted before the first training pass, which is no prediction:
        # it has other weights, or other rows, or classifiers first read the memory
        self._predicts_apart = (
            any(each.reads_memory for each in predictor.classifiers.values())
            or trainer.average is not None
            or trainer.training.augment is not None
            or trainer.method.retrieve is not None
        )

    def learn(self, rehearsal: Rehearsal) -> Scored:
        """Predict the incoming rows of a record, then learn from the record."""
        whole = rehearsal.incoming
        if whole.withheld is not None:
            rehearsal = replace(rehearsal, incoming=whole.learnable())
        incoming = rehearsal.incoming
        scaler = self._staging.scaler
        first = not scaler.count
        if first:
            self._update_scale(incoming.x)
        top, throttled = int(incoming.y.max()), 0
        if self._budget is not None and top >= 0:
            rehearsal, throttled = self._budget.allow(rehearsal)
        logits, outputs = self._forward(rehearsal, whole, top)
        combined, opinions = self._predictor.combine(outputs)
        predictions = self._predictor.score(whole, combined)
        replayed, skipped = self._train(rehearsal, logits) if top >= 0 else (0, 0)
        if not first:
            self._update_scale(incoming.x)
        if opinions:
            self._teach_classifiers(incoming, opinions, whole.withheld)
        self._trainer.boost.passed(whole.arrived)
        learned = skipped < len(rehearsal.rows)
        return predictions.scored(whole, replayed, skipped, throttled, learned=learned)

    def predict(self, rehearsal: Rehearsal) -> Scored:
        """Predict the incoming rows of a record, of which none may be learned."""
        incoming = rehearsal.incoming
        self._trainer.boost.passed(incoming.arrived)
        self._predictor.observe(rehearsal.memory.stored)
        return self._predictor.predict_batch(incoming).scored(incoming)

    def _update_scale(self, x: NDArray[Any]) -> None:
        scaler = self._staging.scaler
        scaler.update(x)
        if scaler.table is not None:
            self._network.grow_inputs(scaler.table.width)

    def _teach_classifiers(
        self,
        incoming: Batch,
        opinions: list[Opinion | None],
        withheld: NDArray[np.bool_] | None,
    ) -> None:
        if withheld is not None:
            learned = np.flatnonzero(~withheld)
            opinions = [None if each is None else each.take(learned) for each in opinions]
        self._predictor.learn(incoming, opinions, self._trainer.recent.among)

    def _train(self, rehearsal: Rehearsal, logits: torch.Tensor | None) -> tuple[int, int]:
        """Grow the module for the classes of a record, and take the training steps."""
        incoming, budget = rehearsal.incoming, self._budget
        if budget is not None and logits is None:
            budget.begin()  # the time of a training pass counts, that of predictions does not
        self._trainer.note_experience(incoming)
        if self._grow_for_memory(rehearsal):
            logits = None
        self._network.meet(incoming.y)
        self._network.update_targets(incoming)
        counts = self._trainer.train(rehearsal, logits)
        if budget is not None:
            budget.done()
        return counts

    def _forward(
        self, rehearsal: Rehearsal, whole: Batch, top: int
    ) -> tuple[torch.Tensor | None, Outputs]:
        """Stage the rows to learn, with labels up to ``top``, and run the module.

        Returns
        -------
        logits : float32[n + k, width] or None
            Those of the first training pass, if it doubles as the prediction.
        outputs : Outputs
            The module's outputs for the whole batch.
        """
        incoming, net, mask = rehearsal.incoming, self._network, whole.withheld
        if not net.plain or not 0 <= top < net.width or self._predicts_apart:
            self._predictor.observe(rehearsal.memory.stored)
            outputs = self._predictor.outputs(whole.x)
            self._staging.begin(incoming.x, incoming.y, rehearsal.rows.shape[1])
            return None, outputs
        # withheld rows first: others are staged in their place
        apart = None if mask is None else self._predictor.outputs(whole.x[mask]).logits
        self._staging.begin(incoming.x, incoming.y, rehearsal.rows.shape[1])
        logits = self._trainer.forward(rehearsal, rehearsal.rows[0])
        masked = net.masked(logits[: len(incoming)].detach())
        if mask is not None and apart is not None:
            masked = in_order(mask, apart, masked)
        return logits, Outputs(whole.x, masked)

    def _grow_for_memory(self, rehearsal: Rehearsal) -> bool:
        """Grow the head for classes that occur only in memory; return True if there are any.

        The buffer may have been filled before the learner was made, or have taken in another's
        rows.
        """
        net, y = self._network, rehearsal.memory.stored.y
        if net.known.any():
            y = y[rehearsal.rows if rehearsal.candidates is None else rehearsal.candidates]
        if not y.size or (y.max() < net.width and (net.mask is None or net.known[y[y >= 0]].all())):
            return False
        net.meet(y)
        return True


@final
class Retraining:
    """Build the module, find out when a fresh one is due, and train that.

    Parameters
    ----------
    trainer : Trainer
        Its method's ``retrain`` and ``retrain_every`` are followed.
    predictor : Predictor
    random : OwnRandomness
        What classifiers begin with is drawn from it.

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

    def __init__(self, trainer: Trainer, predictor: Predictor, random: OwnRandomness) -> None:
        self._network = predictor.network
        self._scaler = predictor.staging.scaler
        self._trainer = trainer
        self._predictor = predictor
        self._method = trainer.method
        self._random = random
        self.rows = 0
        """Rows of the stream since a module was trained."""
        if self._method.retrain is not None:
            self._check_renewable("a method that retrains")

    @property
    def retrains(self) -> bool:
        """Whether the method learns from memory alone."""
        return self._method.retrain is not None

    def build(self, rows: Batch) -> None:
        """Build a module for rows; the first ones decide what the learner learns.

        Raises
        ------
        ConfigError
            The rows have numbers or labels, and a setting is for classes.
        """
        if not self._network.built:
            self._network.targets = targets_of(rows, self._trainer.training.huber)
            self._check_settings(self._network.targets.objective)
        self._network.build_for(rows, self._scaler)
        with self._random():
            self._predictor.build()

    def step(self, rehearsal: Rehearsal) -> Scored:
        """Train a fresh module if one is due, and predict; learn nothing from the stream itself."""
        incoming = rehearsal.incoming
        memory = rehearsal.memory.stored
        if self._is_due(memory, held_out=incoming.held_out is not None):
            self.retrain(memory, self._method.retrain or 0, _RETRAIN_BATCH)
        predictions = self._predictor.predict_batch(incoming)
        if not incoming.held_out:
            learnable = incoming.learnable()
            self._network.update_targets(learnable)
            if len(learnable):
                self._scaler.update(learnable.x)
            self.rows += incoming.arrived
            self._trainer.boost.passed(incoming.arrived)
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
        if self._trainer.scheduler is not None:
            self._trainer.scheduler.restart()
        self.build(memory)
        for _ in range(passes):
            order = torch.randperm(len(memory)).numpy()
            for start in range(0, len(memory), batch_size):
                rows = memory.take(order[start : start + batch_size])
                self._network.meet(rows.y)
                self._trainer.fit(rows)
        self.rows = 0

    def prepare(self, memory: Batch) -> None:
        """Train a fresh module if one is due when the next row comes."""
        if self._is_due(memory):
            self.retrain(memory, self._method.retrain or 0, _RETRAIN_BATCH)

    def _is_due(self, memory: Batch, *, held_out: bool = False) -> bool:
        if not self.rows or not len(memory):
            return False
        return held_out or 0 < self._method.retrain_every <= self.rows

    def _check_settings(self, objective: Objective) -> None:
        if objective == "classes":
            return
        training = self._trainer.training
        settings = {
            **{f"method: {name}": True for name in self._predictor.classifiers},
            "label_smoothing": bool(training.label_smoothing),
            "class_weight": training.class_weight is not None,
        }
        for name, given in settings.items():
            if given:
                raise ConfigError(
                    f"learner.{name}: is for classes, and rows have {objective} instead"
                )

    def _check_renewable(self, what: str) -> None:
        if not self._network.renewable:
            raise ValueError(
                f"{what} needs a factory of modules, got a module: there is no way to a fresh one"
            )


def in_order(mask: NDArray[np.bool_], inside: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    """Merge the rows where a mask is true with the others, in the order of the mask.

    Examples
    --------
    >>> in_order(np.array([False, True]), torch.tensor([1]), torch.tensor([0]))
    tensor([0, 1])
    """
    order = np.argsort(~mask, kind="stable")  # where each row of `both` belongs
    both = torch.cat((inside, outside))
    return torch.empty_like(both).index_copy_(0, torch.from_numpy(order).to(both.device), both)
