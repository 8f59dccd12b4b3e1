"""What `RiverLearner` needs of a River classifier: answers and lessons, in rows or many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["Answer", "RiverModel"]

Answer: TypeAlias = tuple[dict[int, float], int]
"""What a model says of each class, and which one it predicts; -1 if none."""


class RiverModel:
    """A River classifier that is asked and taught by the indices of labels.

    The model itself gets their names, or False and True if it knows only these.

    Parameters
    ----------
    model : river.base.Classifier
    many : bool, optional
        Use its mini-batch methods for more than one row; by default where that is possible.

    Raises
    ------
    ImportError
        River is not installed, or pandas is not and ``many`` is true.
    TypeError
        It is no classifier, or has no mini-batch methods and ``many`` is true.
    """

    def __init__(self, model: Any, *, many: bool | None = None) -> None:
        base = import_base()
        _check_classifier(model, base)
        able = learns_many(model, base.MiniBatchClassifier, base)
        self.model = model
        self.many = uses_many(model, able=able, many=many)
        self.kind = kind_of(model)
        """The model's classes, without their parameters."""
        self.binary = not getattr(model, "_multiclass", True)
        self.labels: list[LabelName] = [False, True] if self.binary else []
        """What the model gets for each index."""
        self._index: dict[Any, int] = {name: i for i, name in enumerate(self.labels)}
        last = steps_of(model)[-1]
        # what River's own predict_one would make of the probabilities is made here at half the cost
        self._derived = type(last).predict_one is base.Classifier.predict_one
        self._has_probabilities = True

    def name(self, names: Sequence[LabelName]) -> None:
        """Take over the names of labels from the first one on; a name never changes."""
        if not self.binary:
            self.labels = list(names)
            self._index = {name: i for i, name in enumerate(names)}

    def ask(self, rows: Sequence[Row]) -> Iterator[Answer]:
        """Predict rows, one after the other, without learning anything."""
        if self.many and len(rows) > 1:
            frame = self.model.predict_proba_many(frame_of(rows))
            if not frame.empty:
                for says in frame.to_dict("records"):
                    yield self._indexed(says), self._best(says)
                return
        for row in rows:
            yield self._ask_one(row)

    def teach(
        self,
        rows: Sequence[Row],
        labels: Sequence[int],
        weight: NDArray[np.float32] | None = None,
    ) -> None:
        """Learn rows, in order: their labels, and what they count, [n].

        Raises
        ------
        ConfigError
            Rows have weights, and the model takes none.
        """
        targets = [self.labels[label] for label in labels]
        teach_rows(self.model, rows, targets, weight, many=self.many)

    def _ask_one(self, row: Row) -> Answer:
        if self._has_probabilities:
            try:
                says = self.model.predict_proba_one(row)
            except NotImplementedError:
                self._has_probabilities = False
            else:
                if self._derived:
                    return self._indexed(says), self._best(says)
                return self._indexed(says), self._index.get(self.model.predict_one(row), -1)
        best = self._index.get(self.model.predict_one(row), -1)
        return ({best: 1.0} if best >= 0 else {}), best

    def _best(self, says: dict[Any, float]) -> int:
        return self._index.get(max(says, key=says.__getitem__), -1) if says else -1

    def _indexed(self, says: dict[Any, float]) -> dict[int, float]:
        index = self._index
        return {index[name]: float(p) for name, p in says.items() if name in index}


def _check_classifier(model: Any, base: Any) -> None:
    from river.active.base import ActiveLearningClassifier  # noqa: PLC0415 - an extra

    if isinstance(model, type):
        raise TypeError(f"model must be an object, got the class {model.__name__}")
    strange = isinstance(model, ActiveLearningClassifier)
    if strange or not isinstance(model, base.Classifier):
        raise TypeError(f"model must be a River classifier or regressor, got {kind_of(model)}")
