"""Count every row that came by what became of it: learned, predicted only, put aside, ..."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from streamreplay.put_aside import PutAside, most_common
from streamreplay.records import Report

__all__ = ["RowCounts", "RowLedger"]


@dataclass(frozen=True)
class RowCounts:
    """The rows that came, each counted once, by what became of it last.

    Attributes
    ----------
    learned : int
        Predicted, then learned.
    predicted_only : int
        Predicted; they have no label.
    withheld : int
        Predicted and scored, but kept from learning by `Probe`.
    pending : int
        Without a fate so far: rows without a label that `LateLabels` holds, and rows that no report
        has accounted for yet.
    put_aside : int
        Records that could not be used.
    skipped : int
        Predicted; all their training steps were left out, as the loss was not finite.
    why : PutAside
        More about those put aside.
    """

    learned: int
    predicted_only: int
    withheld: int
    pending: int
    put_aside: int
    skipped: int
    why: PutAside = field(repr=False, compare=False)

    @property
    def rows_in(self) -> int:
        """The sum of all six."""
        return self.labelled + self.predicted_only + self.pending + self.put_aside

    @property
    def labelled(self) -> int:
        """Rows with a label: learned, withheld or skipped."""
        return self.learned + self.withheld + self.skipped

    @property
    def share_put_aside(self) -> float:
        """Share of all rows that were put aside; 0 if none came."""
        return self.put_aside / max(self.rows_in, 1)

    def as_record(self, position: int) -> dict[str, Any]:
        """Return the record of kind ``rows`` of metrics.jsonl.

        Parameters
        ----------
        position : int
            Rows of the stream so far.
        """
        record: dict[str, Any] = {
            "kind": "rows",
            "position": position,
            "rows_in": self.rows_in,
            "learned": self.learned,
            "predicted_only": self.predicted_only,
            "withheld": self.withheld,
            "pending": self.pending,
            "put_aside": self.put_aside,
            "skipped": self.skipped,
            "put_aside_share": self.share_put_aside,
        }
        if not self.put_aside:
            return record
        return {
            **record,
            "put_aside_worst": self.why.worst,
            "first_line": self.why.first_line,
            "put_aside_by_reason": dict(most_common(self.why.reasons)),
        }


@final
class RowLedger:
    """Counts the rows of reports by what became of them.

    Examples
    --------
    >>> import numpy as np
    >>> from streamreplay.batch import Batch
    >>> from streamreplay.records import Scored
    >>> batch = Batch.from_arrays([[0.0], [1.0], [2.0]], [0, 1, -1])
    >>> scored = Scored(batch, np.array([0, 0, 1]), np.ones(3, "f4"), np.zeros(3, "f4"))
    >>> ledger = RowLedger()
    >>> ledger.add(Report(scored))
    >>> counts = ledger.counts(position=3)
    >>> counts.learned, counts.predicted_only, counts.rows_in
    (2, 1, 3)
    """

    def __init__(self) -> None:
        self._learned = 0
        self._unlabelled = 0
        self._withheld = 0
        self._skipped = 0

    def add(self, report: Report) -> None:
        """Count the rows of a report. With several learners, a row is learned if one has."""
        scored = report.scored
        if scored is None:
            return
        batch = scored.incoming
        n = len(batch.y)
        labelled = int(np.count_nonzero(batch.y >= 0))
        self._unlabelled += n - labelled
        if batch.withheld is not None:
            withheld = int(np.count_nonzero(batch.withheld))
            self._withheld += withheld
            labelled -= withheld
        if scored.learned or any(each.learned for each in report.by_learner.values()):
            self._learned += labelled
        else:
            self._skipped += labelled

    def counts(self, position: int, held: int = 0, why: PutAside | None = None) -> RowCounts:
        """Return the counts of a stream.

        Parameters
        ----------
        position : int
            Rows taken in so far.
        held : int
            Rows without a label that are held until it comes; they were predicted.
        why : PutAside, optional
            The records that the source put aside.
        """
        seen = self._learned + self._unlabelled + self._withheld + self._skipped
        why = PutAside() if why is None else why
        return RowCounts(
            learned=self._learned,
            predicted_only=self._unlabelled - held,
            withheld=self._withheld,
            pending=position - seen + held,
            put_aside=why.count,
            skipped=self._skipped,
            why=why,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "learned": self._learned,
            "unlabelled": self._unlabelled,
            "withheld": self._withheld,
            "skipped": self._skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state."""
        self._learned, self._unlabelled = int(state["learned"]), int(state["unlabelled"])
        self._withheld, self._skipped = int(state["withheld"]), int(state["skipped"])
