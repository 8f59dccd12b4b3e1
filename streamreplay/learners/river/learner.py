"""The learner around a model of River: predict the incoming rows, then learn and rehearse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, objective_of
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.learners.predictions import (
    LOSS_LIMIT,
    Predictions,
    unknown,
    unknown_classes,
    unknown_labels,
    unknown_numbers,
)
from streamreplay.learners.river.classifiers import Answer, RiverModel
from streamreplay.learners.river.parts import FeatureName, LabelName, Row, as_rows, import_base
from streamreplay.learners.river.pickles import dump, load
from streamreplay.learners.river.targets import RiverTargets
from streamreplay.learners.withheld import step_around
from streamreplay.memory import empty_memory
from streamreplay.records import Rehearsal, Scored
from streamreplay.safepickle import check_versions, live_versions
from streamreplay.state import State, expect

__all__ = ["RiverLearner"]


@final
class RiverLearner:
    """Predict each incoming batch with a model of River, then let it learn the rows one by one.

    All rows of a batch are predicted before the first of them is learned. With batches of one that
    is River's own progressive validation, prediction by prediction; with larger ones a row does not
    profit from those before it in its batch. Each training pass learns the incoming rows in order,
    then the rows of memory that were drawn for it. Rows without a label are predicted only.

    A class that no label has named yet is never predicted, whatever the model says, and has the
    largest loss there is. A model without ``predict_proba_one`` is taken at its word: what it
    predicts has probability 1.

    River is given the names that a batch has for its features, and for its classes or targets (its
    ``feature_names`` and ``labels``). Features without names, or with another number of names, go
    by their positions "0", "1", ...; classes and targets by their indices. Names can matter:
    forests of River give another figure if they are others.

    Regressors, of one or of several numbers, and multi-label classifiers take streams of rows with
    such targets. A row's weight goes to models that take one.

    Parameters
    ----------
    model : river.base.Classifier, Regressor, MultiTargetRegressor or MultiLabelClassifier
        Any of these, or a pipeline that ends in one; it is trained in place. Its random numbers
        are its own: give it a seed.
    replay : bool
        Whether the drawn rows of memory are learned as well. False is one pass over incoming rows.
    many : bool, optional
        Use ``predict_proba_many`` (or ``predict_many``) and ``learn_many`` for batches of more
        than one row. By default where all parts of the model have them and pandas is installed.
    allow_pickle : bool
        Whether `state_dict` may hold the model, which is a pickle.
    trusted : bool
        Whether `load_state_dict` may load one: that runs code of whoever wrote it.
    context : context manager, optional
        Entered around calls of the model. It may replace the model's errors, and must be reusable.

    Raises
    ------
    ImportError
        River is not installed.
    TypeError
        ``model`` is none of these, as active learners.

    Examples
    --------
    >>> from river import neighbors
    >>> from streamreplay.batch import Batch
    >>> learner = RiverLearner(neighbors.KNNClassifier(n_neighbors=3))
    >>> stream = [Batch.from_arrays([[float(i % 2)]], [i % 2], start=i) for i in range(100)]
    >>> [int(scored.prediction[0]) for scored in learner(stream)][-4:]
    [0, 1, 0, 1]
    """

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
        self._model = _wrapped(model, many=many)
        self.replay = replay
        self.allow_pickle = allow_pickle
        self.trusted = trusted
        self._context = nullcontext() if context is None else context
        self.batches = 0
        """Batches learned from."""
        self._names: list[FeatureName] | None = None
        self._shape: tuple[int, ...] = ()
        self._known: set[int] = set()
        self._pickled: NDArray[np.uint8] | None = None  # the model as it is now

    @property
    def model(self) -> Any:
        """River's model as it is now; loading a state puts another one in its place."""
        return self._model.model

    @property
    def feature_names(self) -> list[FeatureName] | None:
        """What River calls the features; None before the first row."""
        return self._names

    def __call__(self, stream: Iterable[Batch | Rehearsal]) -> Iterator[Scored]:
        """Score each incoming batch, then learn from it and from the rows drawn beside it."""
        for record in stream:
            if isinstance(record, Batch):
                yield self._step(Rehearsal(record, empty_memory(record)))
            else:
                yield self._step(record)

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the model says of each class without learning: float32[n, classes].

        Classes that no label has named yet have 0; others are River's own numbers. Of rows that may
        have several labels, the probability of each.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, no label has arrived yet, or the
            model predicts numbers.
        """
        model = self._model
        if isinstance(model, RiverTargets):
            if model.objective == "numbers":
                raise ValueError("numbers have no probabilities: see predict")
            return self._now(Batch.from_arrays(x)).probability
        if not self._known:
            raise ValueError("there are no classes to predict before the first label has arrived")
        found = np.zeros((len(x), max(self._known) + 1), np.float32)
        for i, (says, _) in enumerate(self._ask(model, self._rows(x))):
            for label in self._known & says.keys():
                found[i, label] = says[label]
        return found

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the prediction of each row without learning, as in `Scored`.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._now(Batch.from_arrays(x)).prediction

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._now(batch).loss

    def state_dict(self) -> State:
        """Return the model as a pickle, what wrote it, the names of features, the classes known.

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
            "settings": {"replay": self.replay, "many": self._model.many},
            "batches": self.batches,
            "names": self._names,
            "shape": list(self._shape),
            "known": sorted(self._known),
            "labels": list(self._labels),
            "model_kind": self._model.kind,
            "model": self._pickled,
        }

    def load_state_dict(self, state: State) -> None:
        """Take over the state of a model of the same kind.

        Raises
        ------
        CheckpointError
            This learner is not told to trust it, it was written by another version of River or
            Python, or it is of another kind of model.
        """
        if not self.trusted:
            raise CheckpointError(
                "model: is a pickle, which can run any code when it is loaded; if you know who "
                "wrote this checkpoint, pass trusted=True (on the command line: --trust)"
            )
        try:
            check_versions(state["versions"])
        except CheckpointError as error:
            raise CheckpointError(f"versions.{error}") from None
        expect("settings", state["settings"], {"replay": self.replay, "many": self._model.many})
        expect("model_kind", state["model_kind"], self._model.kind)
        pickled = state["model"].copy()
        self._model = _wrapped(load(pickled), many=self._model.many)
        if isinstance(self._model, RiverTargets):
            self._model.names = list(state["labels"])
        else:
            self._model.name(state["labels"])
        self._pickled = pickled
        self.batches = int(state["batches"])
        self._names = None if state["names"] is None else list(state["names"])
        self._shape = tuple(state["shape"])
        self._known = set(state["known"])

    # -- one record ------------------------------------------------------------------------------

    def _step(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if incoming.withheld is not None:
            return step_around(rehearsal, self._step, self._now)
        if not len(incoming) or (incoming.held_out and self._names is None):
            return self._blindly(incoming).scored(incoming)  # such rows decide nothing
        self._check_target(incoming)
        rows = self._rows(incoming.x, incoming.feature_names)
        scores = self._score(incoming, rows)
        labelled = np.flatnonzero(incoming.y >= 0)
        if incoming.held_out or not len(labelled):
            return scores.scored(incoming)
        self._pickled = None
        rows = [rows[i] for i in labelled.tolist()]
        replayed = self._learn(rows, incoming.take(labelled), rehearsal)
        self.batches += 1
        return scores.scored(incoming, replayed)

    def _learn(self, rows: list[Row], incoming: Batch, rehearsal: Rehearsal) -> int:
        """Take the training passes; return memory rows learned from."""
        passes = len(rehearsal.rows) if self.replay else 1
        k = rehearsal.rows.shape[1] if self.replay else 0
        for step in range(passes):
            self._teach(rows, incoming)
            if k:
                drawn = rehearsal.drawn(step)
                self._teach(self._rows(drawn.x), drawn)
        return passes * k

    def _teach(self, rows: list[Row], batch: Batch) -> None:
        """Have labelled rows learned."""
        model = self._model
        if isinstance(model, RiverTargets):
            if batch.target is not None:
                with self._context:
                    model.teach(rows, batch.target, batch.weight)
            return
        self._meet(batch, model)  # of memory as well: the buffer may have been filled before
        with self._context:
            model.teach(rows, batch.y.tolist(), batch.weight)

    def _check_target(self, batch: Batch) -> None:
        """See to it that rows have what the model predicts; unlabelled ones need not say."""
        model, target = self._model, batch.target
        found = objective_of(target)
        wanted = model.objective if isinstance(model, RiverTargets) else "classes"
        if found != wanted and (target is not None or batch.y.max() >= 0):
            key = {"classes": "label", "numbers": "target", "labels": "multilabel"}[wanted]
            raise ConfigError(
                f"learner: {model.kind} predicts {wanted}, and the stream has {found}: "
                f"see source.{key}"
            )
        if isinstance(model, RiverTargets) and target is not None:
            width = target.shape[1]
            if not model.names:
                model.name(None if batch.labels is None else batch.labels.names, width)
            if len(model.names) != width:
                raise ValueError(
                    f"target: this learner has learned [n, {len(model.names)}], "
                    f"got {describe_array(target)}"
                )

    @property
    def _labels(self) -> list[LabelName]:
        model = self._model
        return model.names if isinstance(model, RiverTargets) else model.labels

    def _meet(self, batch: Batch, model: RiverModel) -> None:
        top = int(batch.y.max())
        if top > 1 and model.binary:
            raise ConfigError(
                f"learner: {model.kind} tells two classes apart, and the stream has named "
                "a third; wrap the classifier: multiclass.OneVsRestClassifier(...)"
            )
        if top >= len(model.labels):
            names = range(top + 1) if batch.labels is None else batch.labels.names
            if top >= len(names):
                raise ValueError(f"labels: has {len(names)} names, label {top} has arrived")
            model.name(names[: top + 1])
        self._known.update(batch.y.tolist())

    def _blindly(self, batch: Batch) -> Predictions:
        """Score a batch before anything was learned."""
        model = self._model
        if not isinstance(model, RiverTargets):
            return unknown_classes(batch.y)
        if batch.target is not None:
            return unknown(batch)
        width = len(model.names) or 1
        if model.objective == "numbers":
            return unknown_numbers(batch.y, width)
        return unknown_labels(batch.y, width)

    def _now(self, batch: Batch) -> Predictions:
        """Score a batch without a trace: before the first rows it decides no names."""
        if self._names is None:
            return self._blindly(batch)
        return self._score(batch, self._rows(batch.x))

    def _score(self, batch: Batch, rows: list[Row]) -> Predictions:
        """Score rows by River's answers: the loss of a class is cut to [0, `LOSS_LIMIT`]."""
        model = self._model
        if isinstance(model, RiverTargets):
            if not model.names:
                return self._blindly(batch)
            with self._context:
                return model.score(batch, rows)
        scores = unknown_classes(batch.y)
        if not self._known:
            return scores
        square_sum = np.zeros(len(batch), np.float32)
        for i, (label, (says, guess)) in enumerate(
            zip(batch.y.tolist(), self._ask(model, rows), strict=True)
        ):
            if guess not in self._known:
                known = self._known & says.keys()
                guess = min(known, key=lambda c: (-says[c], c), default=-1)  # noqa: PLW2901
            if guess >= 0:
                scores.prediction[i], scores.probability[i] = guess, says.get(guess, 0.0)
            if label in self._known:
                p = says.get(label, 0.0)
                scores.loss[i] = 0.0 if p >= 1 else -np.log(p) if p > 0 else LOSS_LIMIT
            square_sum[i] = sum(p * p for p in says.values())
        np.minimum(scores.loss, np.float32(LOSS_LIMIT), out=scores.loss)
        return replace(scores, square_sum=square_sum)

    def _ask(self, model: RiverModel, rows: list[Row]) -> list[Answer]:
        with self._context:
            return list(model.ask(rows))

    def _rows(self, x: NDArray[Any], given: Sequence[FeatureName] | None = None) -> list[Row]:
        if self._names is None:
            width = int(np.prod(x.shape[1:]))
            names = list(given or ())
            self._names = names if len(names) == width else [str(i) for i in range(width)]
            self._shape = x.shape[1:]
        if x.shape[1:] != self._shape:
            live = f"[n, {', '.join(map(str, self._shape))}]"
            raise ValueError(f"x: this learner has learned from {live}, got {describe_array(x)}")
        return as_rows(x, self._names)


def _wrapped(model: Any, *, many: bool | None) -> RiverModel | RiverTargets:
    base = import_base()
    of_targets = base.Regressor | base.MultiTargetRegressor | base.MultiLabelClassifier
    if isinstance(model, of_targets):
        return RiverTargets(model, many=many)
    return RiverModel(model, many=many)
