"""How much of the time each stage takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 1 << 16  # batches kept between two laps


class Stopwatch:
    """Measures each stage's own time for a batch: without that of the stages it pulls from.

    A `Meter`: see `Pipeline.measure`.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> inner = watch.measured("inner", iter([1, 2]))
    >>> list(watch.measured("outer", (2 * record for record in inner)))
    [2, 4]
    >>> watch.batch_done()
    >>> list(watch.lap())
    ['inner', 'outer']
    """

    def __init__(self) -> None:
        self._below = 0  # ns, of what the stage that runs has pulled from
        self._spent: dict[str, int] = {}  # ns, of the present batch
        self._batches: dict[str, deque[int]] = {}  # ns, of each batch since the last lap

    def measured(self, name: str, stream: Iterator[Any], /) -> Iterator[Any]:
        """Yield what a stage yields, and add up its time."""
        self._spent.setdefault(name, 0)
        self._batches.setdefault(name, deque(maxlen=MOST))
        return self._run(name, stream)

    def _run(self, name: str, stream: Iterator[Any]) -> Iterator[Any]:
        now = time.perf_counter_ns
        while True:
            start, outer, self._below = now(), self._below, 0
            try:
                record = next(stream)
            except StopIteration:
                return
            finally:
                whole = now() - start
                self._spent[name] += whole - self._below
                self._below = outer + whole
            yield record

    def batch_done(self) -> None:
        """Note that a batch has been through all stages."""
        spent = self._spent
        for name, batches in self._batches.items():
            batches.append(spent[name])
            spent[name] = 0

    def lap(self) -> dict[str, NDArray[np.int64]]:
        """Return each stage's nanoseconds for each batch since the last lap, and start again."""
        given = {name: np.array(batches, np.int64) for name, batches in self._batches.items()}
        for batches in self._batches.values():
            batches.clear()
        return given
