"""What `RiverLearner` needs of River's regressors and multi-label classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective
from streamreplay.errors import ConfigError
from streamreplay.learners.predictions import Predictions, label_losses, squared_errors
from streamreplay.learners.river.parts import (
    LabelName,
    Row,
    frame_of,
    import_base,
    kind_of,
    learns_many,
    steps_of,
    teach_rows,
    uses_many,
)

__all__ = ["RiverTargets"]


class RiverTargets:
    """A River model that is asked for, and taught, the d targets of a row.

    Parameters
    ----------
    model : river.base.Regressor, MultiTargetRegressor or MultiLabelClassifier
        The first knows one number only.
    many : bool, optional
        Use ``predict_many`` and ``learn_many`` for more than one row; by default where a model of
        one number has them, and pandas is installed.

    Raises
    ------
    ImportError
        pandas is not installed, and ``many`` is true.
    TypeError
        The model has no mini-batch methods, and ``many`` is true.
    """

    def __init__(self, model: Any, *, many: bool | None = None) -> None:
        base = import_base()
        labels = isinstance(model, base.MultiLabelClassifier)
        self.objective: Objective = "labels" if labels else "numbers"
        self.single = isinstance(model, base.Regressor)
        able = self.single and learns_many(model, base.MiniBatchRegressor, base)
        self.model = model
        self.kind = kind_of(model)
        """The model's classes, without their parameters."""
        self.many = uses_many(model, able=able, many=many)
        self.names: list[LabelName] = []
        """What the model gets for each of the d."""
        last = steps_of(model)[-1]
        # its own predict_one would ask for the probabilities again
        self._derived = labels and (type(last).predict_one is base.MultiLabelClassifier.predict_one)
        self._has_probabilities = labels

    def name(self, names: Sequence[LabelName] | None, width: int) -> None:
        """Say what the d targets are called; by default by their positions.

        Raises
        ------
        ConfigError
            The model knows one number, and there are more.
        ValueError
            There are more names, or fewer.
        """
        if self.single and width != 1:
            raise ConfigError(
                f"learner: {self.kind} predicts one number, and rows have {width}; wrap the "
                "regressor: multioutput.RegressorChain(...)"
            )
        self.names = list(range(width)) if names is None else list(names)
        if len(self.names) != width:
            raise ValueError(f"labels: has {len(self.names)} names, rows have {width} targets")

    def score(self, batch: Batch, rows: Sequence[Row]) -> Predictions:
        """Predict rows, one after the other, and say how far off that is."""
        if self.objective == "numbers":
            said = self._ask_numbers(rows)
            nothing = np.full(len(rows), np.nan, np.float32)
            return Predictions(said, nothing, squared_errors(batch, said))
        present, probability = self._ask_labels(rows)
        loss = label_losses(batch, np.nan_to_num(probability, nan=0.5))
        return Predictions(present, probability, loss)

    def teach(
        self,
        rows: Sequence[Row],
        target: NDArray[Any],
        weight: NDArray[np.float32] | None = None,
    ) -> None:
        """Learn rows, in order: their targets [n, d], and what they count, [n].

        Raises
        ------
        ConfigError
            Rows have weights, and the model takes none.
        """
        told = target.tolist()
        goals = [t[0] if self.single else dict(zip(self.names, t, strict=True)) for t in told]
        teach_rows(self.model, rows, goals, weight, many=self.many)

    def _ask_numbers(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        if self.many and len(rows) > 1:
            said = np.asarray(self.model.predict_many(frame_of(rows)), np.float64)
            return said.reshape(-1, 1)
        found = np.empty((len(rows), len(self.names)))
        for i, row in enumerate(rows):
            answer = self.model.predict_one(row)
            answers = [answer] if self.single else [answer.get(name) for name in self.names]
            found[i] = [math.nan if each is None else each for each in answers]
        return found

    def _ask_labels(self, rows: Sequence[Row]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        shape = (len(rows), len(self.names))
        present = np.zeros(shape, np.bool_)
        probability = np.full(shape, np.nan, np.float32)
        for i, row in enumerate(rows):
            says = self._probabilities(row)
            if says is None or not self._derived:
                told = self.model.predict_one(row)
                present[i] = [bool(told.get(name, False)) for name in self.names]
            if says is None:
                probability[i] = present[i]
                continue
            given = [says.get(name) or {} for name in self.names]
            probability[i] = [_of_true(each) for each in given]
            if self._derived:
                present[i] = [bool(each) and max(each, key=each.__getitem__) for each in given]
        return present, probability

    def _probabilities(self, row: Row) -> dict[Any, dict[bool, float]] | None:
        if not self._has_probabilities:
            return None
        try:
            says: dict[Any, dict[bool, float]] = self.model.predict_proba_one(row)
        except NotImplementedError:
            self._has_probabilities = False
            return None
        return says


def _of_true(says: dict[bool, float]) -> float:
    """Return the probability that a label is there; NaN where nothing is said of it."""
    if not says:
        return math.nan
    return float(says.get(True, 0.0))
