"""The time of the stream: in rows, or in the event times that rows carry."""

from __future__ import annotations

from math import inf
from typing import final

import numpy as np

from streamreplay.batch import Batch
from streamreplay.columns import Floats
from streamreplay.errors import ConfigError
from streamreplay.state import Fields


@final
class StreamClock:
    """The time of the stream, which does not depend on the clock of the machine.

    Attributes
    ----------
    rows : int
        Rows that have been offered.
    latest : float
        The latest event time seen, in seconds; -inf before the first.
    """

    STATE = Fields(rows=int, latest=float)

    def __init__(self) -> None:
        self.rows = 0
        self.latest = -inf

    def now(self, *, by_time: bool) -> float:
        """Return the current time, in rows or seconds."""
        return self.latest if by_time else float(self.rows)

    def stamps(self, batch: Batch, *, by_time: bool) -> Floats:
        """Return when each row of the next batch comes: float64[n].

        Rows are numbered from 1. A row without an event time comes at the latest one seen.

        Raises
        ------
        ConfigError
            Event times are needed, and the rows have none.
        """
        if not by_time:
            return np.arange(self.rows + 1.0, self.rows + len(batch) + 1.0)
        times = _times(batch)
        return np.where(np.isnan(times), self.running(batch), times)

    def running(self, batch: Batch) -> Floats:
        """Return the latest event time seen up to each row: float64[n], ascending."""
        times = _times(batch)
        latest: Floats = np.fmax(np.fmax.accumulate(times), self.latest)
        return latest

    def advance(self, batch: Batch) -> None:
        """Advance the clock by a batch."""
        self.rows += len(batch)
        if batch.time is not None:
            self.latest = max(self.latest, float(np.fmax.reduce(_times(batch), initial=-inf)))


def _times(batch: Batch) -> Floats:
    if batch.time is None:
        raise ConfigError(
            "rows have no event time for ttl or half_life: name its field (source.time), "
            "or count in rows"
        )
    # an infinite time would stay the latest for ever, so it counts as missing
    return np.where(np.isfinite(batch.time), batch.time, np.nan)
