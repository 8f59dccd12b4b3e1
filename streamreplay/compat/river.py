"""Use our learner and buffer as a River classifier: neural networks and replay in River's loops."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from river import base

from streamreplay.batch import Batch
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.policies import ClassBalancedBuffer
from streamreplay.checkpoint.tree import Columns, decode, encode
from streamreplay.columns import Floats
from streamreplay.learners.models.networks import ModuleFactory, mlp
from streamreplay.learners.neural.learner import TorchLearner
from streamreplay.learners.neural.network import OptimizerFactory
from streamreplay.mixing.mixer import Mixer
from streamreplay.randomness import Seed, spawn_seed

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

__all__ = ["ReplayClassifier"]


class ReplayClassifier(base.MiniBatchClassifier):
    """A neural network with replay, as a River classifier.

    Each `learn_one` takes one training step on the row together with rows drawn from a buffer, and
    then offers the row to the buffer; `learn_many` takes one step on all its rows.

    New classes may appear at any time, with any hashable label. The **features** are those of the
    first learned row (or frame), and must be numbers. Later, missing features are 0, and new ones
    are ignored, unless ``max_features`` reserves room for them.

    Parameters
    ----------
    module : ModuleFactory, optional
        Given a feature shape and a number of classes, returns a torch module; by default
        ``mlp([64])``.
    optimizer : OptimizerFactory, optional
        Given parameters, returns a torch optimizer; by default Adam with a learning rate of 0.01.
    max_size : int
        Rows in the buffer.
    batch_size_mem : int
        Stored rows in each training step.
    by : {"class"}, optional
        Draw the same number of rows of each class; by default, draw uniformly.
    buffer : callable, optional
        Given ``max_size`` and a seed, returns a buffer; by default a `ClassBalancedBuffer`.
    max_features : int, optional
        Inputs of the module; by default as many as the first row has features.
    normalize : {"auto", "standard", "none"}
        Scaling of features; see `TorchLearner`.
    seed : int
        Seed of everything random.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> model = ReplayClassifier(seed=1)
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    Accuracy: 89.75%
    """

    def __init__(  # noqa: PLR0913 - as in River, one argument for each setting
        self,
        module: ModuleFactory | None = None,
        optimizer: OptimizerFactory | None = None,
        *,
        max_size: int = 1000,
        batch_size_mem: int = 32,
        by: Literal["class"] | None = None,
        buffer: Callable[[int, Seed], ExemplarsBuffer] | None = None,
        max_features: int | None = None,
        normalize: Literal["auto", "standard", "none"] = "auto",
        seed: int = 0,
    ) -> None:
        if max_features is not None and max_features < 1:
            raise ValueError(f"max_features must be at least 1, got {max_features}")
        self.module = module
        self.optimizer = optimizer
        self.max_size = max_size
        self.batch_size_mem = batch_size_mem
        self.by = by
        self.buffer = buffer
        self.max_features = max_features
        self.normalize = normalize
        self.seed = seed
        self._work = _Work(self)

    def learn_one(self, x: dict[base.typing.FeatureName, Any], y: base.typing.ClfTarget) -> None:
        """Run a training step on a row and on rows of the buffer.

        Raises
        ------
        TypeError
            A feature is not a number.
        """
        self._work.learn([x], [y])

    def predict_proba_one(
        self, x: dict[base.typing.FeatureName, Any], **_: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probability of each known class; empty before the first label."""
        labels = self._work.labels
        if not labels:
            return {}
        return dict(zip(labels, self._work.predict([x])[0].tolist(), strict=True))

    def learn_many(self, X: pd.DataFrame, y: pd.Series) -> None:  # noqa: N803 - River's name
        """Run one training step on all rows of a frame and on rows of the buffer."""
        self._work.learn(X.to_dict("records"), y.tolist())

    def predict_proba_many(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803 - River's name
        """Return the probability of each known class for each row of a frame."""
        frame = importlib.import_module("pandas").DataFrame
        labels = self._work.labels
        if not labels:
            return frame(index=X.index)
        return frame(self._work.predict(X.to_dict("records")), index=X.index, columns=labels)

    @property
    def _multiclass(self) -> bool:
        return True

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"max_size": 50, "batch_size_mem": 4}

    def _unit_test_skips(self) -> set[str]:
        # many rows are one averaged step, not one step each, as in River's linear models
        return {"check_learn_many_matches_learn_one"}


class _Work:
    """The stages, and the indices of River's features and labels. Copied and pickled by state."""

    def __init__(self, model: ReplayClassifier) -> None:
        self._settings = model._get_params()  # noqa: SLF001 - River's name for its arguments
        seed = model.seed
        make_buffer = model.buffer or ClassBalancedBuffer
        self._buffer = make_buffer(model.max_size, spawn_seed(seed, "buffer"))
        self._mixer = Mixer(model.batch_size_mem, model.by, seed=spawn_seed(seed, "mixer"))
        self._learner = TorchLearner(
            model.module or mlp([64]),
            model.optimizer or _adam(),
            normalize=model.normalize,
            threads=1,
            seed=spawn_seed(seed, "learner"),
        )
        self.labels: list[Any] = []
        """All labels, in order of arrival."""
        self._index: dict[Any, int] = {}
        self._columns: dict[Hashable, int] = {}
        self._width = 0
        self._position = 0

    def learn(self, rows: Sequence[dict[Any, Any]], labels: Sequence[Any]) -> None:
        """Run one step on all rows, and then offer them to the buffer."""
        if not rows:
            return
        self._add_columns(rows)
        x = self._table(rows)
        for label in labels:
            if label not in self._index:
                self._index[label] = len(self.labels)
                self.labels.append(label)
        batch = Batch.from_arrays(x, [self._index[each] for each in labels], start=self._position)
        self._position += len(batch)
        for _ in self._learner(self._mixer(self._buffer([batch]))):
            pass

    def predict(self, rows: Sequence[dict[Any, Any]]) -> Floats:
        """Return probabilities [n, labels] that add up to 1 in float64."""
        p = self._learner.predict_proba(self._table(rows))[:, : len(self.labels)]
        wide = p.astype(np.float64)
        wide /= wide.sum(1, keepdims=True)
        return wide

    def _add_columns(self, rows: Sequence[dict[Any, Any]]) -> None:
        """Assign columns to new features, as long as columns are left."""
        max_features = self._settings["max_features"]
        if not self._width:
            self._width = max_features or len(dict.fromkeys(name for row in rows for name in row))
        if len(self._columns) == self._width:
            return
        new = {name for row in rows for name in row} - self._columns.keys()
        # in the order of their names, as a dict's own must not matter
        for name in sorted(new, key=lambda name: (type(name).__name__, str(name))):
            if len(self._columns) < self._width:
                self._columns[name] = len(self._columns)

    def _table(self, rows: Sequence[dict[Any, Any]]) -> NDArray[np.float32]:
        x = np.zeros((len(rows), self._width), np.float32)
        for row, values in zip(rows, x, strict=True):
            for name, value in row.items():
                column = self._columns.get(name)
                if column is None or value is None:
                    continue
                if isinstance(value, str):
                    raise TypeError(
                        f"x: feature {name!r} must be a number, got {value!r}; "
                        "preprocessing.OneHotEncoder() makes numbers of words"
                    )
                values[column] = value
        return x

    def __getstate__(self) -> dict[str, Any]:
        columns: Columns = {}
        parts = {part: getattr(self, part).state_dict() for part in _PARTS}
        tree = encode(parts, "", columns)
        own = {name: getattr(self, name) for name in _OWN}
        return {"settings": self._settings, "own": own, "tree": tree, "columns": columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = ReplayClassifier(**state["settings"])._work  # noqa: SLF001 - one of this class
        vars(self).update(vars(fresh))
        parts = decode(state["tree"], state["columns"])
        for part in _PARTS:
            getattr(self, part).load_state_dict(parts[part])
        for name, value in state["own"].items():
            setattr(self, name, value)


_PARTS = ("_buffer", "_mixer", "_learner")
_OWN = ("labels", "_index", "_columns", "_width", "_position")


def _adam() -> OptimizerFactory:
    import torch  # noqa: PLC0415 - slow

    return partial(torch.optim.Adam, lr=0.01)
