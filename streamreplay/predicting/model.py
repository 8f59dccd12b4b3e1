"""`Model`: what a run has learned, loaded from an exported folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, Objective
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError, StreamReplayError
from streamreplay.features.schema import Schema
from streamreplay.ingest.decode.given_rows import given_rows
from streamreplay.labels import Name
from streamreplay.learners.predictions import Foreseen
from streamreplay.predicting.columns import as_stored
from streamreplay.predicting.model_files import FeaturesDescription, ModelDescription, read_model
from streamreplay.state import State

if TYPE_CHECKING:
    from torch import nn

    from streamreplay.learners import TorchLearner
    from streamreplay.learners.models.networks import ModuleFactory

KEYS = frozenset(
    {"module", "hidden", "channels", "norm", "head", "method", "normalize", "threads", "huber"}
    | {"slda_features", "slda_weight", "slda_margin"}
)
"""Keys of ``[learner]`` that predictions depend on."""

_WRONG = (
    *(StreamReplayError, ValueError, TypeError, KeyError, IndexError, RuntimeError),
    *(AttributeError, ArithmeticError, MemoryError),
)
"""What a folder that is no model may raise where it is put together and tried."""

_BLOCK = 4096  # rows predicted at a time
_MOST_VALUES = 1 << 26  # in a row


@final
class Model:
    """Predict rows with what a run has learned. `load_model` makes it.

    Rows are a dict (one row), a list of dicts, a dict of columns, a frame of pandas or polars,
    Arrow data, or an array [n, *feature]. Columns go by name: those that are missing are gaps,
    others are left out. The columns of an array [n, d] are `features`, in that order.

    Attributes
    ----------
    names : list of str or int
        The classes, in the order of the columns of `predict_proba`; or the names of the targets.
    objective : {"classes", "numbers", "labels"}
    features : list of str
        The columns of a table, or the one field that has an array.
    """

    def __init__(
        self,
        learner: TorchLearner,
        description: ModelDescription,
        features: FeaturesDescription,
        schema: Schema | None,
    ) -> None:
        self._learner, self._described, self._schema = learner, features, schema
        self.names: list[Name] = list(description.names)
        self.objective: Objective = description.objective
        self.features = [features.field] if schema is None else list(schema.names)

    def predict_proba(self, rows: Any) -> NDArray[np.float32]:
        """Return the probability of each class or label: float32[n, len(names)].

        Raises
        ------
        ValueError
            The model predicts numbers, or rows do not have the shape that it has learned.
        TypeError
            Rows are something else.
        """
        found = [foreseen.probabilities() for foreseen in self._foresee(rows)]
        wide = np.zeros((sum(map(len, found)), len(self.names)), np.float32)
        if found:  # a head grows in steps, names one by one
            joined = np.concatenate(found)[:, : len(self.names)]
            wide[:, : joined.shape[1]] = joined
        return wide

    def predict(self, rows: Any) -> list[Any]:
        """Return the prediction of each row: a class, a number, or a list of labels.

        With several targets, a row has a dict of numbers. Raises as `predict_proba`.
        """
        found: list[Any] = []
        for foreseen in self._foresee(rows):
            found += map(self._named, foreseen.predictions.prediction)
        return found

    def _named(self, said: Any) -> Any:
        if self.objective == "classes":
            return self.names[said] if said >= 0 else None
        if self.objective == "labels":
            return [name for name, there in zip(self.names, said, strict=True) if there]
        numbers = said.tolist()
        return numbers[0] if len(numbers) == 1 else dict(zip(self.names, numbers, strict=True))

    def _foresee(self, rows: Any) -> Iterator[Foreseen]:
        x = self._array(rows) if self._schema is None else self._table(rows, self._schema)
        for start in range(0, len(x), _BLOCK):
            part = x[start : start + _BLOCK]
            t = np.arange(start, start + len(part), dtype=np.int64)
            none = np.zeros(len(part), np.int64)  # of label, task and experience
            yield self._learner.foresee(Batch(part, none - 1, t, none, none, schema=self._schema))

    def _table(self, rows: Any, schema: Schema) -> NDArray[Any]:
        if isinstance(rows, np.ndarray):
            names = schema.names
            if rows.ndim != 2 or rows.shape[1] != len(names):
                raise ValueError(
                    f"rows must be [n, {len(names)}], columns {', '.join(names)}, "
                    f"got {describe_array(rows)}"
                )
            rows = {name: rows[:, i] for i, name in enumerate(names)}
        elif _is_one_row(rows):
            rows = [rows]
        given, _ = given_rows(rows)
        present = set(given.names)
        columns = {name: given.values(name) for name in schema.names if name in present}
        if len(given) and not columns:
            raise ValueError(f"rows have none of the columns {', '.join(schema.names)}")
        packed: NDArray[Any] = schema.pack(schema.read(columns, len(given)))
        return packed

    def _array(self, rows: Any) -> NDArray[Any]:
        shape, field = tuple(self._described.shape), self._described.field
        if isinstance(rows, Mapping) and np.shape(rows.get(field, ())) == shape:
            rows = [rows]
        if not isinstance(rows, np.ndarray):
            given, _ = given_rows(rows, keep=[field])
            if field not in given.names:
                raise ValueError(f"rows have no field {field!r}, got {', '.join(given.names)}")
            rows = np.array(given.arrays(field)).reshape(len(given), *shape)
        if rows.shape[1:] != shape:
            live = ", ".join(map(str, shape))
            raise ValueError(f"rows must be [n, {live}], got {describe_array(rows)}")
        return as_stored(rows, self._described.dtype)


def load_model(
    folder: str | PathLike[str], *, module: nn.Module | ModuleFactory | None = None
) -> Model:
    """Load a model that ``streamreplay export-model`` has written, without the run.

    The folder may come from anybody: its weights are no pickle, its JSON is checked, and nothing
    in it is run.

    Parameters
    ----------
    folder : path
    module : torch.nn.Module or callable, optional
        Your module, or a factory of it as ``learner.module`` names one, where the run had one of
        your own.

    Raises
    ------
    CheckpointError
        A file is missing, or is not that of a model.
    ConfigError
        The run had a module of its own, which is not given; or one is given that it did not have.

    Examples
    --------
    ::

        model = load_model("model")
        model.predict_proba([{"size": 1.5, "colour": "red"}])
    """
    path = Path(folder)
    description, features, state = read_model(path)
    own = ":" in str(description.learner.get("module", ""))
    if own and module is None:
        raise ConfigError(
            f"{path}: the run had a module of its own, {description.learner['module']!r}: import "
            "it, and pass it as load_model(..., module=...)"
        )
    if module is not None and not own:
        raise ConfigError(
            f"{path}: the run had the module {description.learner.get('module', 'mlp')!r}, and "
            f"none of its own, got {type(module).__name__}"
        )
    try:
        schema = features.make_schema() if features.rows == "table" else None
        learner = _rebuild(description, state, module)
        model = Model(learner, description, features, schema)
        _try(model, features)
        if schema is not None:
            schema.packed = features.packed
    except _WRONG as error:
        raise CheckpointError(f"{path}: is not a model as it is written: {error}") from error
    return model


def _rebuild(
    description: ModelDescription, state: State, module: nn.Module | ModuleFactory | None
) -> TorchLearner:
    import torch  # noqa: PLC0415 - slow

    from streamreplay.config.building.learners import make_module  # noqa: PLC0415
    from streamreplay.config.building.methods import make_method  # noqa: PLC0415
    from streamreplay.config.job import LearnerSection  # noqa: PLC0415
    from streamreplay.learners import TorchLearner  # noqa: PLC0415

    foreign = set(description.learner) - KEYS
    if foreign or ":" in str(description.learner.get("method", "")):
        raise ValueError(f"learner: must have keys of {sorted(KEYS)}, got {sorted(foreign)}")
    settings = LearnerSection.model_validate(description.learner)
    network = state["network"]
    _check_network(network)
    if module is None:
        module = make_module(settings)
        _check_weights(module, network)
    learner = TorchLearner(
        module,
        partial(torch.optim.SGD, lr=0.0),
        method=make_method(settings),
        normalize=settings.normalize,
        threads=settings.threads,
    )
    learner.inference.load_state_dict(state)
    names, outputs = description.names, learner.inference.outputs
    if len(names) < outputs:
        raise ValueError(f"names: must be of {outputs} classes, got {names[:10]}")
    return learner


def _check_network(network: State) -> None:
    shape = network["feature_shape"]
    if any(type(size) is not int or size < 1 for size in shape) or np.prod(shape) > _MOST_VALUES:
        raise ValueError(f"feature_shape: must be sizes of a row, got {shape}")


def _check_weights(factory: Any, network: State) -> None:
    """Compare weights with those that a factory makes, before there is memory for them."""
    import torch  # noqa: PLC0415 - slow

    with torch.device("meta"):
        made = factory(tuple(network["feature_shape"]), max(1, len(network["known"])))
    live = {name: list(each.shape) for name, each in made.state_dict().items()}
    saved = {name: list(each.shape) for name, each in network["module"].items()}
    for name in live.keys() | saved.keys():
        if live.get(name) != saved.get(name):
            raise ValueError(f"weights: {name} must be {live.get(name)}, got {saved.get(name)}")


def _try(model: Model, features: FeaturesDescription) -> None:
    """Predict a row, so that what does not fit is found now."""
    if features.rows == "array":
        model.predict(np.zeros((1, *features.shape), features.dtype))
    else:
        model.predict([dict.fromkeys(model.features), dict.fromkeys(model.features, 0)])


def _is_one_row(rows: Any) -> bool:
    """Return whether a dict is a row, and not columns."""
    if not isinstance(rows, Mapping):
        return False
    return not any(
        hasattr(value, "__len__") and not isinstance(value, str | bytes) for value in rows.values()
    )
