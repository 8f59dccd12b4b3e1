"""What `RiverLearner` needs of a River classifier: answers and lessons, in rows or many at once."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

__all__ = ["Answer", "FeatureName", "LabelName", "RiverModel", "Row", "as_rows"]

FeatureName: TypeAlias = str | int
LabelName: TypeAlias = str | int
Row: TypeAlias = dict[FeatureName, float]
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
        base = _import_base()
        _check_classifier(model, base)
        able = _learns_many(model, base)
        pandas = importlib.util.find_spec("pandas") is not None
        if many and not able:
            raise TypeError(f"many: not all of {_kind(model)} has learn_many")
        if many and not pandas:
            raise ImportError("many: needs pandas, which is not installed")
        self.model = model
        self.many = able and pandas if many is None else many
        self.kind = _kind(model)
        """The model's classes, without their parameters."""
        self.binary = not getattr(model, "_multiclass", True)
        self.labels: list[LabelName] = [False, True] if self.binary else []
        """What the model gets for each index."""
        self._index: dict[Any, int] = {name: i for i, name in enumerate(self.labels)}
        last = _steps(model)[-1]
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
            frame = self.model.predict_proba_many(_frame(rows))
            if not frame.empty:
                for says in frame.to_dict("records"):
                    yield self._indexed(says), self._best(says)
                return
        for row in rows:
            yield self._ask_one(row)

    def teach(self, rows: Sequence[Row], labels: Sequence[int]) -> None:
        """Learn rows, in order."""
        targets = [self.labels[label] for label in labels]
        if self.many and len(rows) > 1:
            self.model.learn_many(_frame(rows), _pandas().Series(targets))
            return
        for row, target in zip(rows, targets, strict=True):
            self.model.learn_one(row, target)

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


def as_rows(x: NDArray[Any], names: Sequence[FeatureName]) -> list[Row]:
    """Write rows [n, *feature] as the dicts that River takes.

    A float32 becomes the float64 with the same shortest decimal, not the one with the same bits:
    0.1 in a file is 0.1 to River, as if River had read the file, as long as the file has no more
    than the six digits that float32 keeps of any number.

    Examples
    --------
    >>> as_rows(np.array([[0.1, 2.0]], np.float32), ["a", "b"])
    [{'a': 0.1, 'b': 2.0}]
    """
    flat = x.reshape(len(x), len(names))
    if flat.dtype != np.float32:
        table = flat.tolist()
    elif np.isfinite(flat).all():
        flat = np.ascontiguousarray(flat)
        table = orjson.loads(orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY))
    else:
        table = flat.astype(str).astype(np.float64).tolist()
    return [dict(zip(names, values, strict=True)) for values in table]


def _import_base() -> Any:
    try:
        from river import base  # noqa: PLC0415 - an extra
    except ImportError:
        raise ImportError("River is not installed: pip install 'streamreplay[river]'") from None
    return base


def _check_classifier(model: Any, base: Any) -> None:
    from river.active.base import ActiveLearningClassifier  # noqa: PLC0415 - an extra

    if isinstance(model, type):
        raise TypeError(f"model must be an object, got the class {model.__name__}")
    if isinstance(model, base.Regressor | base.MultiTargetRegressor):
        raise TypeError(
            f"model must be a classifier, got the regressor {_kind(model)}: labels are classes, "
            "numbers to be predicted are not learned yet"
        )
    strange = isinstance(model, base.MultiLabelClassifier | ActiveLearningClassifier)
    if strange or not isinstance(model, base.Classifier):
        raise TypeError(f"model must be a River classifier of one label, got {_kind(model)}")


def _steps(model: Any) -> list[Any]:
    """Return the parts of a pipeline, in order; the last one predicts."""
    steps = getattr(model, "steps", None)
    if not isinstance(steps, dict):
        return [model]
    return [part for step in steps.values() for part in _steps(step)]


def _learns_many(model: Any, base: Any) -> bool:
    kinds = base.MiniBatchClassifier | base.MiniBatchTransformer
    return all(isinstance(step, kinds) for step in _steps(model))


def _kind(model: Any) -> str:
    return " | ".join(type(step).__name__ for step in _steps(model))


def _frame(rows: Sequence[Row]) -> Any:
    return _pandas().DataFrame(list(rows))


def _pandas() -> Any:
    return importlib.import_module("pandas")  # River's own extra
