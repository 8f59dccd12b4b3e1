"""What a learner predicts with: to predict rows that it does not learn, and to be exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.features.packed import is_table
from streamreplay.learners.neural.global_state import Surroundings
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.neural.targets import load_targets
from streamreplay.learners.predictions import Foreseen
from streamreplay.learners.scaling import Scaler
from streamreplay.state import State, expect, load_state, save_state, within

if TYPE_CHECKING:
    from streamreplay.learners.neural.stepper import Retraining

_SUMS = ("moments", "waiting", "sums", "counts", "seen")  # what SLDA learns with


@final
class Inference:
    """Predict rows as a learner would if they came next in the stream, and learn nothing.

    Parameters
    ----------
    network : Network
    predictor : Predictor
    retraining : Retraining
    surroundings : Surroundings
    """

    def __init__(
        self,
        network: Network,
        predictor: Predictor,
        retraining: Retraining,
        surroundings: Surroundings,
    ) -> None:
        self.network = network
        self.predictor = predictor
        self._retraining = retraining
        self._surroundings = surroundings

    @property
    def outputs(self) -> int:
        """How many classes or targets must have a name: up to the last one known."""
        known = np.flatnonzero(self.network.known)
        return int(known[-1]) + 1 if len(known) else 0

    @property
    def reads_memory(self) -> bool:
        """Whether `prepare` does anything with the rows in memory."""
        each = self.predictor.classifiers.values()
        return self._retraining.retrains or any(one.reads_memory for one in each)

    def prepare(self, memory: Batch) -> None:
        """Do what comes before the prediction of the next row, given the rows in memory.

        A method that retrains may be due to, and class means may be too old.
        """
        if not self.network.built:
            return
        with self._surroundings():
            self._retraining.prepare(memory)
            self.predictor.observe(memory)

    def foresee(self, rows: Batch) -> Foreseen:
        """Return what rows would be predicted to be if they came next.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, or no row has arrived yet.
        """
        if not self.network.built:
            raise ValueError("there is nothing to predict before the first row has arrived")
        if is_table(rows.x) and not self.network.of_tables and not _others(rows.x):
            rows = replace(rows, x=np.ascontiguousarray(rows.x["number"]))
            gaps: AbstractContextManager[None] = self._fill_gaps()
        else:
            gaps = nullcontext()
        self.network.check_shape(rows.x)
        with self._surroundings(), gaps:
            logits = self.predictor.predict(rows.x)
            predictions = self.predictor.score(rows, logits)
        return Foreseen(predictions, lambda: self._probabilities(logits))

    @contextmanager
    def _fill_gaps(self) -> Iterator[None]:
        """Take a gap in arrays of numbers for the mean meanwhile, as the learner would.

        The learner would go on with rows of a table, and scale them in another precision.
        """
        each = [getattr(one, "scaler", None) for one in self.predictor.classifiers.values()]
        scalers = [one for one in (self.predictor.staging.scaler, *each) if isinstance(one, Scaler)]
        for scaler in scalers:
            scaler.fills_gaps = True
        try:
            yield
        finally:
            for scaler in scalers:
                scaler.fills_gaps = False

    def _probabilities(self, logits: torch.Tensor) -> NDArray[np.float32]:
        if not self.network.known.any():
            return np.zeros(tuple(logits.shape), np.float32)
        with self._surroundings():
            return self.network.targets.probabilities(logits)

    def state_dict(self) -> State:
        """Return what predictions depend on, and nothing that only learning needs.

        Where the weights are averaged, they are the averages.
        """
        module = self.predictor.module
        classifiers = self.predictor.classifiers
        return {
            "outputs": save_state(self.network.targets),
            "scaler": save_state(self.predictor.staging.scaler),
            "network": {
                "feature_shape": list(self.network.feature_shape),
                "of_tables": self.network.of_tables,
                "module": dict(module.state_dict()),
                "known": self.network.known,
            },
            "classifiers": {name: _reduced(save_state(each)) for name, each in classifiers.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Load what `state_dict` returned into a learner of the same module and classifiers.

        Raises
        ------
        CheckpointError
            It does not fit.
        """
        with within("outputs"):
            self.network.targets = load_targets(state["outputs"], state["outputs"].get("huber"))
        with within("scaler"):
            load_state(self.predictor.staging.scaler, state["scaler"])
        with within("network"):
            self.network.load_module(state["network"])
        classifiers = self.predictor.classifiers
        expect("classifiers", list(state["classifiers"]), list(classifiers))
        for name, each in classifiers.items():
            with within(f"classifiers.{name}"):
                load_state(each, state["classifiers"][name])
        self.predictor.drop_copies()


def _others(x: NDArray[Any]) -> bool:
    """Return whether packed rows have columns that are no numbers."""
    return any(x.dtype[block].shape[0] for block in ("time", "category", "text"))


def _reduced(state: State) -> State:
    """Return the state of a classifier without sums that it only learns with."""
    if "moments" not in state:
        return state
    return {**state, "factor": None, **{key: state[key].new_zeros(0) for key in _SUMS}}
