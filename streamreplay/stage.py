"""Define sources and stages, and compose stages to a chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from streamreplay.batch import Batch
from streamreplay.labels import Labels
from streamreplay.put_aside import PutAside
from streamreplay.state import Stateful

__all__ = [
    "Chain",
    "HoldsRows",
    "JoinsLabels",
    "Measured",
    "Meter",
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
