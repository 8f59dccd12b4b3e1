"""Rows and hits by class, task or experience, and which groups are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.means import ratio
from streamreplay.groups import GroupIndex
from streamreplay.state import PART, PARTS, Fields, Kind, State, within

MOST = 200
"""Most tasks, and most experiences, with scores of their own."""

LISTED = 20
"""Most tasks, and most experiences, in a record that had no rows since the one before it.

Experiences of a few rows each end as often as batches do: if each of their records listed 200
groups, the log would be a hundred times the stream.
"""

PLURALS = {"class": "classes", "task": "tasks", "experience": "experiences"}

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


class Tally:
    """Count rows and hits of each id, in total and since the last mark.

    Ids are any int64. Memory grows with the number of different ids; with ``endless`` only the last
    `MOST` ids that had rows are kept, and an id that was dropped and comes again starts at 0.

    Parameters
    ----------
    dtype : dtype
        Type of the counts: float64 to add up errors in place of hits.
    endless : bool
        Whether the number of ids has no bound.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add(np.array([3, 3, 7]), np.array([True, False, True]))
    >>> tally.scores()
    {3: {'rows': 2, 'accuracy': 0.5}, 7: {'rows': 1, 'accuracy': 1.0}}
    """

    def __init__(
        self, dtype: type[np.int64 | np.float64] = np.int64, *, endless: bool = False
    ) -> None:
        self._endless = endless
        self._slot: dict[int, int] = {}  # in order of the first row, or of the last one if endless
        self._free: list[int] = []  # slots of ids that were dropped
        # [slot, (rows, hits, rows at the mark, hits at the mark)]
        self._counts: NDArray[Any] = np.zeros((8, 4), dtype)

    def __len__(self) -> int:
        return len(self._slot)

    def __contains__(self, id: int) -> bool:
        return id in self._slot

    @property
    def ids(self) -> list[int]:
        """The ids that had rows."""
        return list(self._slot)

    @property
    def tells_apart(self) -> bool:
        """Whether there is another id than 0, the only one of a stream with one task."""
        return len(self) > (0 in self)

    @property
    def total(self) -> tuple[int, Any]:
        """Rows and hits over all ids."""
        rows, hits = self._counts[:, :2].sum(0).tolist()
        return int(rows), hits

    def add(self, values: NDArray[np.int64], hits: NDArray[Any]) -> None:
        """Count rows by their ids, int64[n], with hits, bool[n], or errors, float64[n]."""
        if len(values):
            self.add_groups(GroupIndex.of(values), hits)

    def add_groups(self, index: GroupIndex, hits: NDArray[Any]) -> None:
        """Count rows whose groups are given as an index."""
        slots = self._slots(index.ids)
        self._counts[slots, 0] += index.counts
        self._counts[slots, 1] += np.add.reduceat(
            hits[index.order], index.starts, dtype=self._counts.dtype
        )
        if self._endless:
            self._drop()

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows counted for each id, int64[g]; 0 for an unknown id."""
        slots = [self._slot.get(key, -1) for key in ids.tolist()]
        return np.where(np.array(slots) < 0, 0, self._counts[slots, 0])

    def hits(self, id: int) -> Any:
        """Return the hits counted for a known id."""
        return self._counts[self._slot[id], 1].item()

    def mark(self) -> None:
        """Start the recent counts again."""
        self._counts[:, 2:] = self._counts[:, :2]

    def clear(self) -> None:
        """Remove all ids."""
        self._slot.clear()
        self._free.clear()
        self._counts[:] = 0

    def scores(self) -> dict[int, dict[str, Any]]:
        """Return rows and accuracy by id, ids ascending."""
        return {
            key: {"rows": rows, "accuracy": ratio(hits, rows)}
            for key, (rows, hits, _, _) in self._sorted()
        }

    def recent_scores(self, name: str = "accuracy") -> dict[int, dict[str, Any]]:
        """Return rows and score by id, in total and since the mark, ids ascending.

        Listed are the ids that had rows since the mark, and of the others those with the latest
        rows, up to `LISTED`, or without an end of ids those with the most rows, up to `MOST`.
        """
        listed = self._listed()
        return {
            key: {
                "rows": int(rows),
                name: ratio(hits, rows),
                "rows_recent": int(rows - old_rows),
                f"{name}_recent": ratio(hits - old_hits, rows - old_rows),
            }
            for key, (rows, hits, old_rows, old_hits) in self._sorted()
            if listed is None or key in listed
        }

    def _listed(self) -> set[int] | None:
        """Return the ids in a record; None for all."""
        most = LISTED if self._endless else MOST
        if len(self) <= most:
            return None
        ids, slots = list(self._slot), list(self._slot.values())
        rows, before = self._counts[slots, 0], self._counts[slots, 2]
        recent = np.flatnonzero(rows > before)
        first = np.arange(len(ids))[::-1] if self._endless else np.argsort(-rows, kind="stable")
        return {ids[i] for i in (*recent.tolist(), *first[:most].tolist())}

    def state_dict(self) -> State:
        """Return ids, int64[g], in their order, and their counts, int64[g, 4]."""
        return {
            "ids": np.array(list(self._slot), np.int64),
            "counts": self._counts[list(self._slot.values())],
        }

    def load_state_dict(self, state: State) -> None:
        """Load ids and counts."""
        self.clear()
        slots = self._slots(np.asarray(state["ids"]))  # first: it may replace the counts by more
        self._counts[slots] = state["counts"]

    def _slots(self, ids: NDArray[np.int64]) -> list[int]:
        slot = self._slot
        if self._endless:
            for key in ids.tolist():
                slot[key] = slot.pop(key) if key in slot else self._new_slot()
            slots = [slot[key] for key in ids.tolist()]
        else:
            slots = [slot.setdefault(key, len(slot)) for key in ids.tolist()]
        if len(slot) > len(self._counts):
            room = max(len(slot) - len(self._counts), len(self._counts))
            self._counts = np.pad(self._counts, ((0, room), (0, 0)))
        return slots

    def _new_slot(self) -> int:
        return self._free.pop() if self._free else len(self._slot)

    def _drop(self) -> None:
        dropped = drop_oldest(self._slot)
        if dropped:
            self._counts[dropped] = 0
            self._free += dropped

    def _sorted(self) -> list[tuple[int, list[Any]]]:
        counts = self._counts.tolist()
        return [(key, counts[slot]) for key, slot in sorted(self._slot.items())]


class ScoresByGroup:
    """One score of the rows of each task and experience, in total and since the last record.

    Parameters
    ----------
    dtype : dtype
        Type of the sums: int64 counts hits, float64 adds up errors.
    classes : Tally, optional
        Hits by class, which the owner adds rows to: scored as well.
    """

    STATE = Fields(tallies=PARTS)

    def __init__(
        self, dtype: type[np.int64 | np.float64] = np.int64, classes: Tally | None = None
    ) -> None:
        self.tallies: dict[GroupBy, Tally] = {} if classes is None else {"class": classes}
        self.tallies["task"] = Tally(dtype, endless=True)
        self.tallies["experience"] = Tally(dtype, endless=True)

    def add(self, task: NDArray[np.int64], experience: int, hits: NDArray[Any]) -> None:
        """Add rows of one experience: tasks int64[n], hits bool[n] or errors float64[n]."""
        n = len(task)
        self.tallies["task"].add(task, hits)
        one = GroupIndex(np.array([experience]), np.array([n]), np.array([0]), np.arange(n))
        self.tallies["experience"].add_groups(one, hits)

    def mark(self) -> None:
        """Start the recent scores of all groups again."""
        for tally in self.tallies.values():
            tally.mark()

    def fields(self, by: Sequence[GroupBy], score: str) -> dict[str, Any]:
        """Return ``by_task`` and so on: the groupings in ``by`` that have more than the group 0."""
        found: dict[str, Any] = {}
        for name, tally in self.tallies.items():
            if name in by and (name == "class" or tally.tells_apart):
                found[f"by_{name}"] = scores = tally.recent_scores(score)
                if len(scores) < len(tally):
                    found[f"{PLURALS[name]}_not_listed"] = len(tally) - len(scores)
        return found
