"""Predict rows, and answer questions about them, without changing the learner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from streamreplay.batch import Batch
from streamreplay.features.packed import is_table
from streamreplay.learners.methods.classifiers import (
    Classifier,
    Opinion,
    Outputs,
    RecentClasses,
)
from streamreplay.learners.methods.teachers import Average
from streamreplay.learners.neural.global_state import Surroundings
from streamreplay.learners.neural.layer_growth import watching
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.targets import check_objective
from streamreplay.learners.predictions import Predictions, unknown, unknown_rows
from streamreplay.learners.scaling import Scaler, Staging
from streamreplay.state import PARTS, Fields


@final
@dataclass(eq=False, repr=False)
class Predictor:
    """Predict rows without learning from them.

    Parameters
    ----------
    network : Network
    staging : Staging
    average : Average or None
        If given, its weights predict in place of the module's own.
    classifiers : mapping of str to Classifier
        By name, what predicts in addition to the head, each given the logits of the one before.
    """

    STATE: ClassVar[Fields] = Fields(classifiers=PARTS)

    network: Network
    staging: Staging
    average: Average | None
    classifiers: Mapping[str, Classifier]
    _refreshed: tuple[int, Predictor] | None = None  # and the batch it is of

    def __post_init__(self) -> None:
        self._each = tuple(self.classifiers.values())

    def build(self) -> None:
        """Prepare for a module that was just built."""
        for each in self._each:
            each.build(self.network.feature_shape)
        self.drop_copies()

    def drop_copies(self) -> None:
        """Make the next refreshed copies from the present state."""
        self._refreshed = None

    def observe(self, memory: Batch) -> None:
        """Prepare to predict, from the rows in memory."""
        for each in self._each:
            each.observe(memory, self._features)

    def outputs(self, x: NDArray[Any]) -> Outputs:
        """Return the outputs of the module for rows."""
        if any(each.needs_features for each in self._each):
            with watching(self.network.head_of(self.module)) as view:
                logits = self.run(x, module=self.module)
                return Outputs(x, self.network.masked(logits), view.features(logits))
        average = self.average
        logits = self.run(x, module=None if average is None else average.module)
        return Outputs(x, self.network.masked(logits))

    def combine(self, outputs: Outputs) -> tuple[torch.Tensor, list[Opinion | None]]:
        """Return the logits to predict by, and the opinion of each classifier."""
        opinions = []
        for each in self._each:
            logits, opinion = each.predict(outputs)
            outputs = Outputs(outputs.x, logits, outputs.features)
            opinions.append(opinion)
        return outputs.logits, opinions

    def predict(self, x: NDArray[Any]) -> torch.Tensor:
        """Return the logits to predict by, -inf for classes that are not known."""
        return self.combine(self.outputs(x))[0]

    def score(self, rows: Batch, logits: torch.Tensor) -> Predictions:
        """Return the predictions of rows by their logits."""
        targets = self.network.targets
        if not self.network.known.any():
            return unknown_rows(rows.y, targets.objective, targets.width)
        return targets.predict(logits, rows)

    def predict_batch(self, rows: Batch) -> Predictions:
        """Return the predictions of rows."""
        return self.score(rows, self.predict(rows.x))

    def learn(
        self, incoming: Batch, opinions: Sequence[Opinion | None], recent: RecentClasses
    ) -> None:
        """Teach the classifiers a batch, given their opinions on its rows."""
        for each, opinion in zip(self._each, opinions, strict=True):
            each.learn(incoming, opinion, recent)

    def refreshed(self, memory: Batch, batches: int) -> Predictor:
        """Return a predictor with refreshed copies of the classifiers.

        Parameters
        ----------
        memory : Batch
        batches : int
            Batches learned from so far; the copies are kept as long as this number stays the same.
        """
        if not self.classifiers:
            return self
        if self._refreshed is None or self._refreshed[0] != batches:
            copies = {
                name: each.refreshed(memory, self._features)
                for name, each in self.classifiers.items()
            }
            fresh = Predictor(self.network, self.staging, self.average, copies)
            self._refreshed = (batches, fresh)
        return self._refreshed[1]

    def run(
        self,
        x: NDArray[Any],
        *,
        weights: dict[str, torch.Tensor] | None = None,
        module: nn.Module | None = None,
    ) -> torch.Tensor:
        """Run a module on rows in evaluation mode.

        Parameters
        ----------
        x : float32 or uint8 [n, *feature]
        weights : dict of str to torch.Tensor, optional
            Weights to use in place of the module's.
        module : torch.nn.Module, optional
            By default the learner's own.
        """
        self.staging.begin(x)
        rows = self.staging.x[: len(x)].to(self.network.device)
        fast = self.network.fast(rows) if module is None and weights is None else None
        if fast is not None:
            return fast.predict(rows)
        live = self.network.module if module is None else module
        if not self.network.plain:
            live.eval()
        with torch.no_grad():
            logits: torch.Tensor = (
                live(rows) if weights is None else functional_call(live, weights, (rows,))
            )
        return logits

    @property
    def module(self) -> nn.Module:
        """The module that predicts: the average of the weights, if there is one."""
        if self.average is None or self.average.module is None:
            return self.network.module
        return self.average.module

    def _features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        with watching(self.network.head_of(self.module)) as view:
            return view.features(self.run(x, module=self.module))


@final
class Questions:
    """Answer what retrieval functions and selection strategies ask of a learner.

    All answers are those of the module in evaluation mode, without the method's classifiers. The
    public methods of `streamreplay.learners.TorchLearner` document each question.

    Parameters
    ----------
    predictor : Predictor
    surroundings : Surroundings
    """

    def __init__(self, predictor: Predictor, surroundings: Surroundings) -> None:
        self._network = predictor.network
        self._predictor = predictor
        self._surroundings = surroundings

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label."""
        if not self._network.built or not len(batch):
            return unknown(batch).loss
        self._network.check_shape(batch.x)
        with self._surroundings.without_trace():
            return self._losses(batch, self._predictor.run(batch.x))

    def losses_after(self, lesson: Batch, batch: Batch) -> NDArray[np.float32]:
        """Return what each row's loss would be after a step on other rows: float32[n]."""
        net = self._network
        known = (lesson.y >= 0) & (lesson.y < net.width)
        if net.built:
            known[known] = net.known[lesson.y[known]]
        if not known.any() or not len(batch):
            return self.losses(batch)
        lesson = lesson.take(known)
        check_objective(net.targets, lesson)
        net.check_shape(lesson.x)
        net.check_shape(batch.x)
        with self._surroundings.without_trace():
            after = self._weights_after(lesson)
            return self._losses(batch, self._predictor.run(batch.x, weights=after))

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d]."""
        if not self._network.built or not len(x):
            scaler = self._predictor.staging.scaler
            scaler = Scaler(scaler.normalize) if is_table(x) else scaler  # to leave no trace
            plain = np.empty((len(x), *scaler.shape_of(x)), np.float32)
            scaler.write(x, plain)
            return plain.reshape(len(x), math.prod(plain.shape[1:]))
        self._network.check_shape(x)
        with self._surroundings.without_trace(), watching(self._network.head) as view:
            return view.features(self._predictor.run(x))

    def gradients(self, batch: Batch) -> NDArray[np.float32]:
        """Return each row's gradient of the loss at the head's weights and bias: float32[n, d]."""
        net = self._network
        if not net.built or not len(batch):
            return np.empty((len(batch), 0), np.float32)
        net.check_shape(batch.x)
        with self._surroundings.without_trace(), watching(net.head) as view:
            logits = self._predictor.run(batch.x)
            return view.gradients(net.targets.slopes(net.masked(logits), batch), logits)

    def _losses(self, batch: Batch, logits: torch.Tensor) -> NDArray[np.float32]:
        return self._predictor.score(batch, self._network.masked(logits)).loss

    def _weights_after(self, lesson: Batch) -> dict[str, torch.Tensor]:
        """Return the weights as a step on these rows would leave them."""
        net, staging = self._network, self._predictor.staging
        staging.begin(lesson.x)
        if not net.plain:
            net.module.eval()
        logits = net.masked(net.module(staging.x[: len(lesson)].to(net.device)))
        loss = net.targets.mean_loss(logits, lesson)
        named = {name: p for name, p in net.module.named_parameters() if p.requires_grad}
        slopes = torch.autograd.grad(
            loss, list(named.values()), allow_unused=True, materialize_grads=True
        )
        lr = float(net.optimizer.param_groups[0]["lr"])
        return {
            name: parameter.detach() - lr * slope
            for (name, parameter), slope in zip(named.items(), slopes, strict=True)
        }
