"""Test, then train: the running scores of a stream."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, GroupBy, Report, Sample, Scored, objective_of
from streamreplay.evaluation.recent_groups import KEPT, drop_oldest
from streamreplay.evaluation.retention.scores import Retention
from streamreplay.evaluation.retention.stability import load_scores, save_scores
from streamreplay.evaluation.river_metrics import LabelNames, NamedMetrics, describe
from streamreplay.evaluation.scores.classes import Scores
from streamreplay.evaluation.scores.labels import LabelScores
from streamreplay.evaluation.scores.numbers import NumberScores
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.pending import PendingScores
from streamreplay.state import State, expect

__all__ = ["Prequential"]

_BLOCK = 4096  # most rows kept pending; part of the log's digits, as sums are taken by block


class Prequential:
    """Score every prediction once, and report at fixed rows of the stream.

    A stage `Scored` -> `Report`. Each incoming batch gives one report; its metrics are the records
    that fell due inside it: one at every multiple of ``report_every`` rows, on exactly the rows up
    to there, and one when an experience, or the stream, has ended, also where it ends on such a
    multiple. Held-out rows (see `Holdout`, `Probe`) give no report and change no prequential score:
    a round of them becomes a record of its own. All fields are described in ``docs/log.md``.

    What is scored is told by the predictions: classes, numbers (mean absolute and squared error,
    R²) or any number of labels a row (exact match, Hamming loss, F1). All of a stream must be
    alike.

    Records do not depend on how the stream was cut into batches, to the last digit, except for
    the work they count (``replayed``, ``skipped``): that of every batch begun so far.

    Parameters
    ----------
    report_every : int
        Rows, labelled or not, from one record to the next.
    window : int
        Labelled rows in the sliding window.
    fading : float
        Fading factor a of the faded accuracy, in (0, 1].
    by : sequence of {"class", "task", "experience"}
        Groups to give scores of. A stream of the single task (or experience) 0 gets no such entry.
    metrics : sequence of river.metrics.base.Metric, or mapping
        More scores, by River's metrics: each goes by its class's name, or by its key. They are not
        updated themselves. See ``docs/metrics.md``.
    label_names : sequence of str or int, or callable, optional
        What ``pos_val`` of a metric may call a class by; by default classes go by index.

    Raises
    ------
    ImportError
        There are ``metrics``, and River is not installed.
    TypeError
        One of them is no metric of River.
    ValueError
        A parameter is out of range, or one of the metrics has no single figure; later, a batch that
        spans two experiences, predictions of another kind than those before, or a metric of
        another kind.

    Notes
    -----
    The faded accuracy is S_t / N_t with S_t = c_t + a S_{t-1} and N_t = 1 + a N_{t-1} [1]_.
    Forgetting follows [2]_, backward transfer [3]_; see `R`.

    References
    ----------
    .. [1] J. Gama, R. Sebastião, P. P. Rodrigues, "On evaluating stream learning algorithms",
       Machine Learning 90, 2013, section 3.
    .. [2] A. Chaudhry et al., "Riemannian walk for incremental learning: understanding forgetting
       and intransigence", ECCV 2018, section 3.
    .. [3] D. Lopez-Paz, M. Ranzato, "Gradient episodic memory for continual learning", NeurIPS
       2017, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from streamreplay.batch import Batch, Scored
    >>> batch = Batch.from_arrays([[0.0], [1.0], [2.0]], [0, 1, 1])
    >>> scored = Scored(batch, np.array([0, 0, 1]), np.ones(3, "f4"), np.zeros(3, "f4"))
    >>> reports = list(Prequential(report_every=2)([scored]))
    >>> [(m["position"], m["accuracy"]) for report in reports for m in report.metrics]
    [(2, 0.5), (3, 0.6666666666666666)]
    """

    def __init__(
        self,
        *,
        report_every: int = 1000,
        window: int = 1000,
        fading: float = 0.999,
        by: Sequence[GroupBy] = ("class", "task", "experience"),
        metrics: Sequence[Any] | Mapping[str, Any] = (),
        label_names: LabelNames = None,
    ) -> None:
        if report_every < 1:
            raise ValueError(f"report_every must be at least 1, got {report_every}")
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        if not 0 < fading <= 1:
            raise ValueError(f"fading must be above 0 and at most 1, got {fading}")
        if isinstance(by, str) or not set(by) <= set(GROUP_COLUMNS):
            raise ValueError(f"by must be some of {', '.join(GROUP_COLUMNS)}, got {by!r}")
        self.report_every, self.window, self.fading = report_every, window, fading
        self.by = tuple(by)
        self._block = min(report_every, _BLOCK)
        self._limit = self._block  # pending rows at which the next fold falls due
        self._folded = 0  # rows of the stream that are no longer pending
        self._ended = 0  # position of the last record that closed an experience
        self._experience: int | None = None  # of the last row
        self._replayed = 0
        self._skipped = 0
        self._withheld = 0
        self._entry: dict[int, float] = {}  # by experience: accuracy on its first batch
        self._metrics, self._label_names = describe(metrics), label_names
        self._begin(np.empty(0, np.int64))

    def __call__(self, stream: Iterable[Scored]) -> Iterator[Report]:
        """Yield a report for each incoming batch, and one more at the end of the stream."""
        for scored in stream:
            if scored.incoming.held_out:
                if len(scored.incoming):
                    self._check_kind(scored)
                self._retentions[scored.incoming.held_out].add(scored, self.position)
            else:
                yield Report(scored, self._take(scored))
        yield Report(None, self._end())

    @property
    def position(self) -> int:
        """Rows of the stream so far."""
        return self._folded + self._pending.rows

    @property
    def R(  # noqa: N802 - the papers' name
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The retention matrix: row ids int64[i], column ids int64[j], accuracies float64[i, j].

        R[i, j] is the accuracy on held-out rows of experience j when experience i had just ended
        (of numbers the mean absolute error, of labels F1).
        Rows are in order of first end; an experience that came again has its latest end here.
        NaN where j was not tested then. The last 200 rows are kept; of the test set, or without one
        of the probe.
        """
        test, probe = self._retentions["test"].matrix, self._retentions["probe"].matrix
        return test if len(test[0]) else probe

    def summary(self) -> dict[str, Any]:
        """Return the prequential record as of now, without writing it to the log."""
        scores, named = copy.deepcopy(self._scores), copy.deepcopy(self._named)
        self._fold_pending(scores, named)
        return self._record(scores, named)

    def state_dict(self) -> State:
        """Return settings, scores and the pending rows as they are."""
        return {
            **self._settings(),
            **({} if self._objective == "classes" else self._kind()),
            "folded": self._folded,
            "ended": self._ended,
            "experience": self._experience,
            "replayed": self._replayed,
            "skipped": self._skipped,
            "pending": self._pending.state_dict(),
            "scores": self._scores.state_dict(),
            "withheld": self._withheld,
            "entry": save_scores(self._entry),
            "retention": {name: each.state_dict() for name, each in self._retentions.items()},
            **({} if self._named is None else {"metrics": self._named.state_dict()}),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state.

        Raises
        ------
        CheckpointError
            It is of another window, fading factor, ``report_every``, or of other metrics.
        """
        for name, live in self._settings().items():
            expect(name, state.get(name), live)
        kind = {"objective": state.get("objective", "classes"), "outputs": state.get("outputs", 0)}
        if kind != self._kind():
            self._begin(_nothing(kind["objective"], int(kind["outputs"])))
        self._folded, self._ended = int(state["folded"]), int(state["ended"])
        self._experience = None if state["experience"] is None else int(state["experience"])
        self._replayed, self._skipped = int(state["replayed"]), int(state["skipped"])
        self._pending.load_state_dict(state["pending"])
        self._scores.load_state_dict(state["scores"])
        self._withheld, self._entry = int(state["withheld"]), load_scores(state["entry"])
        for name, each in self._retentions.items():
            each.load_state_dict(state["retention"][name])
        if self._named is not None:
            self._named.load_state_dict(state["metrics"])
        self._set_limit()

    def _begin(self, prediction: NDArray[Any]) -> None:
        """Start to score predictions of one kind."""
        self._objective = objective_of(prediction)
        self._one = prediction.shape[1:]
        outputs = math.prod(self._one)
        self._pending = PendingScores(self._block, prediction)
        self._scores: Scores | NumberScores | LabelScores
        if self._objective == "classes":
            self._scores = Scores(self.window, self.fading, self._block)
        elif self._objective == "numbers":
            self._scores = NumberScores(self.window, self.fading, self._block, outputs)
        else:
            self._scores = LabelScores(self.window, self.fading, self._block, outputs)
        # in the order of their records
        self._retentions: dict[Sample, Retention] = {
            "probe": Retention("probe", self._objective, outputs),
            "test": Retention("test", self._objective, outputs),
        }
        self._named: NamedMetrics | None = None
        if self._metrics:
            self._named = NamedMetrics(
                self._metrics,
                self._objective,
                window=self.window,
                fading=Fading(self.fading, self._block),
                outputs=max(outputs, 1),
                label_names=self._label_names,
            )

    @property
    def _open(self) -> bool:
        """Whether there are held-out rows that no record was made of."""
        return any(each.open for each in self._retentions.values())

    def _check_kind(self, scored: Scored) -> None:
        """See to it that a batch's predictions are of the kind that is scored."""
        if scored.prediction.shape[1:] == self._one and scored.objective == self._objective:
            return
        if self.position or self._open:
            raise ValueError(
                f"predictions are of {self._objective}{list(self._one)} so far, got "
                f"{scored.objective}{list(scored.prediction.shape[1:])}"
            )
        self._begin(scored.prediction)

    def _kind(self) -> State:
        return {"objective": self._objective, "outputs": math.prod(self._one) if self._one else 0}

    def _settings(self) -> State:
        return {
            "report_every": self.report_every,
            "window": self.window,
            "fading": self.fading,
            "metric_settings": [each.settings for each in self._metrics],
        }

    def _take(self, scored: Scored) -> tuple[dict[str, Any], ...]:
        """Take in an incoming batch; the first lines are all that most batches cost."""
        batch = scored.incoming
        n = len(batch.y)
        if not n:
            return ()
        experience = batch.experience.item(0)
        if experience != batch.experience.item(n - 1):
            last = batch.experience.item(n - 1)
            raise ValueError(f"a batch must not span two experiences, got {experience} and {last}")
        if scored.prediction.ndim != 1 or self._one:
            self._check_kind(scored)
        due: tuple[dict[str, Any], ...] = ()
        if experience != self._experience or self._open:
            due = self._between(scored, experience)
        if batch.withheld is not None:
            self._withheld += int(np.count_nonzero(batch.withheld))
        self._replayed += scored.replayed
        self._skipped += scored.skipped
        end = self._pending.rows + n
        if end < self._limit:
            self._pending.append(scored, end)
            return due
        return (*due, *self._fill(scored, n))

    def _between(self, scored: Scored, experience: int) -> tuple[dict[str, Any], ...]:
        """Return what falls due between the last batch and one of an experience."""
        if self._named is not None and not self.position:
            self._named.check()
        changed = self._experience is not None and experience != self._experience
        due = self._finish(end=changed)
        if experience != self._experience:
            self._enter(scored, experience)
        self._experience = experience
        return due

    def _enter(self, scored: Scored, experience: int) -> None:
        """Note how well a new experience's first batch, of which nothing was learned, is known."""
        labelled = scored.incoming.y >= 0
        if experience in self._entry or scored.objective != "classes" or not labelled.any():
            return
        hits = scored.prediction[labelled] == scored.incoming.y[labelled]
        self._entry[experience] = float(hits.mean())
        drop_oldest(self._entry, KEPT)

    def _end(self) -> tuple[dict[str, Any], ...]:
        return self._finish(end=self._experience is not None)

    def _finish(self, *, end: bool) -> tuple[dict[str, Any], ...]:
        due = []
        if end and self.position > self._ended:
            due.append(self._write(end=True))
            self._ended = self.position
        due += [self._close(each, end=end) for each in self._retentions.values() if each.open]
        return tuple(due)

    def _close(self, retention: Retention, *, end: bool) -> dict[str, Any]:
        """Return the record of a round."""
        # Not folded for it: a round may come between any two batches, a fold may not.
        fresh = set(self._pending.columns().y.tolist())
        scores, probe = self._scores, retention.sample == "probe"
        known = scores.groups["class"] if isinstance(scores, Scores) else ()
        record = retention.close(
            self.position,
            self._experience,
            end=end,
            seen=lambda y: y in known or y in fresh,
            entry=self._entry if probe else None,
        )
        return {**record, "withheld": self._withheld} if probe else record

    def _fill(self, scored: Scored, n: int) -> Iterator[dict[str, Any]]:
        """Append a batch that reaches the next fold, or several."""
        start = 0
        while start < n:
            stop = min(n, start + self._limit - self._pending.rows)
            self._pending.append_part(scored, start, stop)
            start = stop
            if self.position % self.report_every == 0:
                yield self._write(end=False)
            elif self._pending.rows == self._limit:
                self._fold()

    def _fold(self) -> None:
        self._fold_pending(self._scores, self._named)
        self._folded += self._pending.rows
        self._pending.rows = 0
        self._set_limit()

    def _fold_pending(
        self, scores: Scores | NumberScores | LabelScores, named: NamedMetrics | None
    ) -> None:
        """Take the pending rows into scores: one's own, or a copy of them."""
        rows, experience = self._pending.columns(), self._experience or 0
        scores.fold(rows, experience)
        if named is not None:
            named.fold(rows.labelled(), experience)

    def _set_limit(self) -> None:
        # Depends on row counts and experience ends alone: any cut of the stream folds alike.
        to_record = self.report_every - self._folded % self.report_every
        self._limit = min(len(self._pending.y), to_record)

    def _write(self, *, end: bool) -> dict[str, Any]:
        self._fold()
        record = self._record(self._scores, self._named, end=end)
        self._scores.mark()
        return record

    def _record(
        self,
        scores: Scores | NumberScores | LabelScores,
        named: NamedMetrics | None,
        *,
        end: bool = False,
    ) -> dict[str, Any]:
        found = scores.record(self.by)
        if named is not None:
            named.add_to(found)
        return {
            "kind": "prequential",
            "position": self.position,
            "experience": self._experience,
            "experience_end": end,
            **found,
            "replayed": self._replayed,
            "skipped": self._skipped,
        }


def _nothing(objective: str, outputs: int) -> NDArray[Any]:
    """Return no predictions of a kind."""
    if objective == "classes":
        return np.empty(0, np.int64)
    return np.empty((0, outputs), np.float64 if objective == "numbers" else np.bool_)
