"""Join labels to rows when they arrive later than the rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError
from streamreplay.state import State, expect


@final
class LateLabels:
    """Join labels to the rows they belong to, by id (verification latency).

    A row without a label passes on at once, to be predicted, and is held. When a row with its id
    and a label comes, the features held are what goes on with that label, to be scored and learned;
    what the later row carries for features does not matter. The prediction that is scored is the
    one made then: by a model that has not seen the label yet.

    A label whose row is not held, as it came with its features or was given up, passes on as it is;
    so do held-out rows.

    Parameters
    ----------
    max_size : int
        Rows held at most; the oldest is given up for a new one.

    Raises
    ------
    ValueError
        ``max_size`` is below 1; in use, a row without a label has no id, or features of another
        shape or type than those held.

    Examples
    --------
    >>> first = Batch.from_arrays([[1.0], [2.0]], [-1, -1], id=["a", "b"])
    >>> later = Batch.from_arrays([[0.0]], [1], id=["a"], start=2)
    >>> _, joined = LateLabels(100)([first, later])
    >>> joined.x.tolist(), joined.y.tolist()
    ([[1.0]], [1])
    """

    def __init__(self, max_size: int) -> None:
        if max_size < 1:
            raise ValueError(f"max_size must be at least 1, got {max_size}")
        self.max_size = max_size
        self.joined = 0
        """Labels that found their row."""
        self.given_up = 0
        """Rows given up before their label came."""
        self._slots: OrderedDict[str, int] = OrderedDict()  # id -> slot, oldest first
        self._free: list[int] = list(range(max_size))[::-1]
        self._x = np.empty(0)  # float32 | uint8 [max_size, *feature], once a row was held

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Pass each batch on, with the features of the rows that its labels belong to."""
        for batch in stream:
            yield batch if batch.held_out or not len(batch) else self._join(batch)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def rows_held(self) -> int:
        """Rows that are held until their label comes."""
        return len(self._slots)

    def state_dict(self) -> State:
        """Return the rows held, oldest first."""
        slots = list(self._slots.values())
        return {
            "max_size": self.max_size,
            "joined": self.joined,
            "given_up": self.given_up,
            "id": list(self._slots),
            "x": self._x[slots] if slots else self._x[:0],
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state saved with the same ``max_size``."""
        expect("max_size", state["max_size"], self.max_size)
        ids, x = state["id"], state["x"]
        if len(ids) != len(x):
            raise CheckpointError(f"x: saved {len(x)} rows for {len(ids)} ids")
        self.joined, self.given_up = int(state["joined"]), int(state["given_up"])
        self._slots = OrderedDict((each, slot) for slot, each in enumerate(ids))
        self._free = list(range(len(ids), self.max_size))[::-1]
        self._x = np.empty(0)
        if x.ndim > 1:
            self._x = np.zeros((self.max_size, *x.shape[1:]), x.dtype)
            self._x[: len(x)] = x

    def _join(self, batch: Batch) -> Batch:
        ids = np.full(len(batch), "") if batch.id is None else batch.id
        lost = (batch.y < 0) & (ids == "")
        if lost.any():
            raise ValueError(
                "a row without a label needs an id to be found by (source.id), row "
                f"{batch.t[lost][0]} has none"
            )
        x: NDArray[Any] | None = None  # a copy, once a row in it is replaced
        for row, (label, each) in enumerate(zip(batch.y.tolist(), ids.tolist(), strict=True)):
            if label < 0:
                self._hold(each, batch.x[row])
            elif each in self._slots:
                x = batch.x.copy() if x is None else x
                self._check(x[row])
                slot = self._slots.pop(each)
                x[row] = self._x[slot]
                self._free.append(slot)
                self.joined += 1
        return batch if x is None else replace(batch, x=x)

    def _hold(self, each: str, x: NDArray[Any]) -> None:
        if not self._x.size:
            self._x = np.zeros((self.max_size, *x.shape), x.dtype)
        self._check(x)
        slot = self._slots.pop(each, -1)  # what came under this id before is replaced
        if slot < 0 and not self._free:
            _, slot = self._slots.popitem(last=False)
            self.given_up += 1
        elif slot < 0:
            slot = self._free.pop()
        self._x[slot] = x
        self._slots[each] = slot

    def _check(self, x: NDArray[Any]) -> None:
        if x.shape != self._x.shape[1:] or x.dtype != self._x.dtype:
            held = describe_array(self._x[0])
            raise ValueError(f"x: rows held are {held}, got {describe_array(x)}")
