"""Questions about rows that a learner answers without being changed by them."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.learners.neural.global_state import Surroundings
from streamreplay.learners.neural.head_view import watching
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.predictions import unknown
from streamreplay.learners.scaling import Scaler
from streamreplay.learners.staging import Staging


@final
class Questions:
    """Answer what retrieval functions and selection strategies ask of a learner.

    All answers are those of the module in evaluation mode, without the method's classifiers. The
    public methods of `streamreplay.learners.TorchLearner` document each question.

    Parameters
    ----------
    network : Network
    predictor : Predictor
    scaler : Scaler
    staging : Staging
    surroundings : Surroundings
    """

    def __init__(
        self,
        network: Network,
        predictor: Predictor,
        scaler: Scaler,
        staging: Staging,
        surroundings: Surroundings,
    ) -> None:
        self._network = network
        self._predictor = predictor
        self._scaler = scaler
        self._staging = staging
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
        net.targets.check(lesson)
        net.check_shape(lesson.x)
        net.check_shape(batch.x)
        with self._surroundings.without_trace():
            after = self._weights_after(lesson)
            return self._losses(batch, self._predictor.run(batch.x, weights=after))

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d]."""
        if not self._network.built or not len(x):
            plain = np.empty(x.shape, np.float32)
            self._scaler.write(x, plain)
            return plain.reshape(len(x), math.prod(x.shape[1:]))
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
        net, n = self._network, len(lesson)
        self._staging.make_room(n, net.feature_shape)
        self._staging.put(0, lesson.x, lesson.y)
        if not net.plain:
            net.module.eval()
        logits = net.masked(net.module(self._staging.x[:n].to(net.device)))
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
