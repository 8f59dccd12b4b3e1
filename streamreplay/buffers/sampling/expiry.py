"""Deletion of rows that have become too old."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.sampling.grouped_slots import GroupedSlots
from streamreplay.buffers.sampling.keyed_reservoir import KeyedReservoir
from streamreplay.state import SETTING, Fields


def parse_span(name: str, span: float | timedelta) -> tuple[float, bool]:
    """Return a span of the stream as a number, and whether it is seconds of event time.

    Raises
    ------
    ValueError
        It is not above 0.

    >>> parse_span("ttl", 500), parse_span("ttl", timedelta(minutes=1))
    ((500.0, False), (60.0, True))
    """
    by_time = isinstance(span, timedelta)
    length = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if not 0 < length < inf:
        raise ValueError(f"{name} must be more than 0, got {span!r}")
    return length, by_time


@final
class Expiry:
    """Deletes stored rows when they are ``limit`` old, at the very row that makes them so old.

    What is left is a sample of the rows that are not too old, fair to within about
    2 / ``max_size``: the newest fifth is likelier to be stored by that much, and the oldest less
    likely, since each evicted row had been stored for longer than the rows that came later. If the
    rows that are left fill less than half of their room although rows are turned away, twice as
    many are accepted from then on: the sample is uniform again once the older rows have expired as
    well.

    Parameters
    ----------
    limit : float
        In rows offered or in seconds of event time.
    by_time : bool
    """

    STATE = Fields(limit=SETTING, by_time=SETTING, _loosened=float)

    def __init__(self, limit: float, *, by_time: bool) -> None:
        self.limit = limit
        self.by_time = by_time
        self._loosened = -inf  # when the thresholds were last raised

    def update(self, slots: GroupedSlots, batch: Batch) -> None:
        """Offer labelled rows, and delete each stored row when it expires."""
        stamps = slots.clock.stamps(batch, by_time=self.by_time)
        now = slots.clock.running(batch) if self.by_time else stamps
        alive = stamps > now - self.limit
        if not alive.all():  # they are too old already
            batch, stamps, now = batch.take(alive), stamps[alive], now[alive]
        if not isinstance(slots, KeyedReservoir):
            self._update_at_once(slots, batch, stamps, now)
            return
        start = 0
        while start < len(batch):
            self._expire(slots, float(now[start]))
            stop = self._next_stop(slots, stamps, now, start)
            part = slice(start, stop)
            slots.update(batch.take(part), {"stamp": stamps[part]})
            start = stop
        if len(now):
            self._expire(slots, float(now[-1]))

    def before(self, slots: GroupedSlots, batch: Batch) -> None:
        """Delete rows that are too old when the first of these labelled rows arrives."""
        if len(batch) and slots.seen:
            clock = slots.clock
            now = clock.running(batch)[0] if self.by_time else clock.rows + 1
            self._expire(slots, float(now))

    def catch_up(self, slots: GroupedSlots) -> None:
        """Delete rows that are too old by now, as rows of a merged buffer may be."""
        self._expire(slots, slots.clock.now(by_time=self.by_time))

    def _update_at_once(
        self,
        slots: GroupedSlots,
        batch: Batch,
        stamps: NDArray[Any],
        now: NDArray[Any],
    ) -> None:
        """Offer rows to a strategy, which is called once, without those too old by the last row."""
        if not len(batch):
            return
        self._expire(slots, float(now[-1]))
        stays = np.flatnonzero(stamps > now[-1] - self.limit)
        gone = len(batch) - len(stays)
        slots.update(batch.take(stays), {"stamp": stamps[stays]})
        slots.seen += gone
        slots.clock.rows += gone

    def _next_stop(
        self, slots: KeyedReservoir, stamps: NDArray[Any], now: NDArray[Any], start: int
    ) -> int:
        """Return the first row at which a stored row expires: those before it go together."""
        n = len(now)
        if slots.takes_all(n - start):
            return n
        stored = slots.store.extra.get("stamp", np.empty(0))[: slots.store.size]
        oldest = min(float(stored.min(initial=inf)), float(stamps[start:].min()))
        # as `_expire` compares them: rounding could let another row be the first
        return max(start + 1, int(np.searchsorted(now - self.limit, oldest)))

    def _expire(self, slots: GroupedSlots, now: float) -> None:
        store = slots.store
        if not store.size:
            return
        stamps = store.extra["stamp"][: store.size]
        old = np.flatnonzero(stamps <= now - self.limit)
        if not len(old):
            return
        slots.remove(old)
        if (
            isinstance(slots, KeyedReservoir)
            and 2 * store.size < slots.groups.room
            and now >= self._loosened + self.limit
            and min(slots.groups.threshold) < inf
        ):
            slots.loosen()
            self._loosened = now
