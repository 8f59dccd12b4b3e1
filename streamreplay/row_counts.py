"""Count every row that came by what became of it: learned, predicted only, put aside, ..."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np

from streamreplay.late import Late
from streamreplay.put_aside import PutAside, most_common
from streamreplay.records import LateRows, Report
from streamreplay.state import whole

__all__ = ["LabelRecords", "RowCounts", "RowLedger"]


@dataclass(frozen=True)
class LabelRecords:
    """The records of a stream that bring labels of earlier rows, by what became of them.

    Attributes
    ----------
    joined : int
        They found their event, which was learned.
    repeated : int
        Their event had a label already.
    without_event : int
        Their event never came, or was given up; they are put aside.
    given_up : int
        Events that were given up before a label came.
    """

    joined: int
    repeated: int
    without_event: int
    given_up: int

    def as_fields(self) -> dict[str, int]:
        """Return the fields of a record of kind ``rows``."""
        total = self.joined + self.repeated + self.without_event
        return {"label_records": total, **asdict(self)}


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
        Without a fate so far: rows that `LateLabels` or `DelayedLabels` holds until their label
        comes, and rows that no report has accounted for yet.
    put_aside : int
        Records that could not be used, labels without event among them.
    skipped : int
        Predicted; all their training steps were left out, as the loss was not finite.
    why : PutAside
        More about those put aside.
    labels : LabelRecords or None
        Records with the label of an earlier row, which are no rows; None where there are none.
    """

    learned: int
    predicted_only: int
    withheld: int
    pending: int
    put_aside: int
    skipped: int
    why: PutAside = field(repr=False, compare=False)
    labels: LabelRecords | None = None

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
            **({} if self.labels is None else self.labels.as_fields()),
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
        self._late = np.zeros(4, np.int64)  # events, labels joined, repeated, without event

    def add(self, report: Report) -> None:
        """Count the rows of a report. With several learners, a row is learned if one has."""
        scored = report.scored
        if scored is None:
            return
        learned = scored.learned or any(each.learned for each in report.by_learner.values())
        if scored.late is not None:
            self._add_late(scored.late, learned=learned)
            return
        batch = scored.incoming
        n = len(batch.y)
        labelled = int(np.count_nonzero(batch.y >= 0))
        self._unlabelled += n - labelled
        if batch.withheld is not None:
            withheld = int(np.count_nonzero(batch.withheld))
            self._withheld += withheld
            labelled -= withheld
        if learned:
            self._learned += labelled
        else:
            self._skipped += labelled

    def _add_late(self, late: LateRows, *, learned: bool) -> None:
        """Count records of which some are events, and some the labels of earlier ones."""
        joined = int(np.count_nonzero(late.kind == Late.LABEL))
        events = int(np.count_nonzero(late.events))
        self._late += (events, joined, late.repeated, late.without_event)
        self._withheld += late.withheld
        if learned:
            self._learned += late.learned
        else:
            self._skipped += late.learned

    def counts(
        self,
        position: int,
        held: int = 0,
        why: PutAside | None = None,
        given_up: int | None = None,
    ) -> RowCounts:
        """Return the counts of a stream.

        Parameters
        ----------
        position : int
            Rows taken in so far.
        held : int
            Rows that are held until their label comes; they were predicted.
        why : PutAside, optional
            The records that were put aside, in the source and for want of an event.
        given_up : int, optional
            Events that were given up before their label came; None if labels come in time.
        """
        labelled = self._learned + self._withheld + self._skipped
        events, joined, repeated, without = map(int, self._late)
        seen = labelled + self._unlabelled
        unlabelled = self._unlabelled
        if self._late.any():  # each record is an event, or the label of one
            seen, unlabelled = events + joined + repeated + without, events - labelled
        why = PutAside() if why is None else why
        return RowCounts(
            learned=self._learned,
            predicted_only=unlabelled - held,
            withheld=self._withheld,
            pending=position - seen + held,
            put_aside=why.count,
            skipped=self._skipped,
            why=why,
            labels=None if given_up is None else LabelRecords(joined, repeated, without, given_up),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "learned": self._learned,
            "unlabelled": self._unlabelled,
            "withheld": self._withheld,
            "skipped": self._skipped,
            "late": self._late.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state."""
        self._learned, self._unlabelled, self._withheld, self._skipped = (
            whole(name, state[name]) for name in ("learned", "unlabelled", "withheld", "skipped")
        )
        self._late[:] = [whole("late", each) for each in state["late"]]
