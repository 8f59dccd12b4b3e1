"""Keys of rows: the rules that make them, and the random numbers and times they are made of.

A group keeps the rows with its smallest keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from math import exp, inf, log
from typing import ClassVar, final

import numpy as np

from streamreplay.batch import Batch
from streamreplay.buffers.selection.base import OnlineSelectionStrategy
from streamreplay.columns import Floats
from streamreplay.errors import ConfigError
from streamreplay.randomness import Seed, load_rng_state, make_rng, rng_state
from streamreplay.state import SETTING, Fields, State, expect

_BLOCK = 4096  # random numbers drawn at a time
_TINY = float(np.finfo(np.float64).tiny)


class KeyLaw(ABC):
    """A rule that makes keys from random numbers."""

    STATE: ClassVar[Fields] = Fields()
    """The settings that are compared when a state is loaded."""

    by_time: bool = False
    """True if stamps are event times in seconds; False if they count rows."""
    draws: bool = True
    """True if keys depend on random numbers."""

    @abstractmethod
    def make_keys(self, rows: Batch, uniform: Floats, stamps: Floats) -> Floats:
        """Return a key for each row, float64[n], given when it came: float64[n]."""

    @abstractmethod
    def acceptance(self, threshold: float, now: float) -> float | None:
        """Return the chance that a row coming now has a key below a threshold, if it is known."""

    def loosen(self, threshold: float) -> float:
        """Return the threshold that accepts about twice as many rows.

        It is the same one if more rows are accepted by themselves as time goes on.
        """
        return threshold

    def shift(self, rows: int) -> float:
        """Return how much larger keys would be if their rows had come ``rows`` rows later."""
        return 0.0


@final
class UniformKeys(KeyLaw):
    """Uniform keys: a uniform sample. The reservoir has a faster way to find small ones."""

    def make_keys(self, rows: Batch, uniform: Floats, stamps: Floats) -> Floats:
        """Return the random numbers as they are."""
        return uniform

    def acceptance(self, threshold: float, now: float) -> float:
        """Return the threshold, which is the chance."""
        return min(threshold, 1.0)

    def loosen(self, threshold: float) -> float:
        """Return twice the threshold, inf if that accepts every row."""
        return 2 * threshold if threshold < 0.5 else inf


@final
class WindowKeys(KeyLaw):
    """Keys for the latest rows: each key is below all before it."""

    draws = False

    def make_keys(self, rows: Batch, uniform: Floats, stamps: Floats) -> Floats:
        """Return the stamps, negated."""
        return -stamps

    def acceptance(self, threshold: float, now: float) -> float:
        """Return 1: every new row is stored."""
        return 1.0

    def shift(self, rows: int) -> float:
        """Return the rows, negated."""
        return -float(rows)


@final
class DecayingKeys(KeyLaw):
    """Keys for a sample in which a row weighs half as much as one that came ``half_life`` later.

    Weights grow instead of falling, w = 2^(stamp / half_life), which is the same and never has to
    update a stored row (forward decay: Cormode, Shkapenyuk, Srivastava, Xu 2009). Keys are
    log(E / w), E exponential: the smallest keys are a sample without replacement with probabilities
    proportional to w (Efraimidis and Spirakis 2006, Algorithm A), in logarithms so that no stream
    is too long.
    """

    STATE: ClassVar[Fields] = Fields(half_life=SETTING, by_time=SETTING)

    def __init__(self, half_life: float, *, by_time: bool) -> None:
        self.half_life = half_life
        self.by_time = by_time

    def make_keys(self, rows: Batch, uniform: Floats, stamps: Floats) -> Floats:
        """Return log(E / w)."""
        exponential = np.maximum(-np.log1p(-uniform), _TINY)
        keys: Floats = np.log(exponential) - stamps * (log(2) / self.half_life)
        return keys

    def acceptance(self, threshold: float, now: float) -> float:
        """Return P(log E - log w < threshold) for w as of now."""
        if threshold == inf:
            return 1.0
        return 1.0 - exp(-exp(min(threshold + now * log(2) / self.half_life, 700.0)))

    def shift(self, rows: int) -> float:
        """Return what so many rows add to -log w; 0 if stamps are event times."""
        return 0.0 if self.by_time else -rows * (log(2) / self.half_life)


@final
class StrategyKeys(KeyLaw):
    """Keys that a user's strategy returns."""

    def __init__(self, strategy: OnlineSelectionStrategy) -> None:
        self.strategy = strategy

    def make_keys(self, rows: Batch, uniform: Floats, stamps: Floats) -> Floats:
        """Call the strategy, and check what it returns."""
        made = np.asarray(self.strategy.make_keys(rows, uniform))
        name = type(self.strategy).__name__
        if made.dtype.kind not in "buif":
            raise ConfigError(f"{name}.make_keys must return numbers, got {made.dtype}")
        keys = made.astype(np.float64)
        if keys.shape != uniform.shape:
            raise ConfigError(
                f"{name}.make_keys must return one key for each of {len(rows)} rows, "
                f"got shape {keys.shape}"
            )
        if not np.isfinite(keys).all():
            bad = int(np.flatnonzero(~np.isfinite(keys))[0])
            raise ConfigError(f"{name}.make_keys must return finite keys, got {keys[bad]} at {bad}")
        return keys

    def acceptance(self, threshold: float, now: float) -> float | None:
        """Return 1 while no row is turned away, then None: only the strategy knows."""
        return 1.0 if threshold == inf else None

    def loosen(self, threshold: float) -> float:
        """Return inf, since the distribution of keys is unknown."""
        return inf

    def state_dict(self) -> State:
        """Return the strategy's name and state."""
        return {"strategy": type(self.strategy).__name__, "state": self.strategy.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Load the strategy's state."""
        expect("strategy", state["strategy"], type(self.strategy).__name__)
        self.strategy.load_state_dict(state["state"])


@final
class KeyStream:
    """Uniform keys, drawn in blocks; the state is the generator before the block, and the place."""

    def __init__(self, seed: Seed) -> None:
        self._rng = make_rng(seed)
        self._next = 0
        self._found: list[int] = []  # places in the block of keys below _limit
        self._found_keys: list[float] = []
        self._limit = 0.0
        self._draw_block()

    def take(self, n: int) -> Floats:
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

    def make(self, law: KeyLaw, batch: Batch, clock: StreamClock) -> Floats:
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
