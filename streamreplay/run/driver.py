"""The loop of ``streamreplay run``: batches in, lines out, checkpoints between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreplay.branches import Branches
from streamreplay.buffers import ExemplarsBuffer
from streamreplay.checkpoint import Checkpoint
from streamreplay.config import Job, build
from streamreplay.errors import ConfigError
from streamreplay.log.lines import dump_line
from streamreplay.log.records import headline, named_record, report_lines
from streamreplay.log.rotation import Mark
from streamreplay.log.score_table import compare, keep_last
from streamreplay.plain_text import aligned, listed
from streamreplay.records import Report
from streamreplay.run.clock import Clock
from streamreplay.run.drift_events import asks_to_save, count_drifts, drift_message, watched_in_vain
from streamreplay.run.folder import RunFolder
from streamreplay.run.messages import how_to_resume
from streamreplay.run.output import OutputClosed, StandardOutput
from streamreplay.run.progress import make_progress
from streamreplay.run.signals import StopSignals
from streamreplay.run.sinks import Sinks, open_sinks
from streamreplay.stage import Pipeline, Source

__all__ = ["RunOptions", "run_job"]


@dataclass(frozen=True)
class RunOptions:
    """What the command line says beside the job.

    Attributes
    ----------
    out : Path or None
        The run folder; without it nothing is written to disk.
    resume : bool
        Go on with the folder's run.
    go_on : bool
        Standard input is what comes next, not the stream from its start.
    quiet : bool
        No progress and no summary.
    trust : bool
        The folder's checkpoints may be loaded also if that runs code, as a pickle does.
    """

    out: Path | None = None
    resume: bool = False
    go_on: bool = False
    quiet: bool = False
    trust: bool = False


def run_job(job: Job, options: RunOptions) -> int:
    """Run a job to the end of its stream, or to a signal; return the exit code.

    Raises
    ------
    StreamReplayError
        The job, the stream or the run folder does not allow it. What was learned up to the last
        checkpoint is kept.
    """
    if options.resume and options.out is None:
        raise ConfigError("--resume needs --out: the folder of the run to go on with")
    if options.go_on and not (options.resume and job.source.path == "-"):
        raise ConfigError("--continue goes with --resume and standard input (--source -)")
    if options.trust and not options.resume:
        raise ConfigError("--trust goes with --resume: it is about the checkpoint to go on from")
    if options.out is not None:
        _check_pickles(job)
    with StopSignals() as signals:
        run = _Run(job, options, signals)  # first, so that a job that cannot be leaves no folder
        try:
            if signals.received is not None:  # perhaps while rows were read into memory: not all
                run.progress.say(f"stopped by {signals.received.name} before the first row")
                return signals.exit_code
            if options.out is not None:
                run.folder = RunFolder(options.out, job, resume=options.resume)
            return run.run()
        finally:
            run.close()


def _check_pickles(job: Job) -> None:
    for place, learner in enumerate(job.learners):
        if learner.river is not None and not learner.allow_pickle:
            key = f"learner.{place}" if job.several else "learner"
            raise ConfigError(
                f"{key}.river: its checkpoints are pickles, which --out writes only with "
                f"{key}.allow_pickle = true (--set {key}.allow_pickle=true)"
            )


def _source_of(pipeline: Pipeline) -> Source:
    if not isinstance(pipeline.source, Source):
        raise TypeError(f"a run needs a Source, got {type(pipeline.source).__name__}")
    return pipeline.source


class _Run:
    def __init__(self, job: Job, options: RunOptions, signals: StopSignals) -> None:
        self.job, self.options, self.signals = job, options, signals
        self.folder: RunFolder | None = None
        self.output = StandardOutput()
        self.dead = 0
        self.first_dead: dict[str, Any] | None = None
        self.early_dead: list[bytes] = []  # of a source that is read whole before the run begins
        self.last: dict[str, dict[str, dict[str, Any]]] = {}  # records, by learner and kind
        self.was_finished = False
        self.resumed_at: int | None = None  # -1: from the start, by lack of a checkpoint
        self.sinks = Sinks((), self._tell)
        self.ends_before: dict[str, Mark] = {}
        self.pipeline = build(
            job, on_dead=self._put_aside, stop=signals.requested, trusted=options.trust
        )
        self.source = _source_of(self.pipeline)
        buffer, learners = map(self.pipeline.stages.get, ("buffer", "learners"))
        self.buffer = buffer if isinstance(buffer, ExemplarsBuffer) else None
        self.learners = learners if isinstance(learners, Branches) else None
        total = job.run.limit or self.source.rows_total
        self.progress = make_progress(quiet=options.quiet, total=total)

    def run(self) -> int:
        self._restore()  # notes that the run is on: from here on, a failure is noted too
        try:
            self._start()
            ended = self._learn()
        except OutputClosed:
            self.sinks.outcome = "stopped"
            self._save(finished=False)
            self._note("standard output was closed by its reader")
            return 0
        except BaseException as error:
            self._note(f"failed: {error!r}")
            raise
        self.sinks.outcome = "finished" if ended else "stopped"
        if ended:
            self._end()
        else:
            self._stop()
        return 0 if ended else self.signals.exit_code

    def close(self) -> None:
        self.sinks.close()
        self.progress.close()
        if self.folder is not None:
            self.folder.close()

    def _restore(self) -> None:
        if self.folder is None:
            return
        checkpoint = self.folder.latest() if self.options.resume else None
        self.resumed_at = -1 if self.options.resume else None
        if checkpoint is None:
            self.folder.cut_logs({})
            self.folder.dead_letters.write(b"".join(self.early_dead))
            self._note("start")
            return
        for reason in checkpoint.skipped:
            self._tell(f"warning: {reason}; falling back to an older checkpoint")
        self._load(checkpoint)

    def _load(self, checkpoint: Checkpoint) -> None:
        if self.folder is None:
            return
        if self.options.go_on:
            self.source.continue_from_here = True
        self.pipeline.load_state_dict(checkpoint.state["pipeline"])
        self.folder.cut_logs(checkpoint.state["logs"])
        self.resumed_at = self.pipeline.position
        self.was_finished = bool(checkpoint.state["finished"])
        self.ends_before = self.folder.ends()
        self._note(f"resume at row {self.pipeline.position} from {checkpoint.path.name}")

    def _start(self) -> None:
        self.clock = Clock(self.pipeline.position)
        if self.folder is not None:
            self.pipeline.measure(self.clock.stages)
        out = None if self.folder is None else self.folder.path
        self.sinks = open_sinks(self.job, out, self.resumed_at, self._tell)

    def _learn(self) -> bool:
        """Take in the stream; tell whether it has ended, rather than been stopped."""
        every = self.job.run.checkpoint_every
        batches = iter(self.source)
        while not self.signals.requested():
            batch = next(batches, None)
            if batch is None:
                break
            self.clock.arrived()
            before = self.pipeline.position
            if before == self.clock.first:
                self._note_features()
            report = self.pipeline.step(batch)
            self.clock.learned(report)
            self._write(report)
            if self.pipeline.position // every > before // every or asks_to_save(report):
                self._save(finished=False)
            self.clock.written()
        if self.signals.requested():
            return False
        self._write(self.pipeline.finish())
        return True

    def _write(self, report: Report) -> None:
        emit, folder, labels = self.job.run.emit, self.folder, self.source.labels
        wanted = emit == "predictions" or (folder is not None and folder.predictions is not None)
        lines = b""
        if wanted and report.scored is not None:
            lines = report_lines(report)
            if folder is not None and folder.predictions is not None:
                folder.predictions.write(lines)
        self._tell_drifts(report)
        named = [named_record(record, labels) for record in report.metrics]
        metrics = b"".join(map(dump_line, named))
        if named:
            self._log_metrics(report, metrics)
            self.sinks.write(named)
        out = {"predictions": lines, "metrics": metrics}.get(emit)
        if out:
            self.output.write(out)
        buffered = None if self.buffer is None else len(self.buffer)
        self.progress.show(self.pipeline.position, self._headlines(), buffered)

    def _tell_drifts(self, report: Report) -> None:
        for record in report.metrics:
            if record["kind"] == "drift" and not self.options.quiet:
                self.progress.say(drift_message(record))

    def _log_metrics(self, report: Report, lines: bytes) -> None:
        for record in report.metrics:
            keep_last(self.last, record)
        if self.folder is not None:
            self.folder.metrics.write(lines)
            if not self.clock.idle:  # as at the end, if nothing came behind the last records
                self.folder.timings.write(dump_line(self.clock.lap(self.pipeline.position)))
            self.folder.flush()

    def _headlines(self) -> dict[str, float]:
        """Return the score of each learner so far; of a single one by the score's name."""
        found = {name: headline(kinds.get("prequential", {})) for name, kinds in self.last.items()}
        return {name or score[0]: score[1] for name, score in found.items() if score is not None}

    def _note_features(self) -> None:
        found, left_out = self.source.feature_names, self.source.left_out
        if found is None:
            return
        message = f"features: {listed(found)}"
        if left_out:
            message += f"; left out: {listed(left_out)}"
        self._note(message)
        if left_out and not self.options.quiet:
            self.progress.say(message)

    def _put_aside(self, letter: dict[str, Any]) -> None:
        self.dead += 1
        self.first_dead = self.first_dead or letter
        if self.folder is None:
            if self.options.out is not None:
                self.early_dead.append(dump_line(letter))
        else:
            self.folder.dead_letters.write(dump_line(letter))

    def _save(self, *, finished: bool) -> None:
        if self.folder is not None:
            self.folder.save(
                self.pipeline.state_dict(), position=self.pipeline.position, finished=finished
            )

    def _end(self) -> None:
        nothing_new = self.pipeline.position == self.clock.first and (
            self.folder is None or self.folder.ends() == self.ends_before
        )
        if self.was_finished and nothing_new:
            message = f"the run is complete: {self.pipeline.position:,} rows, nothing new"
            self._note(message)
            if not self.options.quiet:
                self.progress.say(message)
            return
        self._save(finished=True)
        self._note(f"end of the stream at row {self.pipeline.position}")
        source = self.job.source
        if self.pipeline.position and not self._headlines() and source.label != "":
            key = "label" if source.target is None else "target"
            asked = getattr(source, key)
            where = "" if asked is None else f" in {asked!r}"
            self._tell(f"warning: no row had a {key}{where}: nothing was learned; see source.{key}")
        for message in watched_in_vain(self.pipeline, self.source.labels):
            self._tell(message)
        if not self.options.quiet:
            self.progress.say("\n  ".join([self._summary(), *self._table()]))

    def _stop(self) -> None:
        self._save(finished=False)
        name = self.signals.received.name if self.signals.received else "signal"
        how = how_to_resume(self.job, self.options.out)
        self._tell(f"stopped by {name} at row {self.pipeline.position:,}; {how}")

    def _summary(self) -> str:
        rows = self.pipeline.position - self.clock.first
        seconds = max(self.clock.elapsed, 1e-9)
        parts = [f"{self.pipeline.position:,} rows"]
        if self.learners is not None:
            n = len(self.job.learners)
            parts.append(f"{n} learner{'s' if n > 1 else ''}")
        else:
            parts += [f"{name} {value:.4f}" for name, value in self._headlines().items()]
        if self.job.drift:
            parts.append(f"{count_drifts(self.pipeline)} drifts")
        parts.append(f"{seconds:.1f} s ({rows / seconds:,.0f} rows/s)")
        if self.clock.throttled:
            parts.append(f"{self.clock.throttled:,} memory rows left out to keep to the budget")
        if self.first_dead is not None:
            where, reason = self.first_dead.get("line"), self.first_dead.get("reason")
            parts.append(f"{self.dead:,} put aside (the first, line {where}: {reason})")
        return ", ".join(parts)

    def _table(self) -> list[str]:
        """Return lines with the scores of several learners, if there are several."""
        return aligned(*compare(self.last)) if self.learners is not None and self.last else []

    def _tell(self, message: str) -> None:
        self.progress.say(message)
        self._note(message)

    def _note(self, message: str) -> None:
        if self.folder is not None:
            self.folder.events.write(message)
