"""Predict and teach numbers or labels with a River regressor or multi-label classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective
from streamreplay.columns import describe_array
from streamreplay.errors import ConfigError
from streamreplay.learners.predictions import (
    Predictions,
    label_losses,
    squared_errors,
    unknown,
    unknown_rows,
)
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


class RiverTargets:
    """A River model of the d targets of a row.

    Parameters
    ----------
    model : river.base.Regressor, MultiTargetRegressor or MultiLabelClassifier
        A regressor has d = 1.
    context : context manager
        Entered around calls of the model.
    many : bool, optional
        Call ``predict_many`` and ``learn_many`` for more than one row; by default if a regressor
        has them and pandas is installed.

    Raises
    ------
    ImportError
        pandas is not installed, and ``many`` is true.
    TypeError
        The model has no mini-batch methods, and ``many`` is true.
    """

    def __init__(
        self, model: Any, context: AbstractContextManager[None], *, many: bool | None = None
    ) -> None:
        base = import_base()
        labels = isinstance(model, base.MultiLabelClassifier)
        self.objective: Objective = "labels" if labels else "numbers"
        self.model = model
        self.kind = kind_of(model)
        """The classes of the model's parts, without their parameters."""
        self._single = isinstance(model, base.Regressor)
        able = self._single and learns_many(model, base.MiniBatchRegressor, base)
        self.many = uses_many(model, able=able, many=many)
        self.names: list[LabelName] = []
        """The names of the targets that the model is given; empty before the first row."""
        self.known: set[int] = set()
        """Empty: all targets are known from the first row on."""
        self._context = context
        last = steps_of(model)[-1]
        # River's own predict_one would compute the probabilities a second time
        self._derives_prediction = labels and (
            type(last).predict_one is base.MultiLabelClassifier.predict_one
        )
        self._has_probabilities = labels

    def prepare(self, batch: Batch) -> None:
        """Set the names of the targets from the first batch that has targets.

        Raises
        ------
        ConfigError
            The model predicts one number, and rows have several.
        ValueError
            The number of names or targets differs.
        """
        target = batch.target
        if target is None:
            return
        if not self.names:
            self._take_names(None if batch.labels is None else batch.labels.names, target.shape[1])
        if len(self.names) != target.shape[1]:
            raise ValueError(
                f"target: this learner has learned [n, {len(self.names)}], "
                f"got {describe_array(target)}"
            )

    def unknown(self, batch: Batch) -> Predictions:
        """Return the predictions of rows before anything was learned."""
        if batch.target is not None:
            return unknown(batch)
        return unknown_rows(batch.y, self.objective, len(self.names) or 1)

    def learn(self, rows: Sequence[Row], batch: Batch) -> None:
        """Learn the labelled rows of a batch, in order.

        Raises
        ------
        ConfigError
            Rows have weights, and the model accepts none.
        """
        if batch.target is None:
            return
        targets = batch.target.tolist()
        if self._single:
            named = [values[0] for values in targets]
        else:
            named = [dict(zip(self.names, values, strict=True)) for values in targets]
        with self._context:
            teach_rows(self.model, rows, named, batch.weight, many=self.many)

    def score(self, batch: Batch, rows: Sequence[Row]) -> Predictions:
        """Predict rows, one after the other, and compute their losses."""
        if not self.names:
            return self.unknown(batch)
        with self._context:
            if self.objective == "numbers":
                return self._score_numbers(batch, rows)
            return self._score_labels(batch, rows)

    def _take_names(self, names: Sequence[LabelName] | None, width: int) -> None:
        if self._single and width != 1:
            raise ConfigError(
                f"learner: {self.kind} predicts one number, and rows have {width}; wrap the "
                "regressor: multioutput.RegressorChain(...)"
            )
        self.names = list(range(width)) if names is None else list(names)
        if len(self.names) != width:
            raise ValueError(f"labels: has {len(self.names)} names, rows have {width} targets")

    def _score_numbers(self, batch: Batch, rows: Sequence[Row]) -> Predictions:
        numbers = self._numbers(rows)
        nothing = np.full(len(rows), np.nan, np.float32)
        return Predictions(numbers, nothing, squared_errors(batch, numbers))

    def _numbers(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        if self.many and len(rows) > 1:
            predicted = np.asarray(self.model.predict_many(frame_of(rows)), np.float64)
            return predicted.reshape(-1, 1)
        found = np.empty((len(rows), len(self.names)))
        for i, row in enumerate(rows):
            answer = self.model.predict_one(row)
            answers = [answer] if self._single else [answer.get(name) for name in self.names]
            found[i] = [math.nan if each is None else each for each in answers]
        return found

    def _score_labels(self, batch: Batch, rows: Sequence[Row]) -> Predictions:
        shape = (len(rows), len(self.names))
        present = np.zeros(shape, np.bool_)
        probability = np.full(shape, np.nan, np.float32)
        for i, row in enumerate(rows):
            present[i], probability[i] = self._labels(row)
        loss = label_losses(batch, np.nan_to_num(probability, nan=0.5))
        return Predictions(present, probability, loss)

    def _labels(self, row: Row) -> tuple[list[bool], list[float] | list[bool]]:
        """Return which labels are predicted, and the probability of each; NaN if unknown."""
        probabilities = self._probabilities(row)
        if probabilities is None:
            present = self._predicted(row)
            return present, present
        each = [probabilities.get(name) or {} for name in self.names]
        present = list(map(_likelier, each)) if self._derives_prediction else self._predicted(row)
        return present, list(map(_of_true, each))

    def _predicted(self, row: Row) -> list[bool]:
        predicted = self.model.predict_one(row)
        return [bool(predicted.get(name, False)) for name in self.names]

    def _probabilities(self, row: Row) -> dict[Any, dict[bool, float]] | None:
        if not self._has_probabilities:
            return None
        try:
            found: dict[Any, dict[bool, float]] = self.model.predict_proba_one(row)
        except NotImplementedError:
            self._has_probabilities = False
            return None
        return found


def _likelier(of_label: dict[bool, float]) -> bool:
    """Return whether a label is likelier to be there than not; False if nothing is known."""
    return bool(of_label) and max(of_label, key=of_label.__getitem__)


def _of_true(of_label: dict[bool, float]) -> float:
    """Return the probability that a label is there; NaN if nothing is known."""
    if not of_label:
        return math.nan
    return float(of_label.get(True, 0.0))
