"""The running scores of a stream, and the rows that are not part of them yet."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy, Objective, objective_of
from streamreplay.evaluation.river_metrics.metric_spec import MetricSpec
from streamreplay.evaluation.river_metrics.river_scores import RiverScores
from streamreplay.evaluation.scores.classes import ClassScores
from streamreplay.evaluation.scores.last_known import LastKnown
from streamreplay.evaluation.scores.outputs import LabelScores, NumberScores
from streamreplay.evaluation.sums.means import Fading
from streamreplay.evaluation.sums.scored_rows import ScoredBlock
from streamreplay.records import Scored
from streamreplay.state import PART, SETTING, Fields, State

_BLOCK = 4096  # most rows in a block; the last digits in the log depend on it


class RunningScores:
    """Collect scored rows in a block, and add each full block to the scores.

    Where a block ends depends on row counts and on ends of experiences alone, so that the sums of
    floats in the scores do not depend on how the stream was cut into batches.

    Parameters
    ----------
    prediction : array
        Rows of predictions, which give the type and shape of one.
    report_every, window, fading
        As in `Prequential`.
    metrics : sequence of MetricSpec
    late : bool
        Whether labels come late.
    """

    _FIELDS = Fields(
        objective=SETTING,
        outputs=SETTING,
        _folded=int,
        _block=PART,
        scores=PART,
        river=PART,
        last_known=PART,
    )

    def __init__(
        self,
        prediction: NDArray[Any],
        *,
        report_every: int,
        window: int,
        fading: float,
        metrics: Sequence[MetricSpec] = (),
        late: bool = False,
    ) -> None:
        self.objective: Objective = objective_of(prediction)
        self.shape = prediction.shape[1:]
        """Shape of the prediction of one row."""
        self.outputs = math.prod(self.shape)
        """Numbers or labels of one row."""
        self._report_every = report_every
        self._size = min(report_every, _BLOCK)
        self._limit = self._size  # rows of the block at which it ends
        self._folded = 0  # rows of the stream that are no longer in the block
        self._block = ScoredBlock(self._size, prediction, late=late)
        self.last_known = LastKnown(window, self.objective) if late else None
        """Scores of repeating the label known last; None where labels come in time."""
        self.scores = self._new_scores(window, fading)
        self.river: RiverScores | None = None
        """Scores by River's metrics."""
        if metrics:
            self.river = RiverScores(
                metrics,
                self.objective,
                window=window,
                fading=Fading(fading, self._size),
                outputs=self.outputs,
            )

    def _new_scores(self, window: int, fading: float) -> ClassScores | NumberScores | LabelScores:
        if self.objective == "classes":
            return ClassScores(window, fading, self._size)
        if self.objective == "numbers":
            return NumberScores(window, fading, self._size, self.outputs)
        return LabelScores(window, fading, self._size, self.outputs)

    @property
    def late(self) -> bool:
        """Whether labels come late."""
        return self.last_known is not None

    @property
    def position(self) -> int:
        """Rows of the stream so far."""
        return self._folded + self._block.rows

    @property
    def full(self) -> bool:
        """Whether the block has all of its rows."""
        return self._block.rows == self._limit

    def append(self, scored: Scored, n: int) -> bool:
        """Append a whole batch of n rows; return False if that would fill the block."""
        end = self._block.rows + n
        if end >= self._limit:
            return False
        self._block.append(scored, end)
        return True

    def append_from(self, scored: Scored, start: int) -> int:
        """Append rows of a batch from ``start`` until the block is full; return where it ended."""
        stop = min(len(scored.incoming), start + self._limit - self._block.rows)
        self._block.append_part(scored, start, stop)
        return stop

    def fold(self, experience: int) -> None:
        """Add the rows of the block, all of one experience, to the scores."""
        rows = self._block.columns()
        self.scores.fold(rows, experience)
        if self.river is not None:
            self.river.fold(rows.labelled(), experience)
        if self.last_known is not None:
            self.last_known.fold(rows.labelled())
        self._folded += self._block.rows
        self._block.rows = 0
        self._set_limit()

    def record(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        """Return the scores of the folded rows as fields of a record."""
        found = self.scores.record(by)
        if self.river is not None:
            self.river.add_to(found)
        if self.last_known is not None:
            found["last_known"] = self.last_known.record()
        return found

    def preview(self, by: Sequence[GroupBy], experience: int) -> dict[str, Any]:
        """Return the fields of a record as if the block ended now; change nothing."""
        scores = copy.deepcopy(self)
        scores.fold(experience)
        return scores.record(by)

    def classes_seen(self) -> set[int]:
        """Return the classes that a labelled row had, those in the block included."""
        known = self.scores.classes_seen if isinstance(self.scores, ClassScores) else ()
        return {*known, *self._block.columns().y.tolist()}

    def state_dict(self) -> State:
        """Return the scores and the rows of the block."""
        return self._FIELDS.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load scores of the same kind of predictions."""
        self._FIELDS.load(self, state)
        self._set_limit()

    def _set_limit(self) -> None:
        to_record = self._report_every - self._folded % self._report_every
        self._limit = min(self._size, to_record)


def no_predictions(objective: Objective, outputs: int) -> NDArray[Any]:
    """Return no predictions of a kind."""
    if objective == "classes":
        return np.empty(0, np.int64)
    return np.empty((0, outputs), np.float64 if objective == "numbers" else np.bool_)
