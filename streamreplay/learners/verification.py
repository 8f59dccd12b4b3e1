"""Keep predictions until the labels of their rows come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, objective_of
from streamreplay.late import Late
from streamreplay.learners.predictions import (
    LOSS_LIMIT,
    Predictions,
    label_losses,
    squared_errors,
    unknown_rows,
)
from streamreplay.records import LateRows, Scored
from streamreplay.slots import Slots
from streamreplay.state import ARRAY, PART, Fields, State

_BINS = 15


@final
class Confidence:
    """How often predictions were right, by the probability that they were given.

    Fifteen bins of equal width, over all rows whose label has come.

    Examples
    --------
    >>> confidence = Confidence()
    >>> confidence.add(np.array([0.9, 0.9, 0.9, 0.9], "f4"), np.array([True, True, True, False]))
    >>> confidence.estimate(np.array([0.9, 0.5], "f4")).tolist()
    [0.75, 0.5]
    """

    STATE = Fields(_rows=ARRAY, _hits=ARRAY)

    def __init__(self) -> None:
        self._rows = np.zeros(_BINS)
        self._hits = np.zeros(_BINS)

    def add(self, probability: NDArray[np.float32], hits: NDArray[np.bool_]) -> None:
        """Count predictions by their probability, NaN where there is none, and their hits."""
        known = np.isfinite(probability)
        place = _bins(probability[known])
        self._rows += np.bincount(place, minlength=_BINS)
        self._hits += np.bincount(place[hits[known]], minlength=_BINS)

    def estimate(self, probability: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how likely each prediction is right: the share of its bin, if that has rows."""
        place = _bins(np.nan_to_num(probability))
        share = self._hits / np.maximum(self._rows, 1)
        said = np.nan_to_num(probability).astype(np.float64)
        return np.where(self._rows[place] > 0, share[place], said)


def _bins(probability: NDArray[np.float32]) -> NDArray[np.intp]:
    place = np.ceil(probability.astype(np.float64) * _BINS).astype(np.intp) - 1
    return np.clip(place, 0, _BINS - 1)


@final
class Verification:
    """Score late labels by the predictions that were made when their rows came.

    A stage `Scored` -> `Scored`, behind each learner of a stream with `LateLabels` or
    `DelayedLabels`. What it yields has a row for each record of the stream again: an event without
    a label, or a label with the prediction that was made at its event.

    Examples
    --------
    >>> from functools import partial
    >>> from torch.optim import SGD
    >>> from streamreplay import LateLabels, TorchLearner, linear
    >>> event = Batch.from_arrays([[1.0]], id=["a"])
    >>> label = Batch.from_arrays([[0.0]], [0], id=["a"], start=1)
    >>> stages = LateLabels(), TorchLearner(linear(), partial(SGD, lr=0.1)), Verification()
    >>> stream = [event, label]
    >>> for stage in stages:
    ...     stream = stage(stream)
    >>> [(scored.incoming.y.tolist(), scored.prediction.tolist()) for scored in stream]
    [([-1], [-1]), ([0], [-1])]
    """

    STATE = Fields(_pending=PART, _confidence=PART)

    def __init__(self) -> None:
        self._pending = Slots({"class_loss": LOSS_LIMIT, "square_sum": np.nan})
        self._confidence = Confidence()

    def __call__(self, stream: Iterable[Scored]) -> Iterator[Scored]:
        """Yield the records of each batch with their predictions."""
        for scored in stream:
            late = scored.incoming.late
            yield scored if late is None else self._verify(scored, late)

    @property
    def estimate(self) -> dict[str, Any]:
        """How many of the predictions whose label has not come are likely to be right.

        Fields of the log; none for numbers and for several labels, nor while all labels are there.
        """
        if not len(self._pending):
            return {}
        prediction = self._pending.column("prediction")
        if prediction.ndim > 1:
            return {}
        likely = self._confidence.estimate(self._pending.column("probability"))
        likely[prediction < 0] = 0
        return {"estimated_accuracy": float(likely.mean()), "estimated_rows": len(likely)}

    def state_dict(self) -> State:
        """Return the predictions that are kept, and what is known of their confidence."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state."""
        self.STATE.load(self, state)

    def _verify(self, scored: Scored, late: Late[Batch]) -> Scored:
        """Return the predictions of the records of a batch."""
        rows, now = scored.incoming, (late.place >= 0) & ~late.before
        self._pending.put(rows.t[late.held].tolist(), _columns(scored, late.held))
        found = _nothing(scored, late.records)
        said = Predictions(scored.prediction, scored.probability, scored.loss, scored.square_sum)
        if now.any():
            _put(found, late.place[now], said, now)
        if late.before.any():
            earlier = self._earlier(rows.take(late.before))
            _put(found, late.place[late.before], earlier, slice(None))
        self._pending.drop(late.gone.tolist())
        withheld = np.zeros(len(rows), np.bool_) if rows.withheld is None else rows.withheld
        records, apart = late.records, withheld & ~late.waiting
        marked = late.place[apart & (late.place >= 0)]
        if len(marked):
            records = records.withholding(np.isin(np.arange(len(records)), marked))
        counts = LateRows(
            kind=late.kind,
            event=late.event,
            learned=int(np.count_nonzero((rows.y >= 0) & ~withheld)),
            withheld=int(np.count_nonzero(apart)),
            repeated=late.repeated,
            without_event=late.without_event,
        )
        return replace(
            scored,
            incoming=records,
            prediction=found.prediction,
            probability=found.probability,
            loss=found.loss,
            square_sum=found.square_sum,
            class_loss=None,
            repeat=late.repeat,
            late=counts,
        )

    def _earlier(self, rows: Batch) -> Predictions:
        """Return the predictions that were made when the rows came, and their losses now."""
        kept = self._pending.take(rows.t.tolist())
        prediction, probability = kept["prediction"], kept["probability"]
        objective = objective_of(prediction)
        if objective == "numbers":
            return Predictions(prediction, probability, squared_errors(rows, prediction))
        if objective == "labels":
            loss = label_losses(rows, np.nan_to_num(probability, nan=0.5))
            return Predictions(prediction, probability, loss)
        self._confidence.add(probability, prediction == rows.y)
        loss = np.full(len(rows), LOSS_LIMIT, np.float32)
        class_loss = kept.get("class_loss")
        if class_loss is not None:
            known = rows.y < class_loss.shape[1]
            loss[known] = class_loss[known, rows.y[known]]
        return Predictions(prediction, probability, loss, kept.get("square_sum"))


def _columns(scored: Scored, rows: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    names = ("prediction", "probability", "square_sum", "class_loss")
    found = {name: getattr(scored, name) for name in names}
    return {name: column[rows] for name, column in found.items() if column is not None}


def _nothing(scored: Scored, records: Batch) -> Predictions:
    """Return that nothing is predicted of some records, in the shape of what is."""
    like = scored.prediction if len(scored.incoming) else records.target
    width = None if like is None or like.ndim == 1 else like.shape[1]
    found = unknown_rows(np.full(len(records), -1), objective_of(like), width)
    return replace(found, loss=found.loss.copy())  # to be written to: each an array of its own


def _put(
    found: Predictions, at: NDArray[np.int64], said: Predictions, rows: NDArray[np.bool_] | slice
) -> None:
    """Write the predictions of some rows into places of others."""
    found.prediction[at] = said.prediction[rows]
    found.probability[at] = said.probability[rows]
    found.loss[at] = said.loss[rows]
    if found.square_sum is not None:
        found.square_sum[at] = np.nan if said.square_sum is None else said.square_sum[rows]
