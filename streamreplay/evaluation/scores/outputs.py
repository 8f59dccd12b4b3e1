"""Running scores of a stream of numbers or of labels, several of them a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.by_group import ScoresByGroup
from streamreplay.evaluation.sums.means import Fading, RecentRows, RunningMean, mean_of_finite
from streamreplay.evaluation.sums.output_sums import ErrorSums, LabelCounts, errors_of
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.state import ARRAY, PART, PARTS, Fields

_BASELINES = ("no_change", "mean")


class NumberScores:
    """Errors of a regressor and of the two baselines so far.

    Parameters
    ----------
    window, fading, block
        As in `ClassScores`.
    outputs : int
        Numbers to predict for each row.
    """

    STATE = Fields(
        unlabelled=int,
        unpredicted=int,
        _labelled=int,
        _last=ARRAY,
        _total=ARRAY,
        _model=PART,
        _faded=PART,
        _sums=PARTS,
        _window=PART,
        groups=PART,
    )

    def __init__(self, window: int, fading: float, block: int, outputs: int) -> None:
        self.unlabelled = 0
        self.unpredicted = 0
        self._labelled = 0
        self._model = ErrorSums(outputs)
        self._faded = ErrorSums(outputs)
        self._sums = {name: ErrorSums(outputs) for name in _BASELINES}
        self._fading = Fading(fading, block)
        one = np.empty((0, outputs))
        self._window = RecentRows(window, target=one, model=one, no_change=one, mean=one)
        self._last = np.full(outputs, np.nan)  # float64[d], NaN before there is one
        self._total = np.zeros(outputs)  # float64[d], of all targets so far
        self.groups = ScoresByGroup(np.float64)

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add a block of rows of one experience."""
        labelled = rows.labelled()
        self.unlabelled += len(rows) - len(labelled)
        target = labelled.target
        if target is None or not len(labelled):
            return
        error, baselines = errors_of(labelled.prediction, target), self._baselines(target)
        self._window.extend(target=target, model=error, **baselines)
        for name, sums in self._sums.items():
            sums.add(target, baselines[name])
        said = ~np.isnan(error).any(axis=1)
        n = int(np.count_nonzero(said))
        self.unpredicted += len(error) - n
        if not n:
            return
        target, error = target[said], error[said]
        self._model.add(target, error)
        self._faded.decay(self._fading.decay(n))
        self._faded.add(target, error, self._fading.weights(n))
        self.groups.add(labelled.task[said], experience, np.abs(error).mean(axis=1))

    def _baselines(self, target: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return the errors of predicting the last target, and the mean of all before."""
        n = len(target)
        last = np.concatenate([self._last[None], target[:-1]])
        sums = np.cumsum(np.concatenate([self._total[None], target]), axis=0)
        rows = np.arange(self._labelled, self._labelled + n)[:, None]
        mean = np.where(rows > 0, sums[:-1] / np.maximum(rows, 1), np.nan)
        self._last, self._total = target[-1].copy(), sums[-1].copy()
        self._labelled += n
        return {"no_change": last - target, "mean": mean - target}

    def record(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        """Return the scores so far, as ``streamreplay schema --log`` describes them."""
        recent, faded = _recent(self._window, "model", ErrorSums), self._faded.scores()
        outputs = self._model.by_output()
        return {
            "rows": self._labelled,
            "unlabelled": self.unlabelled,
            "unpredicted": self.unpredicted,
            **with_variants(self._model.scores(), window=recent, fading=faded),
            **{name: self._baseline(name) for name in _BASELINES},
            **({"by_output": dict(enumerate(outputs))} if len(outputs) > 1 else {}),
            **self.groups.fields(by, "mae"),
        }

    def _baseline(self, name: str) -> dict[str, float | None]:
        total, recent = self._sums[name].scores(), _recent(self._window, name, ErrorSums)
        return with_variants({key: total[key] for key in ("mae", "rmse")}, window=recent)


_TRACKS = ("model", "no_change", "majority")


class LabelScores:
    """Scores of a multi-label classifier and of the two baselines so far.

    Parameters
    ----------
    window, fading, block
        As in `ClassScores`.
    labels : int
        Labels that a row may have.
    """

    STATE = Fields(
        unlabelled=int,
        _last=ARRAY,
        _loss=PART,
        _counts=PARTS,
        _faded=PART,
        _window=PART,
        groups=PART,
    )

    def __init__(self, window: int, fading: float, block: int, labels: int) -> None:
        self.unlabelled = 0
        self._counts = {name: LabelCounts(labels) for name in _TRACKS}
        self._faded = LabelCounts(labels)
        self._fading = Fading(fading, block)
        one = np.empty((0, labels), np.bool_)
        self._window = RecentRows(
            window, target=one, loss=np.empty(0), **dict.fromkeys(_TRACKS, one)
        )
        self._last = np.zeros(labels, np.bool_)  # [d]
        self._loss = RunningMean()
        self.groups = ScoresByGroup()

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add a block of rows of one experience."""
        labelled = rows.labelled()
        self.unlabelled += len(rows) - len(labelled)
        target, n = labelled.target, len(labelled)
        if target is None or not n:
            return
        predictions = {"model": labelled.prediction, **self._baselines(target)}
        for name, counts in self._counts.items():
            counts.add(target, predictions[name])
        self._faded.decay(self._fading.decay(n))
        self._faded.add(target, labelled.prediction, self._fading.weights(n))
        losses = labelled.loss.astype(np.float64)
        self._window.extend(target=target, loss=losses, **predictions)
        self._loss.add(losses)
        exact = (target == labelled.prediction).all(axis=1)
        self.groups.add(labelled.task, experience, exact)

    def _baselines(self, target: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
        """Predict the last row's labels, and those that more than half of all rows had."""
        n = len(target)
        last = np.concatenate([self._last[None], target[:-1]])
        before = self._counts["model"]
        present = np.cumsum(np.concatenate([before.present[None], target]), axis=0)
        rows = np.arange(self.rows, self.rows + n)[:, None]
        majority = 2 * present[:-1] > rows
        self._last = target[-1].copy()
        return {"no_change": last, "majority": majority}

    @property
    def rows(self) -> int:
        """Labelled rows so far."""
        return round(self._counts["model"].rows)

    def record(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        """Return the scores so far, as ``streamreplay schema --log`` describes them."""
        recent, faded = _recent(self._window, "model", LabelCounts), self._faded.scores()
        unseen = {"precision": None, "recall": None, "f1": None}
        labels = [
            each if each["rows"] else each | unseen for each in self._counts["model"].by_label()
        ]
        return {
            "rows": self.rows,
            "unlabelled": self.unlabelled,
            **with_variants(self._counts["model"].scores(), window=recent, fading=faded),
            "loss": self._loss.mean,
            "loss_window": mean_of_finite(self._window["loss"]),
            **{name: self._baseline(name) for name in _TRACKS[1:]},
            **({"by_label": dict(enumerate(labels))} if "class" in by else {}),
            **self.groups.fields(by, "exact_match"),
        }

    def _baseline(self, name: str) -> dict[str, float | None]:
        recent = _recent(self._window, name, LabelCounts)
        return with_variants(self._counts[name].scores(), window=recent)


def _recent(
    window: RecentRows, name: str, kind: type[ErrorSums | LabelCounts]
) -> dict[str, float | None]:
    """Return the scores of one predictor over the rows of the window."""
    sums = kind(window["target"].shape[1])
    sums.add(window["target"], window[name])
    return sums.scores()


def with_variants(scores: Mapping[str, Any], **variants: Mapping[str, Any]) -> dict[str, Any]:
    """Return each score followed by its variants.

    Examples
    --------
    >>> with_variants({"mae": 1.0}, window={"mae": 2.0})
    {'mae': 1.0, 'mae_window': 2.0}
    """
    found: dict[str, Any] = {}
    for name, score in scores.items():
        found[name] = score
        found |= {f"{name}_{variant}": other[name] for variant, other in variants.items()}
    return found
