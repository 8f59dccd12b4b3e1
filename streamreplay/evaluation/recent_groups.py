"""Keep statistics only for the 200 tasks and experiences that had rows last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from streamreplay.batch import GroupBy
from streamreplay.state import PART, Kind, State, within

MOST = 200
"""Most tasks, and most experiences, with scores of their own; it bounds a line of the log."""

KEPT = 10_000
"""Most experiences that later ones are compared with."""

T = TypeVar("T")


class RecentGroups(Generic[T]):
    """Keep one value for each of the last `MOST` tasks and experiences that had rows.

    Parameters
    ----------
    make : callable
        Returns the value of a new group.
    kind : Kind
        How a value is saved.

    Examples
    --------
    >>> groups = RecentGroups(list)
    >>> groups.touch("task", 7).append("row")
    >>> groups.get("task", 7), groups.get("task", 8)
    (['row'], None)
    """

    def __init__(self, make: Callable[[], T], kind: Kind = PART) -> None:
        self._make, self._kind = make, kind
        self.kept: dict[GroupBy, dict[int, T]] = {"task": {}, "experience": {}}

    def touch(self, by: GroupBy, group: int) -> T:
        """Return the value of a group that has rows now; drop the group with the oldest rows."""
        groups = self.kept[by]
        found = groups[group] = groups.pop(group) if group in groups else self._make()
        drop_oldest(groups)
        return found

    def get(self, by: GroupBy, group: int) -> T | None:
        """Return the value of a group; None where none is kept."""
        return self.kept[by].get(group)

    def state_dict(self) -> State:
        """Return the values, in order of the groups' last rows."""
        return {
            by: {group: self._kind.save(each) for group, each in groups.items()}
            for by, groups in self.kept.items()
        }

    def load_state_dict(self, state: State) -> None:
        """Load values of the same kind."""
        for by, groups in self.kept.items():
            groups.clear()
            for group, saved in state[by].items():
                with within(by):
                    groups[group] = self._kind.load(str(group), self._make(), saved)


def drop_oldest(kept: dict[int, T], most: int = MOST) -> list[T]:
    """Remove the first values until ``most`` are left, and return them.

    Examples
    --------
    >>> kept = {3: "a", 1: "b", 2: "c"}
    >>> drop_oldest(kept, 2), kept
    (['a'], {1: 'b', 2: 'c'})
    """
    return [kept.pop(next(iter(kept))) for _ in range(len(kept) - most)]
