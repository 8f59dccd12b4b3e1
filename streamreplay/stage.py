"""What a stage is, and the pipeline that composes named stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from streamreplay.batch import Batch, Report
from streamreplay.errors import CheckpointError

__all__ = ["Pipeline", "Source", "Stage", "State", "Stateful", "expect"]

State: TypeAlias = dict[str, Any]
"""A tree of dicts, lists, strings, numbers, booleans, None, NumPy arrays and torch tensors."""


In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


@runtime_checkable
class Stateful(Protocol):
    """Can be saved and brought back exactly.

    ``load_state_dict`` of a fresh object built with the same arguments makes it continue as the
    saved one would have. Asking for the state changes nothing that anybody can observe.
    """

    def state_dict(self) -> State:
        """Return everything that the next step depends on."""

    def load_state_dict(self, state: State) -> None:
        """Take over a state; raises `CheckpointError` naming the first part that does not fit."""


@runtime_checkable
class Source(Stateful, Protocol):
    """A stream with a position: iterating goes on from the position, and moves it.

    At each yield the position accounts for the yielded rows, and for no row after them. A batch
    never holds rows of two experiences.
    """

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rows from the present position on."""


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


class Pipeline:
    """A source and named stages, composed in the order given.

    Iterating yields one `Report` for each incoming batch, and one more at the end of the stream.
    Iterating again goes on from the present state, also after an error inside a stage.

    Parameters
    ----------
    source : Source, iterable of Batch or None
        None if the pipeline is only driven with `step`.
    **stages : Stage
        At least one; the last one must yield `Report`.

    Examples
    --------
    ::

        pipeline = Pipeline(
            source,
            buffer=ReservoirSamplingBuffer(1_000),
            mixer=Mixer(10),
            learner=TorchLearner(mlp(20), "sgd"),
            evaluator=Prequential(),
        )
        for report in pipeline:
            for record in report.metrics:
                print(record["position"], record["accuracy"])
    """

    def __init__(
        self, source: Source | Iterable[Batch] | None = None, **stages: Stage[Any, Any]
    ) -> None:
        if not stages:
            raise ValueError("a pipeline needs at least one stage")
        if "position" in stages:
            raise ValueError("'position' cannot name a stage: a pipeline's state has one already")
        for name, stage in stages.items():
            if not callable(stage):
                raise TypeError(f"{name}: a stage is callable, got {type(stage).__name__}")
        self.source = source
        self.stages = stages
        self.position = 0
        """Rows of the stream taken in so far."""
        self._feed = _Feed()
        self._steps: Iterator[Report] | None = None

    def __getitem__(self, name: str) -> Any:
        """Return a stage by its name."""
        return self.stages[name]

    def __iter__(self) -> Iterator[Report]:
        if self.source is None:
            raise ValueError("this pipeline has no source: drive it with step()")
        self._steps = None
        yield from self._chain(self._counted(self.source))

    def step(self, batch: Batch) -> Report:
        """Put one batch through all stages, as iterating would have.

        Its rows are numbered on from the last: ``t`` is overwritten. A stage that keeps the batch
        back gives an empty report.

        Examples
        --------
        ::

            for x, y in my_loop:
                report = pipeline.step(Batch.from_arrays(x, y))
                use(report.scored.prediction)
            pipeline.finish()
        """
        self._feed.batch = batch.numbered(self.position)
        if self._steps is None:
            self._steps = self._chain(self._counted(self._feed))
        try:
            return next(self._steps)
        except _StarvedError:
            self._steps = None  # its generators are gone; the state is on the stages
            return Report(None)
        except BaseException:
            self._steps = None
            raise

    def finish(self) -> Report:
        """End a stream that was driven with `step`, and return its last report."""
        self._steps = None
        metrics = [record for report in self._chain(iter(())) for record in report.metrics]
        return Report(None, tuple(metrics))

    def state_dict(self) -> State:
        """Return the state of the source and of every stage, by name."""
        parts = {"source": self.source, **self.stages}
        return {
            "position": self.position,
            **{name: _save(part) for name, part in parts.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state.

        A source without state of its own (a list of batches, None) is left alone: what it yields
        next must be what comes after ``position`` rows.

        Raises
        ------
        CheckpointError
            The state is not of this pipeline; the message names the path of the first mismatch.
        """
        parts = {"source": self.source, **self.stages}
        if set(state) != {"position", *parts}:
            saved = ", ".join(name for name in state if name != "position")
            raise CheckpointError(f"saved stages: {saved}; this pipeline has: {', '.join(parts)}")
        for name, part in parts.items():
            _load(name, part, state[name])
        self.position = int(state["position"])
        self._steps = None

    def _chain(self, stream: Iterable[Any]) -> Iterator[Any]:
        for stage in self.stages.values():
            stream = stage(stream)
        return iter(stream)

    def _counted(self, source: Iterable[Batch]) -> Iterator[Batch]:
        for batch in source:
            self.position += len(batch)
            yield batch


class _StarvedError(Exception):
    """A stage pulled a second time within one step()."""


class _Feed:
    """A stream of one batch at a time, put there by `Pipeline.step`."""

    def __init__(self) -> None:
        self.batch: Batch | None = None

    def __iter__(self) -> Iterator[Batch]:
        while True:
            if self.batch is None:
                raise _StarvedError
            batch, self.batch = self.batch, None
            yield batch


def _save(part: object) -> State:
    if not isinstance(part, Stateful):
        return {}
    return {"kind": type(part).__name__, **part.state_dict()}


def _load(name: str, part: object, state: State) -> None:
    kind = type(part).__name__ if isinstance(part, Stateful) else None
    if state.get("kind") != kind:
        raise CheckpointError(f"{name}: saved {state.get('kind')}, this pipeline has {kind}")
    if isinstance(part, Stateful):
        try:
            part.load_state_dict({key: value for key, value in state.items() if key != "kind"})
        except CheckpointError as error:
            raise type(error)(f"{name}.{error}") from None


def expect(path: str, saved: object, live: object) -> None:
    """Raise `CheckpointError` naming the path unless a saved value equals the live one."""
    if saved != live:
        raise CheckpointError(f"{path}: saved {saved}, this pipeline has {live}")
