"""Measure a run: everything that depends on the clock and the machine, not on the stream."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from streamreplay.records import Report
from streamreplay.run.stopwatch import MOST, Stopwatch


class Clock:
    """Measures a run, batch by batch.

    Parameters
    ----------
    position : int
        Row from which the run goes on.
    """

    def __init__(self, position: int = 0) -> None:
        self.start = self._lap_start = self._mark = time.perf_counter()
        self.first = self._lap_position = position
        self._waiting = self._learning = 0.0
        self._replayed = self._throttled = 0
        self.throttled = 0
        """Memory rows left out so far to keep to a replay budget."""
        self._waits: deque[float] = deque(maxlen=MOST)
        self._latencies: deque[float] = deque(maxlen=MOST)
        self.stages = Stopwatch()
        """Of each stage, once it is what `Pipeline.measure` was given."""
        self._process = psutil.Process(os.getpid())

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    def arrived(self) -> None:
        """Note that the source has given a batch."""
        now = time.perf_counter()
        self._waiting += now - self._mark
        self._waits.append(now - self._mark)
        self._mark = now

    def learned(self, report: Report) -> None:
        """Note that the batch has been through all stages, and what came out of it."""
        now = time.perf_counter()
        self._learning += now - self._mark
        self._latencies.append(now - self._mark)
        self._mark = now
        self.stages.batch_done()
        alone = () if report.scored is None else (report.scored,)
        for scored in report.by_learner.values() or alone:
            self._replayed += scored.replayed
            self._throttled += scored.throttled
            self.throttled += scored.throttled

    def written(self) -> None:
        """Note that what came out of it has been written."""
        self._mark = time.perf_counter()

    @property
    def idle(self) -> bool:
        """Whether no batch has come since the last lap."""
        return not self._latencies

    def lap(self, position: int) -> dict[str, Any]:
        """Return a line of ``timings.jsonl`` for the rows since the last one.

        Milliseconds of latency are those of one batch, from its arrival to its report; of a stage,
        its own. Shares are of the interval's time: waiting for and decoding the source, and all
        stages.
        """
        now = time.perf_counter()
        seconds = max(now - self._lap_start, 1e-9)
        waits = {"source": np.array(self._waits) * 1e9}
        stages = {name: _summary(ns, seconds) for name, ns in (waits | self.stages.lap()).items()}
        latency = _summary(np.array(self._latencies) * 1e9, seconds)
        line = {
            "position": position,
            "time": round(time.time(), 3),
            "elapsed_s": round(now - self.start, 3),
            "rows_per_s": round((position - self._lap_position) / seconds, 1),
            "latency_ms": {"p50": latency["p50_ms"], "p99": latency["p99_ms"]},
            "share": {
                "source": round(self._waiting / seconds, 3),
                "stages": round(self._learning / seconds, 3),
            },
            "stages": stages,
            "replayed": self._replayed,
            "throttled": self._throttled,
            "resident_bytes": self._process.memory_info().rss,
        }
        self._lap_start, self._lap_position = now, position
        self._waiting = self._learning = 0.0
        self._replayed = self._throttled = 0
        self._latencies.clear()
        self._waits.clear()
        return line


def _summary(ns: NDArray[Any], seconds: float) -> dict[str, float]:
    """Return median and 99th percentile of some times, and their share of an interval."""
    p50, p99 = np.percentile(ns, [50, 99]).tolist() if len(ns) else (0.0, 0.0)
    share = float(ns.sum()) / 1e9 / seconds
    return {"p50_ms": round(p50 / 1e6, 3), "p99_ms": round(p99 / 1e6, 3), "share": round(share, 4)}
