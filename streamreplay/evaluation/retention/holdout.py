"""Rounds over held-out rows between two batches of the stream; a prepared test set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import describe_array, same_kind
from streamreplay.errors import ConfigError
from streamreplay.features.packed import can_join
from streamreplay.features.translation import translated
from streamreplay.labels import Labels, Name
from streamreplay.late import Late
from streamreplay.state import GIVEN, LABELS, SETTING, Fields, Kind, State

UNSEEN = 1 << 32
"""First label of held-out classes that the stream has not shown; no model predicts these labels."""


def _save_batch(batch: Batch | None) -> State | None:
    if batch is None:
        return None
    return {
        **batch.columns(),
        "held_out": batch.held_out,
        "labels": LABELS.save(batch.labels),
        "feature_names": batch.feature_names and list(batch.feature_names),
        "late": batch.late and {**_fields(batch.late), "records": _save_batch(batch.late.records)},
    }


def _fields(late: Late[Batch]) -> State:
    return {each.name: getattr(late, each.name) for each in fields(late)}


def _load_batch(_name: str, _live: object, saved: State | None) -> Batch | None:
    if saved is None:
        return None
    names, late = LABELS.load("labels", None, saved["labels"]), saved["late"]
    if late is not None:
        late = Late(**{**late, "records": _load_batch("records", None, late["records"])})
    return Batch(**{**saved, "labels": names, "late": late})


BATCH = Kind(_save_batch, _load_batch)
"""The kind of a field that is a batch or None."""


class HeldOutRounds(ABC):
    """A stage `Batch` -> `Batch` that inserts rounds over its own sample between the batches.

    The batches of the stream and the rounds of other stages pass through. A round that was
    interrupted starts again from its first row with the next generator.

    Parameters
    ----------
    chunk : int
        Most rows of the sample in one batch.
    every : int, optional
        A round after each ``every`` rows of the stream.
    """

    STATE = Fields(
        _position=int,
        _tested=int,
        _spent=int,
        _unfinished=bool,
        _experience=GIVEN,
        _waiting=BATCH,
        _labels=LABELS,
    )

    def __init__(self, chunk: int, every: int | None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        self.chunk, self.every = chunk, every
        self._position = 0  # rows of the stream so far
        self._tested = 0  # position of the last round
        self._spent = 0  # rows of the sample predicted, in rounds that were finished
        self._unfinished = False  # whether a round began and was not finished
        self._experience: int | None = None  # of the last row
        self._waiting: Batch | None = None  # taken from the stream and not passed on yet
        self._labels: Labels | None = None  # of the stream, as the last batch had them

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Yield every batch of the stream, and the sample between some of them."""
        yield from self._pass_on()  # the batch that an earlier generator left waiting
        for batch in stream:
            if batch.held_out:  # of another sample
                yield batch
                continue
            self._waiting, self._labels = batch, batch.labels
            yield from self._pass_on()
        if self._unfinished or self._position > self._tested:
            yield from self._round()

    def state_dict(self) -> State:
        """Return settings, and what decides when the next round is due."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state.

        Raises
        ------
        CheckpointError
            It is of other settings, or of another sample.
        """
        self.STATE.load(self, state)

    @abstractmethod
    def _due(self, experience: int) -> bool:
        """Return whether a round is due before a batch of this experience."""

    def _due_by_rows(self) -> bool:
        """Return whether the stream has passed a multiple of ``every`` since the last round."""
        every = self.every
        return every is not None and self._position // every > self._tested // every

    @abstractmethod
    def _round_rows(self) -> Batch | None:
        """Return the rows of a round that begins now; None if there are none."""

    def _check(self, batch: Batch) -> None:  # noqa: B027 - most have nothing to do
        """Check a batch of the stream, before any round in front of it."""

    def _passed(self, batch: Batch) -> Batch:
        """Return a batch of the stream as it is passed on, after the round in front of it."""
        return batch

    def _pass_on(self) -> Iterator[Batch]:
        """Yield the waiting batch, after a round if one is due."""
        batch = self._waiting
        if batch is None:
            return
        if len(batch) or batch.arrived:
            experience = batch.present_experience
            self._check(batch)
            if self._unfinished or (self._position > self._tested and self._due(experience)):
                yield from self._round()
            batch = self._passed(batch)
            self._experience = experience
            self._position += batch.arrived
        self._waiting = None
        yield batch

    def _round(self) -> Iterator[Batch]:
        self._unfinished = True
        sample = self._round_rows()
        if sample is not None:
            for start in range(0, len(sample), self.chunk):
                yield sample.take(slice(start, start + self.chunk))
            self._spent += len(sample)
        self._unfinished = False
        self._tested = self._position


@final
class Holdout(HeldOutRounds):
    """Insert the whole test set after each experience, and at the end of the stream.

    A stage `Batch` -> `Batch`, the first after the source. The stream passes through unchanged. If
    the next batch belongs to another experience, the test set goes in front of it, in chunks marked
    ``held_out``: by then the model has learned all of the old experience and nothing of the new
    one. `Prequential` makes a record of each such round.

    Parameters
    ----------
    test : Batch
        Labelled rows. Column ``experience`` has the experience that each row belongs to. If the
        batch has ``labels``, its classes are those of the same name in the stream; otherwise ``y``
        has the stream's own indices. The stream numbers labels as they arrive, and the test set
        must not add any: rows of a class not seen yet get a label of at least ``UNSEEN``, and so
        count as wrong.
    every : int, optional
        Another round after each ``every`` rows of the stream, at the next end of a batch.
    chunk : int
        Most rows predicted at once.

    Raises
    ------
    ValueError
        A parameter is out of range, or ``test`` has no rows, unlabelled ones, or more labels than
        names.
    ConfigError
        Later: rows of the stream have another shape or type than those of ``test``, other features,
        or no names for their classes.

    Examples
    --------
    >>> rows = [Batch.from_arrays([[0.0]], [0]), Batch.from_arrays([[1.0]], [1], experience=1)]
    >>> test = Batch.from_arrays([[0.5], [0.6]], [0, 1], experience=[0, 1])
    >>> [(b.held_out, b.y.tolist()) for b in Holdout(test)(rows)]
    [(None, [0]), ('test', [0, 1]), (None, [1]), ('test', [0, 1])]
    """

    STATE = Fields(rows=SETTING, every=SETTING) | HeldOutRounds.STATE

    def __init__(
        self,
        test: Batch,
        *,
        every: int | None = None,
        chunk: int = 512,
    ) -> None:
        super().__init__(chunk, every)
        _check_labels(test)
        # Numbered from 0: the first chunk tells the evaluator that a round starts.
        self._test = replace(test.numbered(0), held_out="test")
        self._names: list[Name] | None = None
        if test.labels is not None and test.target is None:
            self._names = test.labels.names

    @property
    def rows(self) -> int:
        """Rows of the test set."""
        return len(self._test)

    def _due(self, experience: int) -> bool:
        return experience != self._experience or self._due_by_rows()

    def _round_rows(self) -> Batch:
        return replace(self._test, y=self._y(), labels=self._labels)

    def _check(self, batch: Batch) -> None:
        if batch.present_experience != self._experience:
            test, schema = self._test, batch.schema
            if schema is None or test.schema is None:
                compare_features(test.feature_names, batch.feature_names)
            elif test.schema is not schema:
                x = translated(test.x, test.schema, schema)
                self._test = replace(test, x=x, schema=schema, feature_names=batch.feature_names)
            self._check_shape(batch)

    def _y(self) -> NDArray[np.int64]:
        """Return the test rows' labels as the stream numbers them."""
        if self._names is None:
            return self._test.y
        if self._labels is None:
            raise ConfigError(
                f"test rows have names for their classes, such as {self._names[0]!r}, "
                "and the stream has none"
            )
        found = np.array([self._labels.find(name) for name in self._names], np.int64)
        found = np.where(found < 0, UNSEEN + np.arange(len(found)), found)
        return found[self._test.y]

    def _check_shape(self, batch: Batch) -> None:
        stream, test = batch.x, self._test.x
        if not (same_kind(stream, test) or can_join(stream, test)):
            raise ConfigError(
                f"test rows are {describe_array(test)}, the stream has {describe_array(stream)}"
            )
        goal, tested = batch.target, self._test.target
        if not same_kind(goal, tested):
            ours = "classes" if tested is None else describe_array(tested)
            theirs = "classes" if goal is None else describe_array(goal)
            raise ConfigError(f"test rows have targets {ours}, the stream has {theirs}")


def compare_features(test: Sequence[str] | None, stream: Sequence[str] | None) -> None:
    """Check that test rows have the stream's features, where both have names.

    The features of a file are those of its first row, so two files may differ in them.

    Raises
    ------
    ConfigError
        They have other features.
    """
    if test is None or stream is None or list(test) == list(stream):
        return
    if all(map(str.isdigit, test)) or all(map(str.isdigit, stream)):
        return  # columns without a header have positions for names
    pairs = enumerate(zip(test, stream, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(test), len(stream)))
    raise ConfigError(
        f"test: its features are {_listed(test, at)}, those of the source {_listed(stream, at)}; "
        "say with source.features which ones to use, in which order"
    )


def _listed(names: Sequence[str], around: int) -> str:
    """Write some names, with the one at a position among them; a stream can have thousands."""
    first = max(0, min(around, len(names) - 5))
    shown = ", ".join(names[first : first + 5])
    return f"{'..., ' if first else ''}{shown}{', ...' if len(names) > first + 5 else ''}"


def _check_labels(test: Batch) -> None:
    if not len(test):
        raise ValueError(f"test must have at least one row, got {len(test)}")
    unlabelled = int(np.count_nonzero(test.y < 0))
    if unlabelled:
        raise ValueError(f"every row of test needs a label, {unlabelled} of {len(test)} have none")
    names = None if test.target is not None else test.labels
    if names is not None and test.y.max() >= len(names):
        raise ValueError(f"test has label {test.y.max()}, but there are {len(names)} names")
