"""The evaluator: scores of predictions that were made before learning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, GroupBy, Sample
from streamreplay.evaluation.retention.retention_scores import SCORES, RetentionScores
from streamreplay.evaluation.river_metrics.metric_spec import specs_of
from streamreplay.evaluation.running_scores import RunningScores, no_predictions
from streamreplay.evaluation.sums.by_group import KEPT, drop_oldest
from streamreplay.records import Report, Scored
from streamreplay.state import GIVEN, PART, PARTS, SETTING, Fields, State


class Prequential:
    """Score every prediction once, and report at fixed rows of the stream.

    A stage `Scored` -> `Report`. Each incoming batch gives one report; its metrics are the records
    that fell due inside it: one at every multiple of ``report_every`` rows, on exactly the rows up
    to there, and one when an experience, or the stream, has ended, also where it ends on such a
    multiple. Held-out rows (see `Holdout`, `Probe`) give no report and change no prequential score:
    a round of them becomes a record of its own. ``streamreplay schema --log`` describes all fields.

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
        updated themselves. ``pos_val`` of one is a class's name, as in the batches' ``labels``;
        its index where they have none. See ``docs/guides/metrics.md``.

    Raises
    ------
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
    >>> from streamreplay.batch import Batch
    >>> from streamreplay.records import Scored
    >>> batch = Batch.from_arrays([[0.0], [1.0], [2.0]], [0, 1, 1])
    >>> scored = Scored(batch, np.array([0, 0, 1]), np.ones(3, "f4"), np.zeros(3, "f4"))
    >>> reports = list(Prequential(report_every=2)([scored]))
    >>> [(m["position"], m["accuracy"]) for report in reports for m in report.metrics]
    [(2, 0.5), (3, 0.6666666666666666)]
    """

    STATE = Fields(
        report_every=SETTING,
        window=SETTING,
        fading=SETTING,
        metric_settings=SETTING,
        _ended=int,
        _experience=GIVEN,
        _replayed=int,
        _skipped=int,
        _withheld=int,
        _entry=SCORES,
        _running=PART,
        _retentions=PARTS,
    )

    def __init__(
        self,
        *,
        report_every: int = 1000,
        window: int = 1000,
        fading: float = 0.999,
        by: Sequence[GroupBy] = ("class", "task", "experience"),
        metrics: Sequence[Any] | Mapping[str, Any] = (),
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
        self._ended = 0  # position of the last record that closed an experience
        self._experience: int | None = None  # of the last row
        self._replayed = 0
        self._skipped = 0
        self._withheld = 0
        self._entry: dict[int, float] = {}  # by experience: accuracy on its first batch
        self._metrics = specs_of(metrics)
        self.metric_settings = [each.settings for each in self._metrics]
        """How each of the metrics was made."""
        self._begin(np.empty(0, np.int64))

    def __call__(self, stream: Iterable[Scored]) -> Iterator[Report]:
        """Yield a report for each incoming batch, and one more at the end of the stream."""
        for scored in stream:
            if scored.incoming.held_out:
                if len(scored.incoming):
                    self._check_kind(scored)
                self._retentions[scored.incoming.held_out].add(scored, self.position)
            elif scored.incoming.late is not None:
                raise ValueError(
                    "labels come late: put the stage Verification between learner and evaluator"
                )
            else:
                yield Report(scored, self._take(scored))
        yield Report(None, self._finish(end=self._experience is not None))

    @property
    def position(self) -> int:
        """Rows of the stream so far."""
        return self._running.position

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
        """Return the prequential record of all rows so far, without writing it to the log."""
        return self._record(self._running.preview(self.by, self._experience or 0), end=False)

    def state_dict(self) -> State:
        """Return settings, scores, and the rows that are not part of the scores yet."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state.

        Raises
        ------
        CheckpointError
            It is of another window, fading factor or ``report_every``, or of other metrics.
        """
        running = state.get("running", {})
        kind = running.get("objective", "classes"), running.get("outputs", 1)
        late = running.get("last_known") is not None
        if (*kind, late) != (self._running.objective, self._running.outputs, self._running.late):
            self._begin(no_predictions(*kind), late=late)
        self.STATE.load(self, state)

    def _begin(self, prediction: NDArray[Any], *, late: bool = False) -> None:
        """Start to score predictions of one kind."""
        self._running = RunningScores(
            prediction,
            report_every=self.report_every,
            window=self.window,
            fading=self.fading,
            metrics=self._metrics,
            late=late,
        )
        objective, outputs = self._running.objective, self._running.outputs
        self._retentions: dict[Sample, RetentionScores] = {  # in the order of their records
            "probe": RetentionScores("probe", objective, outputs),
            "test": RetentionScores("test", objective, outputs),
        }

    @property
    def _open(self) -> bool:
        """Whether there are held-out rows without a record."""
        return any(each.open for each in self._retentions.values())

    def _check_kind(self, scored: Scored) -> None:
        """Start again if a batch's predictions are of another kind; raise if there were rows."""
        shape, objective = self._running.shape, self._running.objective
        late = self._running.late if scored.incoming.held_out else scored.repeat is not None
        alike = scored.prediction.shape[1:] == shape and scored.objective == objective
        if alike and late == self._running.late:
            return
        if self.position or self._open:
            now = scored.objective, list(scored.prediction.shape[1:]), late
            before = objective, list(shape), self._running.late
            mine, got = (
                f"{kind}{each}{' with late labels' if of_late else ''}"
                for kind, each, of_late in (before, now)
            )
            raise ValueError(f"predictions are of {mine} so far, got {got}")
        self._begin(scored.prediction, late=late)

    def _take(self, scored: Scored) -> tuple[dict[str, Any], ...]:
        """Add an incoming batch; most batches return at the call of `append`."""
        batch = scored.incoming
        n = len(batch.y)
        if not n:
            self._count(scored)
            return ()
        experience = batch.experience.item(0)
        if experience != batch.experience.item(n - 1):
            last = batch.experience.item(n - 1)
            raise ValueError(f"a batch must not span two experiences, got {experience} and {last}")
        if scored.prediction.ndim != 1 or self._running.shape or scored.repeat is not None:
            self._check_kind(scored)
        if self._running.river is not None:
            self._running.river.labels = batch.labels
        due: tuple[dict[str, Any], ...] = ()
        if experience != self._experience or self._open:
            due = self._between(scored, experience)
        self._count(scored)
        if self._running.append(scored, n):
            return due
        return (*due, *self._fill(scored, n))

    def _count(self, scored: Scored) -> None:
        """Count what was learned with a batch."""
        self._replayed += scored.replayed
        self._skipped += scored.skipped
        if scored.late is not None:
            self._withheld += scored.late.withheld
        elif scored.incoming.withheld is not None:
            self._withheld += int(np.count_nonzero(scored.incoming.withheld))

    def _between(self, scored: Scored, experience: int) -> tuple[dict[str, Any], ...]:
        """Return the records that fall due between the last batch and this one."""
        if self._running.river is not None and not self.position:
            self._running.river.check()
        changed = self._experience is not None and experience != self._experience
        due = self._finish(end=changed)
        if experience != self._experience:
            self._enter(scored, experience)
        self._experience = experience
        return due

    def _enter(self, scored: Scored, experience: int) -> None:
        """Keep the accuracy on the first batch of a new experience, predicted before learning."""
        labelled = scored.incoming.y >= 0
        if scored.late is not None:  # labels of events that came before are no entry
            labelled &= scored.late.events
        if experience in self._entry or scored.objective != "classes" or not labelled.any():
            return
        hits = scored.prediction[labelled] == scored.incoming.y[labelled]
        self._entry[experience] = float(hits.mean())
        drop_oldest(self._entry, KEPT)

    def _finish(self, *, end: bool) -> tuple[dict[str, Any], ...]:
        due = []
        if end and self.position > self._ended:
            due.append(self._write(end=True))
            self._ended = self.position
        due += [self._close(each, end=end) for each in self._retentions.values() if each.open]
        return tuple(due)

    def _close(self, retention: RetentionScores, *, end: bool) -> dict[str, Any]:
        """Return the record of a round."""
        # The block is not folded here: a round may come between any two batches, a fold may not.
        seen, probe = self._running.classes_seen(), retention.sample == "probe"
        record = retention.close(
            self.position,
            self._experience,
            end=end,
            seen=seen.__contains__,
            entry=self._entry if probe else None,
        )
        return {**record, "withheld": self._withheld} if probe else record

    def _fill(self, scored: Scored, n: int) -> Iterator[dict[str, Any]]:
        """Append a batch that fills the block at least once; yield the records that fall due."""
        start = 0
        while start < n:
            start = self._running.append_from(scored, start)
            if self.position % self.report_every == 0:
                yield self._write(end=False)
            elif self._running.full:
                self._running.fold(self._experience or 0)

    def _write(self, *, end: bool) -> dict[str, Any]:
        self._running.fold(self._experience or 0)
        record = self._record(self._running.record(self.by), end=end)
        self._running.scores.groups.mark()
        return record

    def _record(self, scores: Mapping[str, Any], *, end: bool) -> dict[str, Any]:
        return {
            "kind": "prequential",
            "position": self.position,
            "experience": self._experience,
            "experience_end": end,
            **scores,
            "replayed": self._replayed,
            "skipped": self._skipped,
        }
