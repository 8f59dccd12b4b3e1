"""The two interfaces of a selection strategy, which users may implement, and the default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.state import State


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The rows of one group that a strategy chooses from.

    Attributes
    ----------
    rows : Batch
        The group's stored rows, best first as chosen the last time, then the new ones in order of
        arrival.
    stored : int
        How many of them are stored.
    weight : float64[n]
        How many rows of the stream each one stands for: a new row for itself, a stored one for
        an equal part of all the group's rows offered before.
    notes : float32[n, width]
        The strategy's own numbers for each row, 0 for new ones. What it writes here stays with
        the row.
    """

    rows: Batch
    stored: int
    weight: NDArray[np.float64]
    notes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)


class ExemplarsSelectionStrategy(ABC):
    """Ranks a group's candidates, stored and new ones together.

    It is asked once for each group that new rows came to in an update, and not for groups without a
    slot. What it keeps from one update to the next goes into `Candidates.notes`, or into
    ``state_dict``.

    Attributes
    ----------
    width : int
        Numbers that are stored with each row.
    """

    width: int = 0

    @abstractmethod
    def make_sorted_indices(self, candidates: Candidates, k: int) -> NDArray[np.int64]:
        """Return which candidates to keep, best first: int64[min(k, n)], each named once.

        The last ones go first when the group has to give up slots.
        """

    def state_dict(self) -> State:
        """Return what the next choice depends on, apart from the candidates."""
        return {}

    def load_state_dict(self, state: State) -> None:  # noqa: B027 - most have none to take over
        """Load a state."""


class OnlineSelectionStrategy(ABC):
    """Gives each row a key as it arrives; a group keeps the rows with its smallest keys.

    As keys never change, which rows stay does not depend on how the stream was cut into batches,
    as long as the keys do not.
    """

    @abstractmethod
    def make_keys(self, rows: Batch, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a finite key for each row: float64[n].

        Of equal keys, which row stays depends on how the stream was cut into batches.

        Parameters
        ----------
        rows : Batch
        uniform : float64[n]
            A random number in [0, 1) for each row. Returned as they are, they make the group a
            uniform sample; ``-log(1 - uniform) / w`` makes it a sample with weights w.
        """

    def state_dict(self) -> State:
        """Return what the next key depends on, apart from the row."""
        return {}

    def load_state_dict(self, state: State) -> None:  # noqa: B027 - most have none to take over
        """Load a state."""


@final
class RandomExemplarsSelectionStrategy(OnlineSelectionStrategy):
    """Keep a uniform sample of all rows a group was ever offered (reservoir sampling).

    Keys are drawn once for each row and never again, so an old row stays with the same probability
    as a new one. (To shuffle the stored rows together with the new ones at each update instead
    would forget the old ones exponentially.)

    References
    ----------
    J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985. Rows are chosen by
    random keys, which has the law of its Algorithm R.

    Examples
    --------
    >>> rows = Batch.from_arrays([[0.0], [1.0]])
    >>> RandomExemplarsSelectionStrategy().make_keys(rows, np.array([0.25, 0.5]))
    array([0.25, 0.5 ])
    """

    def make_keys(self, rows: Batch, uniform: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return ``uniform``: float64[n]."""
        return uniform
