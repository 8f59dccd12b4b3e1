"""The loop of ``streamreplay run``: batches in, lines out, checkpoints between."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from streamreplay.batch import Batch
from streamreplay.branches import Branches
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.checkpoint.folder import Checkpoint
from streamreplay.config.building.formats import find_inputs
from streamreplay.config.job import Job
from streamreplay.config.parsing.inputs import Inputs
from streamreplay.errors import NoUsableRowError, fitting
from streamreplay.features.changes import describe_change
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.files import source_names
from streamreplay.log.rows_text import labels_text, put_aside_text, sum_text
from streamreplay.plain_text import counted, visible
from streamreplay.records import Report
from streamreplay.row_counts import RowCounts
from streamreplay.run.clock import Clock
from streamreplay.run.drift_events import asks_to_save, count_drifts, drift_message, watched_in_vain
from streamreplay.run.event_log import installed
from streamreplay.run.field_notes import FieldNotes, Prepares, about_columns, column_counts
from streamreplay.run.folder import RunFolder
from streamreplay.run.messages import how_to_resume, nothing_learned
from streamreplay.run.options import RunOptions
from streamreplay.run.output import OutputClosed
from streamreplay.run.parts import follow, learners_of, source_of
from streamreplay.run.progress import RunView, choose_output
from streamreplay.run.read_ahead import ReadAhead, read_ahead
from streamreplay.run.rejected import RejectedRecords
from streamreplay.run.report_writer import ReportWriter
from streamreplay.run.restore import restore
from streamreplay.run.signals import StopSignals
from streamreplay.run.sinks.group import Sinks, open_sinks
from streamreplay.run.verdict import EXIT_CODE, fault_of_rows, many_put_aside


def run_job(job: Job, options: RunOptions, table: RunView | None = None) -> int:
    """Run a job to the end of its stream, or to a signal; return the exit code.

    Parameters
    ----------
    job : Job
    options : RunOptions
    table : RunView, optional
        Shows the run where standard output is a terminal and the job does not say what to emit.

    Raises
    ------
    StreamReplayError
        The job, the stream or the run folder does not allow it. What was learned up to the last
        checkpoint is kept.
    """
    options.check(job)
    with StopSignals() as signals:
        inputs = find_inputs(job.source, signals.requested)
        job = job.with_source(format=inputs.format)
        # first, so that a job that cannot be leaves no folder
        run = _Run(job, options, signals, inputs, table)
        try:
            if signals.received is not None:  # perhaps while rows were read into memory: not all
                run.progress.say(f"stopped by {signals.received.name} before the first row")
                return signals.exit_code
            if options.out is not None:
                run.folder = RunFolder(options.out, job, resume=options.resume)
            return run.run()
        finally:
            run.close()


class _Run:
    def __init__(
        self,
        job: Job,
        options: RunOptions,
        signals: StopSignals,
        inputs: Inputs,
        table: RunView | None,
    ) -> None:
        self.job, self.options, self.signals = job, options, signals
        self.notices = inputs.notices
        self.folder: RunFolder | None = None
        self.rejected = RejectedRecords(keep=options.out is not None)
        self.ahead = ReadAhead()
        self.file_is_new = False  # a followed file began again since the last checkpoint
        self.in_tail = False  # in rows that a longer stream would have put into other batches
        self.rows_logged: RowCounts | None = None  # by the last record of kind rows
        self.started = self.warned = False
        self.resumed_at: int | None = None  # -1: from the start, by lack of a checkpoint
        self.sinks = Sinks((), self._tell)
        from streamreplay.config.building.pipeline import build  # noqa: PLC0415 - slow

        self.pipeline = build(
            job,
            inputs=inputs,
            on_dead=self._put_aside,
            stop=signals.requested,
            trusted=options.trust,
        )
        self.source = source_of(self.pipeline)
        if options.follow:
            follow(self.source, self._tell_of_file)
        self.field_notes = FieldNotes(self.source, self._note, learners_of(self.pipeline))
        buffer, learners = map(self.pipeline.stages.get, ("buffer", "learners"))
        self.buffer = buffer if isinstance(buffer, ExemplarsBuffer) else None
        self.learners = learners if isinstance(learners, Branches) else None
        total = job.run.limit or self.source.rows_total
        name = source_names(job.source.path) if options.out is None else options.out.resolve().name
        self.emit, self.progress = choose_output(
            job.run.emit, table, quiet=options.quiet, name=name, total=total
        )

    def run(self) -> int:
        found = None if self.folder is None else self.folder.latest()
        with nullcontext() if found is None else fitting(f"{found.path}: does not fit this run"):
            return self._run(found)

    def _run(self, checkpoint: Checkpoint | None) -> int:
        if not self._restore(checkpoint):  # notes that the run is on: later failures are noted too
            return self._show_complete()
        try:
            self._start()
            ended = self._learn()
        except OutputClosed:
            self.sinks.outcome = "stopped"
            if not self.in_tail:
                self._save(finished=False)
            self._note("standard output was closed by its reader")
            return 0
        except BaseException as error:
            if isinstance(error, NoUsableRowError):
                self._write(Report(None), ended=True)
            self._note(f"failed: {error!r}")
            raise
        self.sinks.outcome = "finished" if ended else "stopped"
        self.progress.close(self.sinks.outcome)
        if ended:
            return self._end()
        self._stop()
        return self.signals.exit_code

    def close(self) -> None:
        self.sinks.close()
        self.progress.close(self.sinks.outcome)
        if self.folder is not None:
            self.folder.close()

    def _restore(self, checkpoint: Checkpoint | None) -> bool:
        """Go on from the latest checkpoint, if there is one; return whether there is more to do."""
        if self.folder is None:
            return True
        self.resumed_at = -1 if self.options.resume else None
        if checkpoint is None:
            self.folder.go_on()
            self.folder.cut_logs({})
            self.rejected.write_to(self.folder)
            self._note("start")
            self._note(installed())
            return True
        for reason in checkpoint.skipped:
            self._tell(f"warning: {reason}; falling back to an older checkpoint")
        return self._load(checkpoint, self.folder)

    def _load(self, checkpoint: Checkpoint, folder: RunFolder) -> bool:
        self.source.continue_from_here |= self.options.go_on
        ends = restore(checkpoint, self.pipeline, self.rejected)
        end = folder.ended()
        for reason in folder.damaged:
            if reason not in checkpoint.skipped:
                self._tell(f"warning: {reason}; falling back to an older checkpoint")
        if end is not None and not self._goes_on(end):
            folder.cut_logs(restore(end, self.pipeline, self.rejected))
            return False
        folder.go_on()
        folder.cut_logs(ends)
        self.rejected.write_to(folder)
        self.resumed_at = self.pipeline.position
        self._note(f"resume at row {self.pipeline.position} from {checkpoint.path.name}")
        self._note(installed())
        return True

    def _goes_on(self, end: Checkpoint) -> bool:
        """Return whether the stream goes on behind the end of a finished run."""
        if 0 < self.job.run.limit <= end.position:
            return False
        before = end.state["pipeline"]["source"]
        ahead = read_ahead(self.source, before, self.signals.requested)
        self.ahead = ReadAhead() if ahead is None else ahead
        return ahead is not None

    def _start(self) -> None:
        self.clock = Clock(self.pipeline.position)
        self.pipeline.measure(self.clock.stages)
        out = None if self.folder is None else self.folder.path
        self.sinks = open_sinks(self.job, out, self.resumed_at, self._tell)
        self.writer = ReportWriter(
            self.emit, self.folder, self.sinks, self.clock, self.progress, self.source.labels
        )
        self.started = True
        read = self.source.notices if isinstance(self.source, ArraySource) else []
        for notice in (*self.notices, *read):
            self._tell(f"warning: {notice}")
        self._warn_of_dead_letters()

    def _put_aside(self, letter: dict[str, Any]) -> None:
        self.rejected.add(letter)
        if self.started:  # not while a source is read into memory
            self._warn_of_dead_letters()

    def _warn_of_dead_letters(self) -> None:
        """Warn once, as soon as there are too many among some records in a row."""
        message = "" if self.warned else many_put_aside(self.job.source, self.source.put_aside)
        if message:
            self.warned = True
            self._tell(f"warning: {message}")

    def _learn(self) -> bool:
        """Learn from the stream; return True if it has ended, False if it was stopped.

        Where there is a folder, the stream is paused before rows that only its end makes a batch,
        and a checkpoint is made there: a longer stream is resumed from it.
        """
        self.in_tail = self.ahead.ended
        for batch in self.ahead.batches:
            self._step(batch, save=not self.in_tail)
        if not self.in_tail:
            self.source.whole_batches = self.folder is not None
            self._prepare()
            batches = iter(self.source)
            while not self.signals.requested() and (found := next(batches, None)) is not None:
                self._step(found, save=True)
            if self.signals.requested():
                return False
        if self.folder is not None and not self.in_tail:
            self._learn_tail()
        self._write(self.pipeline.finish(), ended=True)
        return True

    def _prepare(self) -> None:
        """Save what the first rows of a pipe decide before a prediction leaves: a resume keeps it.

        How many came in time would differ.
        """
        if self.pipeline.position or not isinstance(self.source, Prepares):
            return
        if self.source.prepare():
            self._save(finished=False)

    def _learn_tail(self) -> None:
        """Learn from what the end of the stream has cut off, after a checkpoint before it."""
        self._save(finished=False)  # again, if there is one: what a pipe has read ahead is more now
        self.in_tail, self.source.whole_batches = True, False
        for batch in self.source:
            self._step(batch, save=False)

    def _step(self, batch: Batch, *, save: bool) -> None:
        """Learn from a batch, and save a checkpoint if one is due and may be made here."""
        self.clock.arrived()
        before, every = self.pipeline.position, self.job.run.checkpoint_every
        for message in self.field_notes.messages(batch):
            self._tell(message)
        report = self.pipeline.step(batch)
        self.clock.learned(report)
        self._write(report)
        due = self.pipeline.position // every > before // every or asks_to_save(report)
        if save and (due or self.file_is_new):
            self._save(finished=False)
            self.file_is_new = False
        self.clock.written()

    def _write(self, report: Report, *, ended: bool = False) -> None:
        report = self._with_rows(report, ended=ended)
        for record in report.metrics:
            if record["kind"] == "drift" and not self.options.quiet:
                self.progress.say(visible(drift_message(record)))
        changes = [record for record in report.metrics if record["kind"] == "column"]
        for change in changes:
            self._tell(f"warning: {describe_change(change)}")
        if changes:
            self.field_notes.note_use()
        self.writer.write(report, self.pipeline.position)
        buffered = None if self.buffer is None else len(self.buffer)
        self.progress.show(self.pipeline.position, self.writer.headlines(), buffered)

    def _with_rows(self, report: Report, *, ended: bool) -> Report:
        """Add what became of all rows to a report with scores, and to the last one."""
        if not ended and not any(each["kind"] == "prequential" for each in report.metrics):
            return report
        counts = self.pipeline.rows
        if not counts.rows_in or (not report.metrics and counts == self.rows_logged):
            return report
        self.rows_logged = counts
        record = counts.as_record(self.pipeline.position)
        record |= column_counts(self.source)
        return replace(report, metrics=(*report.metrics, record))

    def _save(self, *, finished: bool) -> None:
        if self.folder is not None:
            state = {
                "pipeline": self.pipeline.state_dict(),
                "rejected": self.rejected.state_dict(),
                "finished": finished,
            }
            self.folder.save(state, position=self.pipeline.position)

    def _end(self) -> int:
        """Save the run, and show what came of it; return the exit code."""
        counts = self.pipeline.rows
        fault = fault_of_rows(self.job.source, source_names(self.job.source.path), counts)
        self._save(finished=True)
        self._note(f"end of the stream at row {self.pipeline.position}")
        self._show_end(counts, fault)
        return self._exit_code(fault)

    def _show_complete(self) -> int:
        """Show that there is nothing new; return the exit code."""
        message = f"the run is complete: {counted(self.pipeline.position, 'row')}, nothing new"
        self._note(message)
        if not self.options.quiet:
            self.progress.say(message)
        name = source_names(self.job.source.path)
        return self._exit_code(fault_of_rows(self.job.source, name, self.pipeline.rows))

    def _exit_code(self, fault: str) -> int:
        if fault:
            self._tell(f"exit code {EXIT_CODE}: {fault}")
        return EXIT_CODE if fault else 0

    def _show_end(self, counts: RowCounts, fault: str) -> None:
        """Show warnings, and unless quiet the summary."""
        unlabelled = counts.predicted_only and not counts.labelled
        if unlabelled and not fault and self.job.source.label != "":
            self._tell(f"warning: {nothing_learned(self.job.source)}")
        for message in watched_in_vain(self.pipeline, self.source.labels):
            self._tell(message)
        record = counts.as_record(self.pipeline.position)
        if not self.options.quiet:
            parts = filter(None, [self._summary(), sum_text(record), labels_text(record)])
            more = filter(
                None,
                [
                    self.rejected.message(),
                    *self.writer.score_lines(several=self.learners is not None),
                ],
            )
            self.progress.say("\n  ".join([", ".join(parts), *more]))
            return
        warnings = [put_aside_text(record), self.rejected.message(), *about_columns(self.source)]
        if counts.skipped:
            warnings.append(f"{counted(counts.skipped, 'row')} skipped: the loss was not finite")
        for message in filter(None, warnings):
            self._tell(f"warning: {message}")

    def _stop(self) -> None:
        self._save(finished=False)
        name = self.signals.received.name if self.signals.received else "signal"
        how = how_to_resume(self.job, self.options.out)
        self._tell(f"stopped by {name} at row {self.pipeline.position:,}; {how}")

    def _summary(self) -> str:
        rows = self.pipeline.position - self.clock.first
        seconds = max(self.clock.elapsed, 1e-9)
        parts = [counted(self.pipeline.position, "row")]
        if self.learners is not None:
            n = len(self.job.learners)
            parts.append(f"{n} learner{'s' if n > 1 else ''}")
        if self.job.drift:
            parts.append(counted(count_drifts(self.pipeline), "drift"))
        parts.append(f"{seconds:.1f} s ({rows / seconds:,.0f} rows/s)")
        if self.clock.throttled:
            left_out = counted(self.clock.throttled, "memory row")
            parts.append(f"{left_out} left out to keep to the budget")
        return ", ".join(filter(None, [*parts, *about_columns(self.source)]))

    def _tell(self, message: str) -> None:
        self.progress.say(visible(message))
        self._note(message)

    def _tell_of_file(self, message: str) -> None:
        """Tell that a followed file began again; save soon, as the old one may be deleted."""
        self._tell(message)
        self.file_is_new = True

    def _note(self, message: str) -> None:
        if self.folder is not None:
            self.folder.events.write(message)
