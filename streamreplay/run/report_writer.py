"""Writes the reports of a run: to the folder's logs, to sinks and to standard output."""

from __future__ import annotations

from typing import Any, final

from streamreplay.config.job import Emit
from streamreplay.labels import Labels
from streamreplay.log.headline import headline_text, main_score, several_text
from streamreplay.log.lines import dump_line
from streamreplay.log.records import named_record, report_lines
from streamreplay.log.score_table import compare, keep_last
from streamreplay.plain_text import aligned, terminal_width
from streamreplay.records import Report
from streamreplay.run.clock import Clock
from streamreplay.run.folder import RunFolder
from streamreplay.run.output import StandardOutput
from streamreplay.run.progress import Progress
from streamreplay.run.sinks.group import Sinks


@final
class ReportWriter:
    """Write each report of a run where the job wants it.

    Parameters
    ----------
    emit : str
        What goes to standard output: predictions, metrics or nothing.
    folder : RunFolder or None
    sinks : Sinks
    clock : Clock
    progress : Progress
        Shows the records.
    labels : Labels
        Names of the stream's classes.

    Attributes
    ----------
    last : dict
        The last records, by learner and kind.
    """

    def __init__(
        self,
        emit: Emit,
        folder: RunFolder | None,
        sinks: Sinks,
        clock: Clock,
        progress: Progress,
        labels: Labels,
    ) -> None:
        self._emit, self._folder, self._sinks = emit, folder, sinks
        self._clock, self._progress, self._labels = clock, progress, labels
        self._output = StandardOutput()
        self.last: dict[str, dict[str, dict[str, Any]]] = {}

    def write(self, report: Report, position: int) -> None:
        """Write a report.

        Parameters
        ----------
        report : Report
        position : int
            Rows of the stream so far.
        """
        lines = self._write_predictions(report)
        named = [named_record(record, self._labels) for record in report.metrics]
        metrics = b"".join(map(dump_line, named))
        if named:
            timing = self._log_metrics(report, metrics, position)
            self._sinks.write(named)
            self._progress.record(named, timing)
        out = {"predictions": lines, "metrics": metrics}.get(self._emit)
        if out:
            self._output.write(out)

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The last prequential record of each learner."""
        found = {name: kinds.get("prequential") for name, kinds in self.last.items()}
        return {name: record for name, record in found.items() if record is not None}

    def headlines(self) -> dict[str, float]:
        """Return the score of each learner so far; of a single one by the score's name."""
        found = {name: (main_score(record), record) for name, record in self.scores.items()}
        return {
            name or score.replace("_", " "): record[score]
            for name, (score, record) in found.items()
            if score is not None
        }

    def score_lines(self, *, several: bool) -> list[str]:
        """Return the score next to its baselines; of several learners a table."""
        if not several or not self.scores:
            return [headline_text(record) for record in self.scores.values()]
        table = aligned(*compare(self.last), terminal_width(2, margin=2))
        return [*table, several_text(self.scores)]

    def _write_predictions(self, report: Report) -> bytes:
        log = None if self._folder is None else self._folder.predictions
        if log is None and self._emit != "predictions":
            return b""
        lines = report_lines(report)
        if log is not None and report.scored is not None:
            log.write(lines)
        return lines

    def _log_metrics(self, report: Report, lines: bytes, position: int) -> dict[str, Any] | None:
        """Write records to the folder; return the line of the timings that goes with them."""
        for record in report.metrics:
            keep_last(self.last, record)
        # idle as at the end, if nothing came behind the last records
        timing = None if self._clock.idle else self._clock.lap(position)
        if self._folder is not None:
            self._folder.metrics.write(lines)
            if timing is not None:
                self._folder.timings.write(dump_line(timing))
            self._folder.flush()
        return timing
