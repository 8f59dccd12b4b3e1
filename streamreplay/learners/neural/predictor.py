"""Predict rows: by the module, and by the classifiers that a method has in addition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from streamreplay.batch import Batch
from streamreplay.learners.methods.classifiers import (
    Classifier,
    Opinion,
    Outputs,
    RecentClasses,
)
from streamreplay.learners.methods.teachers import Average
from streamreplay.learners.neural.head_view import watching
from streamreplay.learners.neural.network import Network
from streamreplay.learners.predictions import Predictions
from streamreplay.learners.staging import Staging
from streamreplay.state import PARTS, Fields


@final
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

    STATE: ClassVar = Fields(classifiers=PARTS)

    def __init__(
        self,
        network: Network,
        staging: Staging,
        average: Average | None,
        classifiers: Mapping[str, Classifier],
    ) -> None:
        self._network = network
        self._staging = staging
        self._average = average
        self.classifiers = classifiers
        self._refreshed: tuple[int, Predictor] | None = None  # and the batch it is of

    @property
    def reads_memory(self) -> bool:
        """Whether predictions depend on the rows in memory."""
        return any(each.reads_memory for each in self.classifiers.values())

    def build(self) -> None:
        """Prepare for a module that was just built."""
        for each in self.classifiers.values():
            each.build(self._network.feature_shape)
        self.drop_copies()

    def drop_copies(self) -> None:
        """Make the next refreshed copies from the present state."""
        self._refreshed = None

    def observe(self, memory: Batch) -> None:
        """Prepare to predict, from the rows in memory."""
        for each in self.classifiers.values():
            each.observe(memory, self._features)

    def outputs(self, x: NDArray[Any]) -> Outputs:
        """Return the outputs of the module for rows."""
        if any(each.needs_features for each in self.classifiers.values()):
            with watching(self._network.head_of(self._module)) as view:
                logits = self.run(x, module=self._module)
                return Outputs(x, self._network.masked(logits), view.features(logits))
        average = self._average
        logits = self.run(x, module=None if average is None else average.module)
        return Outputs(x, self._network.masked(logits))

    def combine(self, outputs: Outputs) -> tuple[torch.Tensor, list[Opinion | None]]:
        """Return the logits to predict by, and the opinion of each classifier."""
        opinions = []
        for each in self.classifiers.values():
            logits, opinion = each.predict(outputs)
            outputs = Outputs(outputs.x, logits, outputs.features)
            opinions.append(opinion)
        return outputs.logits, opinions

    def predict(self, x: NDArray[Any]) -> torch.Tensor:
        """Return the logits to predict by, -inf for classes that are not known."""
        return self.combine(self.outputs(x))[0]

    def score(self, rows: Batch, logits: torch.Tensor) -> Predictions:
        """Return the predictions of rows by their logits."""
        targets = self._network.targets
        return targets.predict(logits, rows) if self._network.known.any() else targets.unknown(rows)

    def predict_batch(self, rows: Batch) -> Predictions:
        """Return the predictions of rows."""
        return self.score(rows, self.predict(rows.x))

    def learn(
        self, incoming: Batch, opinions: Sequence[Opinion | None], recent: RecentClasses
    ) -> None:
        """Teach the classifiers a batch, given their opinions on its rows."""
        for each, opinion in zip(self.classifiers.values(), opinions, strict=True):
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
            fresh = Predictor(self._network, self._staging, self._average, copies)
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
        self._staging.make_room(len(x), self._network.feature_shape)
        self._staging.put(0, x)
        rows = self._staging.x[: len(x)].to(self._network.device)
        fast = self._network.fast(rows) if module is None and weights is None else None
        if fast is not None:
            return fast.predict(rows)
        live = self._network.module if module is None else module
        if not self._network.plain:
            live.eval()
        with torch.no_grad():
            logits: torch.Tensor = (
                live(rows) if weights is None else functional_call(live, weights, (rows,))
            )
        return logits

    @property
    def _module(self) -> nn.Module:
        """The module whose features count: the average of the weights, if there is one."""
        if self._average is None or self._average.module is None:
            return self._network.module
        return self._average.module

    def _features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        with watching(self._network.head_of(self._module)) as view:
            return view.features(self.run(x, module=self._module))
