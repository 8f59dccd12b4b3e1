"""Find out whether a stream goes on behind the end of a finished run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from streamreplay.batch import Batch
from streamreplay.ingest.connect.arrow import Streamed
from streamreplay.stage import Source
from streamreplay.state import State

__all__ = ["ReadAhead", "read_ahead"]


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """Batches that were read to see whether there are any, and are still to be learned.

    Attributes
    ----------
    batches : list of Batch
    ended : bool
        They are the last ones: what the end of the stream, or a limit, has cut off.
    """

    batches: list[Batch] = field(default_factory=list)
    ended: bool = False


def read_ahead(source: Source, end: State, stop: Callable[[], bool]) -> ReadAhead | None:
    """Read on from the last whole batch of a run; return None if the stream ends where it did.

    Parameters
    ----------
    source : Source
        In the state of the last whole batch.
    end : State
        The source's state when the run had finished.
    stop : callable
        Returns whether waiting for rows has ended.

    Raises
    ------
    SourceError
        The stream is not the one that was learned from, up to its old end.
    """
    if isinstance(source, Streamed):
        source.compare_up_to(end)
    source.whole_batches = True
    batches = [*islice(source, 1)]
    if batches or stop():
        return ReadAhead(batches)
    source.whole_batches = False
    batches = [*source]
    return None if _place(source.state_dict()) == _place(end) else ReadAhead(batches, ended=True)


def _place(state: State) -> State:
    """Return what a source's state says about where it is: numbers, checksums among them.

    Examples
    --------
    >>> _place({"rows": 3, "crc": 17, "labels": {"names": ["cat"]}})
    {'rows': 3, 'crc': 17}
    """
    return {key: value for key, value in state.items() if isinstance(value, int)}
