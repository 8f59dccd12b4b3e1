"""Learn with a River model: predict incoming rows, then learn them and rows of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, objective_of
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.features.packed import TableSchema, is_table
from streamreplay.learners.predictions import Foreseen, Predictions, step_around
from streamreplay.learners.river.models import RiverClasses, RiverTargets
from streamreplay.learners.river.parts import (
    FeatureName,
    Row,
    as_rows,
    dump,
    import_base,
    load,
)
from streamreplay.memory import empty_memory
from streamreplay.records import Rehearsal, Scored
from streamreplay.safepickle import check_versions, live_versions
from streamreplay.state import Fields, State, expect, within

_SOURCE_KEYS = {"classes": "label", "numbers": "target", "labels": "multilabel"}


@final
class RiverLearner:
    """Predict each incoming batch with a River model, then let the model learn the rows one by one.

    All rows of a batch are predicted before the first of them is learned. Batches of one row give
    River's own progressive validation, prediction by prediction; in larger ones a row does not
    profit from the rows before it in its batch. Each training pass learns the incoming rows in
    order, then the rows of memory that were drawn for it. Unlabelled rows are only predicted.

    A class that no label has named yet is never predicted, even if the model predicts it, and has
    the largest loss there is. If a model has no ``predict_proba_one``, the class that it predicts
    has probability 1.

    The model is given the names of features, classes and targets that a batch has (its
    ``feature_names`` and ``labels``). Features without names, or with another number of names, are
    named by their positions "0", "1", ...; classes and targets by their indices. Names can matter:
    River's forests give other results for other names.

    Regressors, of one or several numbers, and multi-label classifiers learn rows with such targets.
    The weight of a row is passed to models that accept one.

    Parameters
    ----------
    model : river.base.Classifier, Regressor, MultiTargetRegressor or MultiLabelClassifier
        One of these, or a pipeline that ends in one; it is trained in place. It draws its own
        random numbers: give it a seed.
    replay : bool
        Whether to learn the drawn rows of memory as well. False: one pass over incoming rows.
    many : bool, optional
        Call ``predict_proba_many`` (or ``predict_many``) and ``learn_many`` for batches of more
        than one row; by default if all parts of the model have them and pandas is installed.
    allow_pickle : bool
        Whether `state_dict` may hold the model, which is a pickle.
    trusted : bool
        Whether `load_state_dict` may load a pickle, which can run any code of its author.
    context : context manager, optional
        Entered around calls of the model. It may replace the model's errors, and must be reusable.

    Raises
    ------
    TypeError
        ``model`` is none of these; active learners are not.

    Examples
    --------
    >>> from river import neighbors
    >>> from streamreplay.batch import Batch
    >>> learner = RiverLearner(neighbors.KNNClassifier(n_neighbors=3))
    >>> stream = [Batch.from_arrays([[float(i % 2)]], [i % 2], start=i) for i in range(100)]
    >>> [int(scored.prediction[0]) for scored in learner(stream)][-4:]
    [0, 1, 0, 1]
    """

    _FIELDS = Fields(batches=int, _names=list | None, _shape=tuple)

    def __init__(
        self,
        model: Any,
        *,
        replay: bool = True,
        many: bool | None = None,
        allow_pickle: bool = False,
        trusted: bool = False,
        context: AbstractContextManager[None] | None = None,
    ) -> None:
        self._context = nullcontext() if context is None else context
        self._model = self._adapt(model, many=many)
        self.replay = replay
        self.allow_pickle = allow_pickle
        self.trusted = trusted
        self.batches = 0
        """Batches learned from."""
        self._names: list[FeatureName] | None = None
        self._schema: TableSchema | None = None  # of the last rows
        self._shape: tuple[int, ...] = ()
        self._pickled: NDArray[np.uint8] | None = None  # the model as it is now

    @property
    def model(self) -> Any:
        """The River model as it is now; loading a state replaces the object."""
        return self._model.model

    @property
    def feature_names(self) -> list[FeatureName] | None:
        """The names of features that the model is given; None before the first row."""
        return self._names

    def __call__(self, stream: Iterable[Batch | Rehearsal]) -> Iterator[Scored]:
        """Score each incoming batch, then learn from it and from the rows drawn with it."""
        for record in stream:
            if isinstance(record, Batch):
                yield self._step(Rehearsal(record, empty_memory(record)))
            else:
                yield self._step(record)

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the model's probability of each class, without learning: float32[n, classes].

        Classes that no label has named yet have 0; others have River's own numbers. For rows with
        several labels, the result is the probability of each label.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, no label has arrived yet, or the
            model predicts numbers.
        """
        if isinstance(self._model, RiverClasses):
            rows = self._rows(x, schema=self._schema) if self._model.known else []
            return self._model.probabilities(rows)
        if self._model.objective == "numbers":
            raise ValueError("numbers have no probabilities: see predict")
        return self._now(Batch.from_arrays(x)).probability

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the prediction of each row without learning, as in `Scored`.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._now(Batch.from_arrays(x)).prediction

    def foresee(self, batch: Batch) -> Foreseen:
        """Return what rows would be predicted to be if they came next, without learning."""
        return Foreseen(self._now(batch), lambda: self.predict_proba(batch.x))

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the current loss of each row: float32[n], NaN for unlabelled rows.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._now(batch).loss

    def state_dict(self) -> State:
        """Return the model as a pickle, the versions that wrote it, and the names in use.

        Raises
        ------
        CheckpointError
            ``allow_pickle`` is false, or the model cannot be pickled.
        """
        if not self.allow_pickle:
            raise CheckpointError(
                "model: River's models can be saved only as pickles, which run code when they are "
                "loaded: allow_pickle=True allows it (in a job: learner.allow_pickle = true)"
            )
        if self._pickled is None:
            self._pickled = dump(self.model)
        return {
            "versions": live_versions(),
            "settings": self._settings,
            **self._FIELDS.save(self),
            "known": sorted(self._model.known),
            "labels": list(self._model.names),
            "model_kind": self._model.kind,
            "model": self._pickled,
        }

    def load_state_dict(self, state: State) -> None:
        """Load the state of a model of the same kind.

        Raises
        ------
        CheckpointError
            This learner does not trust pickles, the state was written by another version of River
            or Python, or it is of another kind of model.
        """
        if not self.trusted:
            raise CheckpointError(
                "model: is a pickle, which can run any code when it is loaded; if you know who "
                "wrote this checkpoint, pass trusted=True (on the command line: --trust)"
            )
        with within("versions"):
            check_versions(state["versions"])
        expect("settings", state["settings"], self._settings)
        expect("model_kind", state["model_kind"], self._model.kind)
        self._pickled = state["model"].copy()
        self._model = self._adapt(load(self._pickled), many=self._model.many)
        self._model.names = list(state["labels"])
        self._model.known = set(state["known"])
        self._FIELDS.load(self, state)

    @property
    def _settings(self) -> State:
        return {"replay": self.replay, "many": self._model.many}

    def _adapt(self, model: Any, *, many: bool | None) -> RiverClasses | RiverTargets:
        base = import_base()
        of_targets = base.Regressor | base.MultiTargetRegressor | base.MultiLabelClassifier
        kind = RiverTargets if isinstance(model, of_targets) else RiverClasses
        return kind(model, self._context, many=many)

    def _step(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if incoming.withheld is not None:
            return step_around(rehearsal, self._step, self._now)
        if not len(incoming) or (incoming.held_out and self._names is None):
            return self._model.unknown(incoming).scored(incoming)  # held-out rows set no names
        self._check_objective(incoming)
        if isinstance(self._model, RiverTargets):
            self._model.prepare(incoming)
        rows = self._rows(incoming.x, incoming.feature_names, incoming.schema)
        scores = self._model.score(incoming, rows)
        labelled = np.flatnonzero(incoming.y >= 0)
        if incoming.held_out or not len(labelled):
            return scores.scored(incoming)
        self._pickled = None
        rows = [rows[i] for i in labelled.tolist()]
        replayed = self._learn(rows, incoming.take(labelled), rehearsal)
        self.batches += 1
        return scores.scored(incoming, replayed)

    def _learn(self, rows: list[Row], incoming: Batch, rehearsal: Rehearsal) -> int:
        """Run the training passes; return the number of memory rows learned from."""
        passes = len(rehearsal.rows) if self.replay else 1
        k = rehearsal.rows.shape[1] if self.replay else 0
        for step in range(passes):
            self._model.learn(rows, incoming)
            if k:
                drawn = rehearsal.drawn(step)
                self._model.learn(self._rows(drawn.x, schema=self._schema), drawn)
        return passes * k

    def _check_objective(self, batch: Batch) -> None:
        """Raise an error if labelled rows have other targets than the model predicts."""
        wanted, found = self._model.objective, objective_of(batch.target)
        if found != wanted and (batch.target is not None or batch.y.max() >= 0):
            raise ConfigError(
                f"learner: {self._model.kind} predicts {wanted}, and the stream has {found}: "
                f"see source.{_SOURCE_KEYS[wanted]}"
            )

    def _now(self, batch: Batch) -> Predictions:
        """Score a batch without changing anything: before the first rows it sets no names."""
        if self._names is None:
            return self._model.unknown(batch)
        return self._model.score(batch, self._rows(batch.x, schema=batch.schema or self._schema))

    def _rows(
        self,
        x: NDArray[Any],
        given: Sequence[FeatureName] | None = None,
        schema: TableSchema | None = None,
    ) -> list[Row]:
        """Return rows as dicts; the first ones set the shape and the names of features."""
        if schema is not None and is_table(x):
            self._schema = schema
            self._names, self._shape = list(schema.names), ()
            return schema.rows(x)
        if self._names is None:
            width = int(np.prod(x.shape[1:]))
            names = list(given or ())
            self._names = names if len(names) == width else [str(i) for i in range(width)]
            self._shape = x.shape[1:]
        if x.shape[1:] != self._shape:
            live = f"[n, {', '.join(map(str, self._shape))}]"
            raise ValueError(f"x: this learner has learned from {live}, got {describe_array(x)}")
        return as_rows(x, self._names)
