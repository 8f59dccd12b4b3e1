"""Random keys for rows, in blocks."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.sampling.key_rules import KeyLaw
from streamreplay.buffers.sampling.stream_clock import StreamClock
from streamreplay.randomness import Seed, load_rng_state, make_rng, rng_state
from streamreplay.state import State

_BLOCK = 4096  # keys drawn at a time


class KeyStream:
    """Uniform keys, drawn in blocks; the state is the generator before the block, and the place."""

    def __init__(self, seed: Seed) -> None:
        self._rng = make_rng(seed)
        self._next = 0
        self._found: list[int] = []  # places in the block of keys below _limit
        self._found_keys: list[float] = []
        self._limit = 0.0
        self._draw_block()

    def take(self, n: int) -> NDArray[np.float64]:
        """Return the next n keys: float64[n]."""
        start, end = self._next, self._next + n
        if end <= _BLOCK:
            self._next = end
            return self._block[start:end]
        parts = [self._block[start:]]
        missing = end - _BLOCK
        while missing > 0:
            self._draw_block()
            self._next = min(missing, _BLOCK)
            parts.append(self._block[: self._next])
            missing -= self._next
        return np.concatenate(parts)

    def make(self, law: KeyLaw, batch: Batch, clock: StreamClock) -> NDArray[np.float64]:
        """Return a key for each row of the next batch, made by a rule: float64[n].

        If the rule raises, as a user's strategy may, no number has been drawn.
        """
        stamps = clock.stamps(batch, by_time=law.by_time)
        if not law.draws:
            return law.make_keys(batch, stamps, stamps)
        before = self.state_dict()
        try:
            return law.make_keys(batch, self.take(len(batch)), stamps)
        except BaseException:
            self.load_state_dict(before)
            raise

    def below(self, n: int, limit: float) -> tuple[list[int], list[float]]:
        """Return which of the next n keys are below a limit, and those keys.

        A block is searched once: limits fall, so what was found for one holds for the next.
        """
        start, end = self._next, self._next + n
        if end > _BLOCK:
            keys = self.take(n)
            found = np.flatnonzero(keys < limit)
            return found.tolist(), keys[found].tolist()
        if limit > self._limit or self._limit > 2 * limit:
            found = np.flatnonzero(self._block < limit)
            self._found, self._found_keys = found.tolist(), self._block[found].tolist()
            self._limit = limit
        self._next = end
        first = bisect_left(self._found, start)
        last = bisect_left(self._found, end, first)
        places, small = [], []
        for place, key in zip(self._found[first:last], self._found_keys[first:last], strict=True):
            if key < limit:
                places.append(place - start)
                small.append(key)
        return places, small

    def _draw_block(self) -> None:
        self._before = rng_state(self._rng)
        self._block = self._rng.random(_BLOCK)
        self._limit = 0.0

    def state_dict(self) -> State:
        """Return the generator's state before the current block, and the place in the block."""
        return {"before": self._before, "next": self._next}

    def load_state_dict(self, state: State) -> None:
        """Draw the saved block again, and continue from the place in it."""
        load_rng_state("before", self._rng, state["before"])
        self._draw_block()
        self._next = int(state["next"])
