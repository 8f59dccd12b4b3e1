"""Predict and teach classes, numbers or labels with a River model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective
from streamreplay.columns import describe_array
from streamreplay.errors import ConfigError
from streamreplay.learners.predictions import (
    LOSS_LIMIT,
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

Answer: TypeAlias = tuple[dict[int, float], int]
"""The probability of each class, and the predicted class; -1 if there is none."""


class RiverClasses:
    """A River classifier.

    The model is given the names of the labels, or False and True if it distinguishes only two
    classes. A class that no label has named yet is never predicted, and has the largest loss.

    Parameters
    ----------
    model : river.base.Classifier
    context : context manager
        Entered around calls of the model.
    many : bool, optional
        Call the model's mini-batch methods for more than one row; by default if it has them and
        pandas is installed.

    Raises
    ------
    ImportError
        pandas is not installed, and ``many`` is true.
    TypeError
        The model is no classifier, or has no mini-batch methods and ``many`` is true.
    """

    objective: Objective = "classes"

    def __init__(
        self, model: Any, context: AbstractContextManager[None], *, many: bool | None = None
    ) -> None:
        base = import_base()
        _check_classifier(model, base)
        self.model = model
        self.many = uses_many(
            model, able=learns_many(model, base.MiniBatchClassifier, base), many=many
        )
        self.kind = kind_of(model)
        """The classes of the model's parts, without their parameters."""
        self.known: set[int] = set()
        """The indices of the classes that a label has named."""
        self._binary = not getattr(model, "_multiclass", True)
        self._names: list[LabelName] = [False, True] if self._binary else []
        self._index: dict[Any, int] = {name: i for i, name in enumerate(self._names)}
        self._context = context
        last = steps_of(model)[-1]
        # River's own predict_one would compute the probabilities a second time
        self._derives_prediction = type(last).predict_one is base.Classifier.predict_one
        self._has_probabilities = True

    @property
    def names(self) -> list[LabelName]:
        """The names that the model is given, by label index."""
        return self._names

    @names.setter
    def names(self, names: Sequence[LabelName]) -> None:
        if not self._binary:
            self._names = list(names)
            self._index = {name: i for i, name in enumerate(names)}

    def unknown(self, batch: Batch) -> Predictions:
        """Return the predictions of rows before anything was learned."""
        return unknown_rows(batch.y, "classes", None)

    def learn(self, rows: Sequence[Row], batch: Batch) -> None:
        """Learn the labelled rows of a batch, in order.

        Raises
        ------
        ConfigError
            Rows have weights and the model accepts none, or a third class has come to a model of
            two classes.
        ValueError
            A label has no name.
        """
        self._add_names(batch)
        targets = [self._names[label] for label in batch.y.tolist()]
        with self._context:
            teach_rows(self.model, rows, targets, batch.weight, many=self.many)

    def score(self, batch: Batch, rows: Sequence[Row]) -> Predictions:
        """Predict rows, one after the other; the loss of a row is cut to [0, `LOSS_LIMIT`]."""
        scores = self.unknown(batch)
        if not self.known:
            return scores
        square_sum = np.zeros(len(batch), np.float32)
        class_loss = None
        if batch.late is not None:
            class_loss = np.full((len(batch), max(self.known) + 1), LOSS_LIMIT, np.float32)
        for i, (label, answer) in enumerate(zip(batch.y.tolist(), self._ask(rows), strict=True)):
            probabilities, best = answer[0], self._best_known(*answer)
            if best >= 0:
                scores.prediction[i], scores.probability[i] = best, probabilities.get(best, 0.0)
            if label in self.known:
                scores.loss[i] = _loss(probabilities.get(label, 0.0))
            square_sum[i] = sum(p * p for p in probabilities.values())
            if class_loss is not None:
                for each in self.known & probabilities.keys():
                    class_loss[i, each] = min(_loss(probabilities[each]), LOSS_LIMIT)
        np.minimum(scores.loss, np.float32(LOSS_LIMIT), out=scores.loss)
        return replace(scores, square_sum=square_sum, class_loss=class_loss)

    def probabilities(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the probability of each class: float32[n, classes], 0 for unknown classes.

        Raises
        ------
        ValueError
            No class is known.
        """
        if not self.known:
            raise ValueError("there are no classes to predict before the first label has arrived")
        found = np.zeros((len(rows), max(self.known) + 1), np.float32)
        for i, (probabilities, _) in enumerate(self._ask(rows)):
            for label in self.known & probabilities.keys():
                found[i, label] = probabilities[label]
        return found

    def _add_names(self, batch: Batch) -> None:
        top = int(batch.y.max())
        if top > 1 and self._binary:
            raise ConfigError(
                f"learner: {self.kind} tells two classes apart, and the stream has named "
                "a third; wrap the classifier: multiclass.OneVsRestClassifier(...)"
            )
        if top >= len(self._names):
            names = range(top + 1) if batch.labels is None else batch.labels.names
            if top >= len(names):
                raise ValueError(f"labels: has {len(names)} names, label {top} has arrived")
            self.names = list(names[: top + 1])
        self.known.update(batch.y.tolist())

    def _best_known(self, probabilities: dict[int, float], predicted: int) -> int:
        """Return the predicted class, or the likeliest of the known ones; -1 if there is none."""
        if predicted in self.known:
            return predicted
        known = self.known & probabilities.keys()
        return min(known, key=lambda label: (-probabilities[label], label), default=-1)

    def _ask(self, rows: Sequence[Row]) -> list[Answer]:
        with self._context:
            return list(self._answers(rows))

    def _answers(self, rows: Sequence[Row]) -> Iterator[Answer]:
        if self.many and len(rows) > 1:
            frame = self.model.predict_proba_many(frame_of(rows))
            if not frame.empty:
                for named in frame.to_dict("records"):
                    yield self._indexed(named), self._best(named)
                return
        for row in rows:
            yield self._answer(row)

    def _answer(self, row: Row) -> Answer:
        if self._has_probabilities:
            try:
                named = self.model.predict_proba_one(row)
            except NotImplementedError:
                self._has_probabilities = False
            else:
                if self._derives_prediction:
                    return self._indexed(named), self._best(named)
                return self._indexed(named), self._index.get(self.model.predict_one(row), -1)
        best = self._index.get(self.model.predict_one(row), -1)
        return ({best: 1.0} if best >= 0 else {}), best

    def _best(self, named: dict[Any, float]) -> int:
        return self._index.get(max(named, key=named.__getitem__), -1) if named else -1

    def _indexed(self, named: dict[Any, float]) -> dict[int, float]:
        index = self._index
        return {index[name]: float(p) for name, p in named.items() if name in index}


def _loss(probability: float) -> float:
    if probability >= 1:
        return 0.0
    return float(-np.log(probability)) if probability > 0 else LOSS_LIMIT


def _check_classifier(model: Any, base: Any) -> None:
    from river.active.base import ActiveLearningClassifier  # noqa: PLC0415 - slow

    if isinstance(model, type):
        raise TypeError(f"model must be an object, got the class {model.__name__}")
    strange = isinstance(model, ActiveLearningClassifier)
    if strange or not isinstance(model, base.Classifier):
        raise TypeError(f"model must be a River classifier or regressor, got {kind_of(model)}")


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
