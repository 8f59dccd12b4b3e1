"""How much of a learner's time may go into rehearsal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import final

from streamreplay.records import Rehearsal
from streamreplay.state import State, expect

__all__ = ["NoBudget", "ReplayBudget"]

_NEWEST = 0.1  # weight of the newest pass in the mean time of a row


@final
class ReplayBudget:
    """Decides how much of what was drawn for a batch is rehearsed, so that a budget is kept.

    Rehearsal earns credit by the clock, waiting included, and spends it by what it takes. So a slow
    stream gets all its rehearsal: while it waits, credit comes in. A fast one gets as many rows of
    memory as fit, first fewer passes and then fewer rows in the pass that is left; that batch by
    batch, as the load changes. Incoming rows are always learned from.

    The time of a training pass is shared out evenly over its rows: that of its memory rows is
    rehearsal. Passes beyond the first would not be without replay: they are rehearsal as a whole.
    This rather charges rehearsal too much, as a pass has costs that do not depend on its rows.

    Over any stretch of time T the rehearsal is at most ``share`` (T + ``horizon``), and what one
    batch took longer than expected: credit is kept up to ``horizon`` seconds' worth, and debts are
    paid off before anything is rehearsed again. Likewise with ``rows_per_second``, to the row.

    As decisions depend on the clock, no two runs with a budget are the same. A state carries over
    the credit and the measured cost; time that passes between saving and loading earns nothing.

    Parameters
    ----------
    share : float, optional
        Share of wall time, in (0, 1).
    rows_per_second : float, optional
        Instead of it: memory rows learned from, over all passes, per second of wall time.
    horizon : float
        Seconds; how far back unused time is made use of.
    clock : callable
        Returns seconds that only go up.

    Raises
    ------
    ValueError
        Not exactly one of ``share`` and ``rows_per_second`` is given, or a number is out of range.

    Examples
    --------
    A batch of 10 rows and 10 rows of memory takes 2 s, of which rehearsal may have a quarter:

    >>> now = 0.0
    >>> budget = ReplayBudget(0.25, clock=lambda: now)
    >>> rows = []
    >>> for _ in range(6):
    ...     passes, k = budget.plan(10, 1, 10)
    ...     now += 0.1 * (10 + k)
    ...     budget.done()
    ...     rows.append(k)
    >>> rows
    [0, 2, 3, 3, 3, 4]
    """

    def __init__(
        self,
        share: float | None = None,
        *,
        rows_per_second: float | None = None,
        horizon: float = 10.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if (share is None) == (rows_per_second is None):
            raise ValueError(
                "a budget is either share or rows_per_second, got "
                f"share={share}, rows_per_second={rows_per_second}"
            )
        if share is not None and not 0 < share < 1:
            raise ValueError(f"share must be above 0 and below 1, got {share}")
        for name, value in (("rows_per_second", rows_per_second), ("horizon", horizon)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        self.horizon = horizon
        self.credit = 0.0
        """Seconds, or rows, that may be spent; below 0 while there are debts."""
        self._timed = share is not None
        self._rate = share or rows_per_second or 0.0  # of credit per second
        self._clock = clock
        self._seen: float | None = None  # the clock, when credit last came in
        self._began = 0.0  # the clock, when the present batch began
        self._planned = (1, 1, 0)  # incoming rows, passes and memory rows in each
        self._row_seconds: float | None = None  # mean time of a row in a pass

    def allow(self, rehearsal: Rehearsal) -> tuple[Rehearsal, int]:
        """Begin a batch: leave out passes and rows of memory for which there is no credit.

        Of candidates, among which a learner chooses, as many are left as rows in proportion.

        Returns
        -------
        rehearsal : Rehearsal
        throttled : int
            Memory rows left out, over all passes.
        """
        steps, k = rehearsal.rows.shape
        passes, rows = self.plan(len(rehearsal.incoming), steps, k)
        if (passes, rows) == (steps, k):
            return rehearsal, 0
        candidates = rehearsal.candidates
        if candidates is not None:
            left = candidates.shape[1] * rows // k if k else 0
            candidates = candidates[:passes, :left]
        allowed = replace(
            rehearsal,
            rows=rehearsal.rows[:passes, :rows],
            group=rehearsal.group[:passes, :rows],
            candidates=candidates,
        )
        return allowed, steps * k - passes * rows

    def plan(self, n: int, steps: int, k: int) -> tuple[int, int]:
        """Return how many passes to take for a batch, and how many memory rows in each.

        Parameters
        ----------
        n : int
            Incoming rows, at least 1.
        steps : int
            Passes that were drawn, at least 1.
        k : int
            Memory rows that were drawn for each.

        Returns
        -------
        passes : int
            From 1 to ``steps``; more than 1 only with all of the ``k`` rows.
        rows : int
        """
        self.begin()
        if self._seen is not None:
            self.credit += self._rate * (self._began - self._seen)
            self.credit = min(self.credit, self._rate * self.horizon)
        self._seen = self._began
        passes, rows = self._afford(n, steps, k)
        self._planned = n, passes, rows
        return passes, rows

    def begin(self) -> None:
        """Measure from here: what was done for the batch before was no training."""
        self._began = self._clock()

    def done(self) -> None:
        """End the batch, for which all that was planned has been done."""
        n, passes, k = self._planned
        of_pass = (self._clock() - self._began) / passes
        of_row = of_pass / (n + k)
        if self._row_seconds is None:
            self._row_seconds = of_row
        self._row_seconds += _NEWEST * (of_row - self._row_seconds)
        self.credit -= of_row * k + of_pass * (passes - 1) if self._timed else passes * k

    def state_dict(self) -> State:
        """Return the credit and the mean time of a row."""
        return {"timed": self._timed, "credit": self.credit, "row_seconds": self._row_seconds}

    def load_state_dict(self, state: State) -> None:
        """Take over credit and costs.

        Raises
        ------
        CheckpointError
            It is of the other kind of budget.
        """
        expect("timed", state["timed"], self._timed)
        self.credit = min(float(state["credit"]), self._rate * self.horizon)
        self._row_seconds = state["row_seconds"]
        self._seen = None

    def _afford(self, n: int, steps: int, k: int) -> tuple[int, int]:
        row = self._row_seconds if self._timed else 1.0
        if not (k or self._timed):
            return steps, 0  # passes without memory rows cost none of them
        if self.credit <= 0 or row is None:
            return 1, 0
        rows = k if row * k <= self.credit else int(self.credit / row)
        if rows < k or steps == 1:
            return 1, rows
        whole = row * (n + k) if self._timed else row * k
        return 1 + _afford_passes(steps - 1, self.credit - row * k, whole), k


def _afford_passes(most: int, credit: float, cost: float) -> int:
    """Return how many passes of the same cost, at most so many, a credit is enough for."""
    return most if cost * most <= credit else int(credit / cost)


@final
class NoBudget:
    """Allow all rehearsal: the budget of a learner that has none."""

    def allow(self, rehearsal: Rehearsal) -> tuple[Rehearsal, int]:
        """Return the rehearsal as it is, and that nothing was left out."""
        return rehearsal, 0

    def begin(self) -> None:
        """Do nothing."""

    def done(self) -> None:
        """Do nothing."""
