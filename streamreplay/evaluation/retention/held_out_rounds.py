"""Insert rounds over held-out rows between two batches of the stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from streamreplay.batch import Batch
from streamreplay.labels import Labels
from streamreplay.state import LABELS, Fields, Kind, State


def _save_batch(batch: Batch | None) -> State | None:
    if batch is None:
        return None
    return {
        **batch.columns(),
        "held_out": batch.held_out,
        "labels": LABELS.save(batch.labels),
        "feature_names": batch.feature_names and list(batch.feature_names),
    }


def _load_batch(_name: str, _live: object, saved: State | None) -> Batch | None:
    if saved is None:
        return None
    return Batch(**{**saved, "labels": LABELS.load("labels", None, saved["labels"])})


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
    """

    STATE = Fields(
        _position=int,
        _tested=int,
        _spent=int,
        _unfinished=bool,
        _experience=int | None,
        _waiting=BATCH,
        _labels=LABELS,
    )

    def __init__(self, chunk: int) -> None:
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        self.chunk = chunk
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
        if len(batch):
            experience = batch.experience.item(0)
            self._check(batch)
            if self._unfinished or (self._position > self._tested and self._due(experience)):
                yield from self._round()
            batch = self._passed(batch)
            self._experience = experience
            self._position += len(batch)
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
