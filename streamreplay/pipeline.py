"""Compose a source and stages to a pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.features.packed import TableSchema
from streamreplay.pipeline_checks import (
    TakesRows,
    check_batch,
    check_order,
    check_source,
    check_stages,
)
from streamreplay.records import Report
from streamreplay.row_counts import RowCounts, RowLedger
from streamreplay.stage import Chain, HoldsRows, JoinsLabels, Measured, Meter, Source, Stage
from streamreplay.state import State, load_parts, save_parts, whole

__all__ = ["Pipeline"]


class Pipeline:
    """A source and named stages, composed in the order given.

    Iterating yields one `Report` for each incoming batch, and one more at the end of the stream.
    Iterating again continues from the present state, also after an error inside a stage.

    Parameters
    ----------
    source : Source, iterable of Batch, Features or None
        `Features` if `step` is given rows of tables, None if it is given batches only.
    **stages : Stage
        At least one, in order; each takes what the one before it yields. The first takes `Batch`,
        the last must yield `Report`.

    Raises
    ------
    ValueError
        There is no stage, or one is called ``position`` or ``rows``.
    TypeError
        The source or a stage is something else, or the stages are in the wrong order.

    Warns
    -----
    UserWarning
        Later: an iterator, such as a generator, has been read to its end before.

    Examples
    --------
    >>> from functools import partial
    >>> from torch.optim import SGD
    >>> from streamreplay import ArraySource, Mixer, Prequential, ReservoirSamplingBuffer
    >>> from streamreplay import TorchLearner, linear
    >>> x, y = [[float(i % 2)] for i in range(300)], ["even", "odd"] * 150
    >>> pipeline = Pipeline(
    ...     ArraySource(x, y, batch_size=10),
    ...     buffer=ReservoirSamplingBuffer(100),
    ...     mixer=Mixer(10),
    ...     learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
    ...     evaluator=Prequential(report_every=200),
    ... )
    >>> for report in pipeline:
    ...     for record in report.metrics:
    ...         print(record["position"], record["accuracy"] > 0.9)
    200 True
    300 True
    """

    def __init__(
        self, source: Source | Iterable[Batch] | None = None, **stages: Stage[Any, Any]
    ) -> None:
        if not stages:
            raise ValueError(f"a pipeline needs at least one stage, got {len(stages)}")
        for name in {"position", "rows"} & set(stages):
            raise ValueError(f"{name!r} cannot name a stage: a pipeline's state has one already")
        check_stages(stages)
        check_order(stages)
        if source is not None:
            check_source(source)
        self.source = source
        self.stages = stages
        self.position = 0
        """Rows of the stream taken in so far."""
        self._ledger = RowLedger()
        self._meter: Meter | None = None
        self._chain = Chain(stages)
        self._schema: TableSchema | None = None  # of the last batch
        self._ended = False  # the source, in a pass over it

    def __getitem__(self, name: str) -> Any:
        """Return a stage by its name."""
        return self.stages[name]

    def __iter__(self) -> Iterator[Report]:
        if self.source is None:
            raise ValueError("this pipeline has no source: drive it with step()")
        for report in self._chain(self._counted(self.source)):
            self._ledger.add(report)
            if not report.of_rows_left:
                yield self._with_changes(report)

    @property
    def rows(self) -> RowCounts:
        """All rows that came, and what became of them.

        Without a source, or with one that has no ``put_aside``, none is known to be put aside.

        Examples
        --------
        ::

            counts = pipeline.rows
            print(counts.rows_in, counts.learned, counts.put_aside)
        """
        held = sum(each.rows_held for each in self.stages.values() if isinstance(each, HoldsRows))
        why = getattr(self.source, "put_aside", None)
        joins = next((each for each in self.stages.values() if isinstance(each, JoinsLabels)), None)
        if joins is None:
            return self._ledger.counts(self.position, held, why)
        why = joins.put_aside if why is None else why.joined(joins.put_aside)
        return self._ledger.counts(self.position, held, why, joins.given_up)

    def step(self, rows: Batch | Any) -> Report:
        """Pass rows through all stages, as iterating over a batch of them would.

        They are numbered after the last one: ``t`` is overwritten. The report is empty if a stage
        keeps the batch back.

        Parameters
        ----------
        rows : Batch, list of dict, dict of columns, frame of pandas or polars, or Arrow data
            Other rows than a batch are taken if the source is `Features`, or if it reads a table
            from files and has read its first rows: they are read by the same columns.

        Raises
        ------
        TypeError
            They are something else, or the source does not know how to read them.
        RecordError
            A row cannot be used. Nothing has changed then.

        Examples
        --------
        ::

            for x, y in my_loop:
                report = pipeline.step(Batch.from_arrays(x, y))
                use(report.scored.prediction)
            pipeline.finish()
        """
        batch = rows
        if not isinstance(rows, Batch) and isinstance(self.source, TakesRows):
            batch = self.source.batch(rows)
        check_batch(batch, "; with Features(...) as its source it takes tables")
        batch = batch.numbered(self.position)
        self.position += len(batch)
        self._schema = batch.schema
        report: Report | None = self._chain.push(batch)
        if report is None:
            return self._with_changes(Report(None))
        self._ledger.add(report)
        return self._with_changes(report)

    def _with_changes(self, report: Report) -> Report:
        """Add what has changed about the columns of the table, by position."""
        records = [] if self._schema is None else self._schema.changes.take()
        return report.with_records(records) if records else report

    def finish(self) -> Report:
        """End a stream that was driven with `step`, and return its last report."""
        metrics: list[dict[str, Any]] = []
        for report in self._chain(iter(())):
            self._ledger.add(report)
            metrics += report.metrics
        return Report(None, tuple(metrics))

    def state_dict(self) -> State:
        """Return the state of the source and of every stage, by name."""
        return {
            "position": self.position,
            "rows": self._ledger.state_dict(),
            **save_parts({"source": self.source, **self.stages}),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state.

        A source without state of its own (a list of batches, None) is left alone: what it yields
        next must be what comes after ``position`` rows.

        Raises
        ------
        CheckpointError
            The state is not of this pipeline; the message names the path of the first mismatch.
        """
        parts = {"source": self.source, **self.stages}
        own = ("position", "rows")
        for name in own:
            if name not in state:
                raise CheckpointError(f"{name}: not saved, but a pipeline has it")
        if set(state) != {*own, *parts}:
            saved = ", ".join(name for name in state if name not in own)
            raise CheckpointError(f"saved stages: {saved}; this pipeline has: {', '.join(parts)}")
        load_parts(parts, state)
        self.position = whole("position", state["position"])
        self._ledger.load_state_dict(state["rows"])
        self._chain = Chain(self.stages, self._meter)

    def measure(self, meter: Meter | None) -> None:
        """Measure every stage from the next batch on, those inside `Branches` too.

        The reports do not change. None stops measuring.
        """
        self._meter = meter
        for stage in self.stages.values():
            if isinstance(stage, Measured):
                stage.measure(meter)
        self._chain = Chain(self.stages, meter)

    def _counted(self, source: Iterable[Batch]) -> Iterator[Batch]:
        nothing = self._ended and isinstance(source, Iterator)
        for batch in source:
            check_batch(batch)
            nothing = False
            self.position += len(batch)
            self._schema = batch.schema
            yield batch
        if nothing:
            warnings.warn(
                f"the source, a {type(source).__name__}, has been read to its end before, and this "
                "pass had no rows; make a new pipeline, or one over a list",
                stacklevel=3,
            )
        self._ended = True
