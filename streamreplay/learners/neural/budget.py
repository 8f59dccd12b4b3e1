"""Limit the share of a learner's time that goes into rehearsal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, final

from streamreplay.records import Rehearsal
from streamreplay.state import PART, SETTING, Fields, Kind, State, within

_NEWEST = 0.1  # weight of the latest pass in the mean time of a row


@final
class ReplayBudget:
    """Limit how many of the rows drawn for a batch are rehearsed, to keep to a budget.

    Rehearsal earns credit as time passes, while the learner waits too, and spends it by the time
    that it takes. So a slow stream gets all of its rehearsal, because credit comes in while it
    waits. A fast stream gets as many rows of memory as there is time for: first passes are left
    out, then rows of the last pass. This is decided for each batch, as the load changes. Incoming
    rows are always learned from.

    The time of a training pass is divided evenly among its rows; the part of its memory rows is
    rehearsal. Passes after the first are rehearsal as a whole, because they would not take place
    without replay. This overestimates rehearsal a little, because some costs of a pass do not
    depend on its rows.

    Within any time T, rehearsal takes at most ``share`` (T + ``horizon``), plus the time by which
    one batch took longer than expected. Credit is limited to that of ``horizon`` seconds, and debts
    are paid off before anything is rehearsed again. The same holds for ``rows_per_second``, exactly
    to the row.

    Decisions depend on the clock, so no two runs with a budget are the same. A state holds the
    credit and the measured cost; time that passes between saving and loading earns nothing.

    Parameters
    ----------
    share : float, optional
        Share of wall time, in (0, 1).
    rows_per_second : float, optional
        In place of ``share``: memory rows learned from, over all passes, per second of wall time.
    horizon : float
        Seconds for which unused time is kept as credit.
    clock : callable
        Returns seconds that never decrease.

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

    _STATE: ClassVar = Fields(_timed=SETTING, credit=float, _row_seconds=float | None)

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
        """Seconds, or rows, that may be spent; negative while there are debts."""
        self._timed = share is not None
        self._rate = share or rows_per_second or 0.0  # of credit per second
        self._clock = clock
        self._seen: float | None = None  # the clock when credit was last added
        self._began = 0.0  # the clock when the present batch began
        self._planned = (1, 1, 0)  # incoming rows, passes and memory rows in each
        self._row_seconds: float | None = None  # mean time of a row in a pass

    def allow(self, rehearsal: Rehearsal) -> tuple[Rehearsal, int]:
        """Begin a batch: leave out passes and rows of memory for which there is no credit.

        Candidates that a learner chooses from are reduced in the same proportion as rows.

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
        """Start the clock of the batch here: what was done for it before was not training."""
        self._began = self._clock()

    def done(self) -> None:
        """End the batch, after all of its planned passes, and charge their time."""
        n, passes, k = self._planned
        of_pass = (self._clock() - self._began) / passes
        of_row = of_pass / (n + k)
        if self._row_seconds is None:
            self._row_seconds = of_row
        self._row_seconds += _NEWEST * (of_row - self._row_seconds)
        self.credit -= of_row * k + of_pass * (passes - 1) if self._timed else passes * k

    def state_dict(self) -> State:
        """Return the credit and the mean time of a row."""
        return self._STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load credit and costs.

        Raises
        ------
        CheckpointError
            The state is of the other kind of budget.
        """
        self._STATE.load(self, state)
        self.credit = min(self.credit, self._rate * self.horizon)
        self._seen = None

    def _afford(self, n: int, steps: int, k: int) -> tuple[int, int]:
        row = self._row_seconds if self._timed else 1.0
        if not (k or self._timed):
            return steps, 0  # passes without memory rows are free
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


def _load(name: str, live: ReplayBudget | None, saved: State | None) -> ReplayBudget | None:
    if live is not None and saved is not None:
        with within(name):
            live.load_state_dict(saved)
    return live


BUDGET = Kind(PART.save, _load)
"""A budget or None in a state; a run may be resumed with another one, which starts afresh."""
