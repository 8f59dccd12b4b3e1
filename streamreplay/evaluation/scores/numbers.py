"""All running scores of a stream of numbers to predict (regression), added up by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.scores.by_group import ScoresByGroup, with_variants
from streamreplay.evaluation.sums.error_sums import ErrorSums, is_number
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.recent_rows import RecentRows
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
        errors = {
            "model": np.where(is_number(labelled.prediction), labelled.prediction, np.nan) - target,
            **self._baselines(target),
        }
        self._window.extend(target=target, **errors)
        for name in _BASELINES:
            known = ~np.isnan(errors[name][:, 0])
            self._sums[name].add(target[known], errors[name][known])
        said = ~np.isnan(errors["model"]).any(axis=1)
        self.unpredicted += len(said) - int(np.count_nonzero(said))
        if said.any():
            self._add(target[said], errors["model"][said], labelled.task[said], experience)

    def _add(
        self,
        target: NDArray[np.float64],
        error: NDArray[np.float64],
        task: NDArray[np.int64],
        experience: int,
    ) -> None:
        n = len(target)
        self._model.add(target, error)
        self._faded.decay(self._fading.decay(n))
        self._faded.add(target, error, self._fading.weights(n))
        self.groups.add(task, experience, np.abs(error).mean(axis=1))

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
        recent, faded = self._recent("model"), self._faded.scores()
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
        total = self._sums[name].scores()
        return with_variants(
            {key: total[key] for key in ("mae", "rmse")}, window=self._recent(name)
        )

    def _recent(self, name: str) -> dict[str, float | None]:
        target, error = self._window["target"], self._window[name]
        said = ~np.isnan(error).any(axis=1)
        sums = ErrorSums(target.shape[1])
        sums.add(target[said], error[said])
        return sums.scores()
