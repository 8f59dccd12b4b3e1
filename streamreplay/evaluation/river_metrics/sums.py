"""What metrics made of arrays of sums keep: of all rows, faded, by group, and the window's rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.recent_groups import touch
from streamreplay.evaluation.sums.ring import Ring
from streamreplay.state import State

__all__ = ["Sums"]


class Sums:
    """Sums of one shape over all rows, with fading weights, and over the rows of each group.

    Parameters
    ----------
    empty : float64[...]
        The sums of no rows.
    window : Ring
        What the last rows were.
    """

    def __init__(self, empty: NDArray[np.float64], window: Ring) -> None:
        self._empty = empty
        self.total, self.faded, self.window = self.empty(), self.empty(), window
        self.groups: dict[GroupBy, dict[int, NDArray[np.float64]]] = {"task": {}, "experience": {}}

    def empty(self) -> NDArray[np.float64]:
        """Return the sums of no rows."""
        return self._empty.copy()

    def of(self, by: GroupBy, group: int) -> NDArray[np.float64]:
        """Return the sums of a group, to be added to."""
        return touch(self.groups[by], group, self.empty)

    def state_dict(self) -> State:
        """Return all sums, and the window."""
        return {
            "total": self.total.copy(),
            "faded": self.faded.copy(),
            "window": self.window.state_dict(),
            "groups": {
                by: {group: sums.copy() for group, sums in groups.items()}
                for by, groups in self.groups.items()
            },
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same shape and window."""
        self.total[:], self.faded[:] = state["total"], state["faded"]
        self.window.load_state_dict(state["window"])
        for by, groups in self.groups.items():
            groups.clear()
            groups |= {int(group): sums.copy() for group, sums in state["groups"][by].items()}
