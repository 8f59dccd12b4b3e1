"""Rounds over held-out rows, between two batches of the stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from streamreplay.batch import Batch
from streamreplay.labels import Labels
from streamreplay.state import LABELS, Fields, Kind, State

__all__ = ["BATCH", "HeldOutRounds"]


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
    """A stage `Batch` -> `Batch` that puts rounds over a sample of its own between the batches.

    Everything of the stream passes through, and so do the rounds of others. A round that was
    dropped half-way starts again from its first row with the next generator.

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
        self._spent = 0  # rows of the sample predicted, in rounds that were taken to their ends
        self._unfinished = False  # a round began that was not taken to its end
        self._experience: int | None = None  # of the last row
        self._waiting: Batch | None = None  # taken from the stream, and not passed on yet
        self._labels: Labels | None = None  # of the stream, as the last batch had them

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Yield every batch of the stream, and the sample between some of them."""
        yield from self._pass_on()  # what an earlier generator was dropped with
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
        """Tell whether a round is due ahead of a batch of this experience: none was here yet."""

    @abstractmethod
    def _ask(self) -> Batch | None:
        """Return the rows of a round that begins; None if there are none."""

    def _meet(self, batch: Batch) -> None:  # noqa: B027 - most have nothing to do
        """Look at a batch of the stream before any round ahead of it."""

    def _take_in(self, batch: Batch) -> Batch:
        """Return a batch of the stream as it is passed on, behind the round ahead of it."""
        return batch

    def _pass_on(self) -> Iterator[Batch]:
        """Yield the waiting batch, with a round ahead of it if one is due."""
        batch = self._waiting
        if batch is None:
            return
        if len(batch):
            experience = batch.experience.item(0)
            self._meet(batch)
            if self._unfinished or (self._position > self._tested and self._due(experience)):
                yield from self._round()
            batch = self._take_in(batch)
            self._experience = experience
            self._position += len(batch)
        self._waiting = None
        yield batch

    def _round(self) -> Iterator[Batch]:
        self._unfinished = True
        sample = self._ask()
        if sample is not None:
            for start in range(0, len(sample), self.chunk):
                yield sample.take(slice(start, start + self.chunk))
            self._spent += len(sample)
        self._unfinished = False
        self._tested = self._position
