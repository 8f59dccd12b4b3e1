"""All running scores of a stream of classes, folded in by blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.baselines import Majority, NoChange
from streamreplay.evaluation.sums.calibration import Calibration, brier_scores
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.pending import Rows
from streamreplay.evaluation.sums.tally import Tally, by_groups, ratio
from streamreplay.evaluation.sums.window import Window
from streamreplay.groups import GroupIndex
from streamreplay.state import State

__all__ = ["Scores", "one_group"]


class Scores:
    """What was right so far, of a model and of the two baselines beside it.

    Sums of floats depend on where one block ends and the next begins: the caller sees to it that
    blocks depend on the stream alone.

    Parameters
    ----------
    window : int
        Labelled rows in the sliding window.
    fading : float
        Fading factor of the faded accuracy.
    block : int
        Most rows in one fold.
    """

    def __init__(self, window: int, fading: float, block: int) -> None:
        self.unlabelled = 0
        self._hits = np.zeros(3, np.int64)  # of the model, of no-change, of majority
        self._loss_sum, self._loss_rows = 0.0, 0
        self._faded_hits, self._faded_rows = 0.0, 0.0
        self._fading = Fading(fading, block)
        self._window = Window(window, tracks=3)
        self._calibration = Calibration(window)
        self._no_change, self._majority = NoChange(), Majority()
        self.groups: dict[GroupBy, Tally] = {
            "class": Tally(),
            "task": Tally(endless=True),
            "experience": Tally(endless=True),
        }
        self._predicted = Tally()

    def fold(self, rows: Rows, experience: int) -> None:
        """Take in the next rows of one experience."""
        labelled = rows.labelled()
        self.unlabelled += len(rows) - len(labelled)
        if not len(labelled):
            return
        y, prediction = labelled.y, labelled.prediction
        classes = GroupIndex.of(y)
        hits = np.empty((3, len(y)), np.bool_)
        np.equal(y, prediction, out=hits[0])
        hits[1] = self._no_change.hits(y)
        hits[2] = self._majority.hits(y, classes, self.groups["class"].rows(classes.ids))
        self._hits += np.count_nonzero(hits, axis=1)
        self._fade(hits[0])
        losses = labelled.loss.astype(np.float64)
        self._window.extend(hits, losses)
        self._add_loss(losses)
        if labelled.probability is not None and labelled.square_sum is not None:
            brier = brier_scores(losses, labelled.square_sum)
            self._calibration.fold(hits[0], labelled.probability, brier)
        self.groups["class"].add_groups(classes, hits[0])
        self.groups["task"].add(labelled.task, hits[0])
        self.groups["experience"].add_groups(one_group(experience, len(y)), hits[0])
        self._predicted.add(prediction, hits[0])

    @property
    def rows(self) -> int:
        """Labelled rows so far."""
        return self.groups["class"].total[0]

    def record(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        """Return the scores as of now, as ``docs/log.md`` describes them."""
        rows = self.rows
        model, no_change, majority = self._hits.tolist()
        recent, hits = self._window.rows, self._window.hits()
        return {
            "rows": rows,
            "unlabelled": self.unlabelled,
            "accuracy": ratio(model, rows),
            "accuracy_window": ratio(hits[0], recent),
            "accuracy_fading": ratio(self._faded_hits, self._faded_rows),
            "loss": ratio(self._loss_sum, self._loss_rows),
            "loss_window": self._window.loss(),
            "kappa": self._kappa(rows, model),
            # (p0 - p') / (1 - p'), p' being no-change's accuracy, both times rows
            "kappa_temporal": ratio(model - no_change, rows - no_change),
            "kappa_temporal_window": ratio(hits[0] - hits[1], recent - hits[1]),
            **self._calibration.scores(),
            "no_change": _accuracies(no_change, rows, hits[1], recent),
            "majority": _accuracies(majority, rows, hits[2], recent),
            **self._by_groups(by),
        }

    def mark(self) -> None:
        """Start the recent scores of all groups again."""
        for tally in self.groups.values():
            tally.mark()

    def state_dict(self) -> State:
        """Return all counts and sums."""
        return {
            "unlabelled": self.unlabelled,
            "hits": self._hits.copy(),
            "loss_sum": self._loss_sum,
            "loss_rows": self._loss_rows,
            "faded_hits": self._faded_hits,
            "faded_rows": self._faded_rows,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same window and fading factor."""
        self.unlabelled = int(state["unlabelled"])
        self._hits[:] = state["hits"]
        self._loss_sum, self._loss_rows = float(state["loss_sum"]), int(state["loss_rows"])
        self._faded_hits = float(state["faded_hits"])
        self._faded_rows = float(state["faded_rows"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Tally | Window | Calibration | NoChange | Majority]:
        return {
            **{f"by_{name}": tally for name, tally in self.groups.items()},
            "predicted": self._predicted,
            "window": self._window,
            "calibration": self._calibration,
            "no_change": self._no_change,
            "majority": self._majority,
        }

    def _fade(self, hits: NDArray[np.bool_]) -> None:
        # S_t = c_t + a S_{t-1} and N_t = 1 + a N_{t-1}, unrolled over the block
        weights, decay = self._fading.weights(len(hits)), self._fading.decay(len(hits))
        self._faded_hits = self._faded_hits * decay + float(weights[hits].sum())
        self._faded_rows = self._faded_rows * decay + float(weights.sum())

    def _add_loss(self, loss: NDArray[np.float64]) -> None:
        finite = loss[np.isfinite(loss)]
        self._loss_sum += float(finite.sum())
        self._loss_rows += len(finite)

    def _by_groups(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        found = by_groups(self.groups, by, "accuracy")
        by_class = found.get("by_class", {})
        predicted = self._predicted.rows(np.array(list(by_class), np.int64)).tolist()
        for (label, scores), said in zip(by_class.items(), predicted, strict=True):
            hits = self.groups["class"].hits(label)
            scores["precision"] = ratio(hits, said)
            scores["f1"] = ratio(2 * hits, scores["rows"] + said)
        return found

    def _kappa(self, rows: int, hits: int) -> float | None:
        # (p0 - pe) / (1 - pe), both times rows squared: whole numbers, of any size, until the end
        by_class = self.groups["class"].state_dict()
        predicted = self._predicted.rows(by_class["ids"])
        chance = sum(map(mul, by_class["counts"][:, 0].tolist(), predicted.tolist()))
        return ratio(rows * hits - chance, rows * rows - chance)


def _accuracies(hits: int, rows: int, recent_hits: int, recent: int) -> dict[str, float | None]:
    return {"accuracy": ratio(hits, rows), "accuracy_window": ratio(recent_hits, recent)}


def one_group(id: int, n: int) -> GroupIndex:
    """Return the index of n rows of one group."""
    return GroupIndex(np.array([id]), np.array([n]), np.array([0]), np.arange(n))
