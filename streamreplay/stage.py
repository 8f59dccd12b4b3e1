"""Define sources and stages, and compose them: a chain, a pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.labels import Labels
from streamreplay.pipeline_checks import check_batch, check_order, check_source, check_stages
from streamreplay.put_aside import PutAside
from streamreplay.records import Report
from streamreplay.row_counts import RowCounts, RowLedger
from streamreplay.state import State, Stateful, load_parts, save_parts

__all__ = [
    "Chain",
    "HoldsRows",
    "JoinsLabels",
    "Measured",
    "Meter",
    "Pipeline",
    "Source",
    "Stage",
]

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


@runtime_checkable
class Source(Stateful, Protocol):
    """A stream with a position. Iterating continues from the position and moves it.

    At each yield, the position accounts for the yielded rows and for no row after them. A batch
    never holds rows of two experiences.

    This is all that ``streamreplay run`` asks of a source. One that waits for rows is also built
    with a callable ``stop``, and ends its iteration soon after that returns True. `Pipeline` needs
    less: any iterable of `Batch` will do. It saves the position of a source that has `Stateful`'s
    two methods. It leaves any other source alone, which must then continue after the last learned
    row by itself.

    Attributes
    ----------
    position : int
        Rows yielded so far.
    labels : Labels
        What the stream calls its classes, as far as rows have been yielded; every batch refers to
        this object. With a target in place of classes: what its columns are called.
    feature_names : sequence of str or None
        The fields that hold the features: one for each, or one for several. None before the first
        row, and if the fields have no names.
    left_out : sequence of str
        Fields of the records that are not used.
    put_aside : PutAside
        The records that could not be used, up to the position.
    rows_total : int or None
        Rows of the whole stream, not counting a limit. None if that is not known in advance.
    continue_from_here : bool
        Set this after loading a state if what can be read now begins *after* the learned rows, as
        the next part of a pipe does. Otherwise the stream must begin at its start again. Has no
        effect on a source that can go to any position.
    whole_batches : bool
        Set this to end the iteration before a batch that only the end of the stream, or a limit,
        makes shorter than it would be otherwise. Iterating again without it yields that batch. A
        state saved in between is one that a longer stream passes through as well.
    """

    continue_from_here: bool
    whole_batches: bool

    @property
    def position(self) -> int: ...  # noqa: D102 - described above, as those below
    @property
    def labels(self) -> Labels: ...  # noqa: D102
    @property
    def feature_names(self) -> Sequence[str] | None: ...  # noqa: D102
    @property
    def left_out(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def put_aside(self) -> PutAside: ...  # noqa: D102
    @property
    def rows_total(self) -> int | None: ...  # noqa: D102

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rows from the position on."""

    def close(self) -> None:
        """Release files and connections. Iterating again opens them and continues."""


class Stage(Protocol[In_contra, Out_co]):
    """A generator function over records, usually an object with state.

    Two rules make every ``next()`` a safe point:

    1. No state in generator locals: all of it is on ``self``, so that a new generator over the
       rest of the stream continues where the last one was dropped.
    2. At each yield, ``state_dict()`` already accounts for everything consumed.

    A stage with state has `Stateful`'s two methods; a plain generator function has none.
    """

    def __call__(self, stream: Iterable[In_contra], /) -> Iterator[Out_co]:
        """Yield one record for each record of the stream, in order."""


class Meter(Protocol):
    """Measures what stages do, record by record."""

    def measured(self, name: str, stream: Iterator[Any], /) -> Iterator[Any]:
        """Yield what a stage yields, unchanged."""


@runtime_checkable
class Measured(Protocol):
    """A stage made of stages, each of which can be measured."""

    def measure(self, meter: Meter | None) -> None:
        """Measure each stage from the next iteration on; stop if the meter is None."""


@runtime_checkable
class HoldsRows(Protocol):
    """A stage that passes rows on, and holds them until they can be learned."""

    @property
    def rows_held(self) -> int:
        """Rows held now."""


@runtime_checkable
class JoinsLabels(HoldsRows, Protocol):
    """A stage that joins labels to the rows that it holds."""

    given_up: int
    """Rows that are no longer held, though their label has not come."""
    put_aside: PutAside
    """Labels without a row."""


class Chain:
    """Run stages one after the other, over a stream or on one record at a time.

    It has no state: that is on the stages.

    Parameters
    ----------
    stages : mapping of str to Stage
    meter : Meter, optional
        Given the output of each stage by its name.
    """

    def __init__(self, stages: Mapping[str, Stage[Any, Any]], meter: Meter | None = None) -> None:
        self._stages = stages
        self._meter = meter
        self._feed = _Feed()
        self._running: Iterator[Any] | None = None

    def __call__(self, stream: Iterable[Any]) -> Iterator[Any]:
        """Run the stages over a stream, and drop the generators of `push`."""
        self._running = None
        return self._over(stream)

    def push(self, record: Any) -> Any | None:
        """Return what comes out for one record; None if a stage keeps it back."""
        self._feed.record = record
        if self._running is None:
            self._running = self._over(self._feed)
        try:
            return next(self._running)
        except _StarvedError:
            self._running = None  # its generators are gone; the state is on the stages
            return None
        except BaseException:
            self._running = None
            raise

    def _over(self, stream: Iterable[Any]) -> Iterator[Any]:
        for name, stage in self._stages.items():
            stream = stage(stream)
            if self._meter is not None:
                stream = self._meter.measured(name, iter(stream))
        return iter(stream)


class Pipeline:
    """A source and named stages, composed in the order given.

    Iterating yields one `Report` for each incoming batch, and one more at the end of the stream.
    Iterating again continues from the present state, also after an error inside a stage.

    Parameters
    ----------
    source : Source, iterable of Batch or None
        None if the pipeline is only driven with `step`.
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
                yield report

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

    def step(self, batch: Batch) -> Report:
        """Pass one batch through all stages, as iterating would.

        Its rows are numbered after the last one: ``t`` is overwritten. The report is empty if a
        stage keeps the batch back.

        Examples
        --------
        ::

            for x, y in my_loop:
                report = pipeline.step(Batch.from_arrays(x, y))
                use(report.scored.prediction)
            pipeline.finish()
        """
        check_batch(batch)
        batch = batch.numbered(self.position)
        self.position += len(batch)
        report: Report | None = self._chain.push(batch)
        if report is None:
            return Report(None)
        self._ledger.add(report)
        return report

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
        self.position = int(state["position"])
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
            yield batch
        if nothing:
            warnings.warn(
                f"the source, a {type(source).__name__}, has been read to its end before, and this "
                "pass had no rows; make a new pipeline, or one over a list",
                stacklevel=3,
            )
        self._ended = True


class _StarvedError(Exception):
    """A stage pulled a second time for one record."""


class _Feed:
    """A stream of one record at a time, put there by `Chain.push`."""

    def __init__(self) -> None:
        self.record: Any = None

    def __iter__(self) -> Iterator[Any]:
        while True:
            if self.record is None:
                raise _StarvedError
            record, self.record = self.record, None
            yield record
