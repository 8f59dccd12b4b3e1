"""Rules for the keys of rows; a group keeps the rows with its smallest keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import exp, inf, log
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection.base import OnlineSelectionStrategy
from streamreplay.errors import ConfigError
from streamreplay.state import SETTING, Fields, State, expect

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
    def make_keys(
        self, rows: Batch, uniform: NDArray[np.float64], stamps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
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

    def make_keys(
        self, rows: Batch, uniform: NDArray[np.float64], stamps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
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

    def make_keys(
        self, rows: Batch, uniform: NDArray[np.float64], stamps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
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

    def make_keys(
        self, rows: Batch, uniform: NDArray[np.float64], stamps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return log(E / w)."""
        exponential = np.maximum(-np.log1p(-uniform), _TINY)
        keys: NDArray[np.float64] = np.log(exponential) - stamps * (log(2) / self.half_life)
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

    def make_keys(
        self, rows: Batch, uniform: NDArray[np.float64], stamps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
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
