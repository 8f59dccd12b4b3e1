"""The loop of ``streamreplay predict``: batches in, predictions out, nothing learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamreplay.batch import Batch, Objective
from streamreplay.learners.predictions import Predictions
from streamreplay.log.rows_text import put_aside_text
from streamreplay.plain_text import counted, printable, visible
from streamreplay.predicting.output import Format, PredictionTable, make_writer
from streamreplay.predicting.trained import TrainedRun, open_run
from streamreplay.row_counts import RowCounts
from streamreplay.run.field_notes import describe_misfits
from streamreplay.run.output import OutputClosed
from streamreplay.run.progress import Progress, make_progress
from streamreplay.run.signals import StopSignals
from streamreplay.run.verdict import EXIT_CODE, fault_of_rows

if TYPE_CHECKING:
    from streamreplay.predicting.inputs import Input

_MOST_SHOWN = 10  # records that cannot be read, one line each


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``streamreplay predict``.

    Attributes
    ----------
    files : sequence of str
        What to predict; standard input if there is none.
    learner : str or None
        Which of several learners.
    proba : bool
        The probability of every class.
    format : {"jsonl", "csv", "parquet"}
        Of the output.
    input_format : str or None
        Of the input.
    keep : sequence of str
        Columns of the input that are put next to the predictions.
    trust : bool
        The run may import code, and its checkpoint may be a pickle.
    quiet : bool
        No summary; warnings are shown.
    """

    files: Sequence[str] = ()
    learner: str | None = None
    proba: bool = False
    format: Format = "jsonl"
    input_format: str | None = None
    keep: Sequence[str] = ()
    trust: bool = False
    quiet: bool = False


def predict_rows(run: Path, options: PredictOptions) -> int:
    """Predict the rows of files with a trained run, and write them; return the exit code.

    Raises
    ------
    StreamReplayError
        The run or the input does not allow it.
    """
    from streamreplay.predicting.inputs import open_input  # noqa: PLC0415 - slow

    progress = make_progress(quiet=True)
    with StopSignals() as signals:
        trained = open_run(run, options.learner, trust=options.trust)
        letters = _Letters(progress)
        rows = open_input(
            trained.job,
            trained.columns,
            list(options.files) or ["-"],
            format=options.input_format,
            keep=options.keep,
            on_dead=letters.show,
            stop=signals.requested,
        )
        sums = _Sums(trained.objective)
        try:
            _predict(trained, rows, options, sums, signals, progress)
        except OutputClosed:
            return 0
        fault = _show_end(trained, rows, options, sums, progress)
        if signals.received is not None:
            return signals.exit_code
        if fault:
            progress.say(f"exit code {EXIT_CODE}: {fault}")
        return EXIT_CODE if fault else 0


def _predict(
    trained: TrainedRun,
    rows: Input,
    options: PredictOptions,
    sums: _Sums,
    signals: StopSignals,
    progress: Progress,
) -> None:
    table = PredictionTable(
        trained.objective,
        trained.columns.labels,
        proba=options.proba,
        nested=options.format == "jsonl",
    )
    writer = make_writer(options.format)
    for batch, kept in rows:
        foreseen = trained.foresee(batch)
        writer.write(table.rows(batch, foreseen, kept))
        sums.add(batch, foreseen.predictions)
        sums.met |= {name for name in kept if any(each is not None for each in kept[name])}
        for notice in rows.take_notices():
            progress.say(visible(f"warning: {notice}"))
        if signals.requested():
            break
    if not sums.rows:
        writer.write({name: [] for name in (*table.columns, *options.keep)})
    writer.close()


def _show_end(
    trained: TrainedRun,
    rows: Input,
    options: PredictOptions,
    sums: _Sums,
    progress: Progress,
) -> str:
    """Show what became of the rows; return why the exit code is 3, "" if it is not."""
    aside = rows.put_aside
    counts = RowCounts(0, sums.rows, 0, 0, aside.count, 0, aside)
    record = counts.as_record(sums.rows)
    misfits = "" if rows.schema is None else describe_misfits(rows.schema.misfits)
    notes = [put_aside_text(record), misfits]
    if sums.rows and not sums.known:
        notes.append("the run knows no class yet, so no row has a prediction")
    absent = [name for name in options.keep if sums.rows and name not in sums.met]
    for name in absent:
        progress.say(f"warning: no row has a value in {printable(name)!r}")
    parts = [
        f"{counted(sums.rows, 'row')} predicted by {counted(trained.position, 'row')} of the stream"
    ]
    if options.quiet:
        for note in filter(None, notes):
            progress.say(visible(f"warning: {note}"))
    else:
        progress.say(visible("; ".join(filter(None, [*parts, sums.text(), *notes]))))
    settings = trained.job.source.model_copy(
        update={"label": "", "target": None, "multilabel": None}
    )
    return fault_of_rows(settings, rows.name, counts)


class _Letters:
    """Shows the first records that cannot be read."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._shown = progress, 0

    def show(self, letter: dict[str, Any]) -> None:
        self._shown += 1
        if self._shown > _MOST_SHOWN:
            return
        where = printable(f"{letter['source']}:{letter['line']}: {letter['reason']}")
        more = "; further ones are only counted" if self._shown == _MOST_SHOWN else ""
        self._progress.say(f"warning: put aside: {where}{more}")


class _Sums:
    """How many rows were predicted, and how many of those with a label rightly."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self.rows = 0
        self.known = False  # at least one row has a prediction
        self.met: set[str] = set()  # kept columns with a value
        self._labelled = 0
        self._sum = 0.0  # of rows that are right, or of absolute errors

    def add(self, batch: Batch, found: Predictions) -> None:
        self.rows += len(batch)
        said = found.prediction
        self.known = self.known or self._objective != "classes" or bool((said >= 0).any())
        rows = batch.y >= 0
        n = int(np.count_nonzero(rows))
        if not n:
            return
        self._labelled += n
        if self._objective == "classes":
            self._sum += np.count_nonzero(said[rows] == batch.y[rows])
        elif batch.target is not None and self._objective == "numbers":
            self._sum += float(abs(said[rows] - batch.target[rows]).mean(axis=1).sum())
        elif batch.target is not None:
            self._sum += np.count_nonzero((said[rows] == batch.target[rows]).all(axis=1))

    def text(self) -> str:
        """Write the score of the rows with a label; "" if there was none."""
        if not self._labelled:
            return ""
        names = {"classes": "accuracy", "numbers": "mae", "labels": "exact match"}
        mean = self._sum / self._labelled
        value = f"{mean:.4g}" if self._objective == "numbers" else f"{mean:.4f}"
        return f"{names[self._objective]} {value} over {self._labelled:,} with a label"
