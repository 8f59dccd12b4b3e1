"""Count every row that came by what became of it: learned, predicted only, put aside, ..."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, final

import numpy as np

from streamreplay.records import Report

__all__ = [
    "STRETCH",
    "PutAside",
    "RowCounts",
    "RowLedger",
    "most_common",
    "reason_group",
    "reason_texts",
    "reasons_text",
]

STRETCH = 10_000
"""Records in a row, of which `PutAside.worst` counts those put aside."""

OTHER = "other reasons"
_MOST_REASONS = 100  # groups; reasons of further ones are counted together
_SHOWN = 3  # groups in a message
_MOST_TEXT = 160  # characters of a group
_NAMED = ("feature ", "target ")  # what a name in quotes follows, which is no value
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*(?:'|\.\.\.$)|"(?:[^"\\]|\\.)*(?:"|\.\.\.$)""")
_NUMBER = re.compile(r"(?<![\w'\"])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\w)")


@lru_cache(1024)
def reason_group(reason: str) -> str:
    """Return what a reason has in common with the same one for other values, columns kept.

    Examples
    --------
    >>> reason_group("line has 3 cells, expected 4")
    'line has N cells, expected N'
    >>> reason_group("feature 'x 1' is not a number: 'abc'"), reason_group("id 'a' is too long")
    ("feature 'x 1' is not a number", 'id … is too long')
    """
    names: list[str] = []

    def hide(found: re.Match[str]) -> str:
        if not reason[: found.start()].endswith(_NAMED):
            return "…"
        names.append(found[0])
        return "\0"

    text = _NUMBER.sub("N", _QUOTED.sub(hide, reason))
    if not text.startswith(("not JSON: ", "not CSV: ")):
        text = text.partition(": ")[0]
    for name in names[: text.count("\0")]:
        text = text.replace("\0", name, 1)
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"


def most_common(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return reasons and how often each was given, the most frequent first."""
    return sorted(reasons.items(), key=lambda each: -each[1])


def reasons_text(reasons: Mapping[str, int], first_line: int) -> str:
    """Write the most frequent reasons, and where the first record was that was put aside.

    Examples
    --------
    >>> reasons_text({"not UTF-8": 5}, 7)
    'not UTF-8; the first, line 7'
    >>> reasons_text({"not UTF-8": 5, "id is missing": 9, "a": 3, "b": 1}, 7)
    '9x id is missing; 5x not UTF-8; 3x a; 1 for other reasons; the first, line 7'
    """
    return "; ".join(reason_texts(reasons, first_line))


def reason_texts(reasons: Mapping[str, int], first_line: int) -> list[str]:
    """Return the parts of `reasons_text`."""
    common = most_common(reasons)
    parts = [f"{rows:,}x {reason}" for reason, rows in common[:_SHOWN]]
    if len(common) == 1:
        parts = [common[0][0]]
    rest = sum(rows for _, rows in common[_SHOWN:])
    if rest:
        parts.append(f"{rest:,} for other reasons")
    return [*parts, f"the first, line {first_line:,}"]


@final
class PutAside:
    """The records of a source that could not be used: how many, why, and how close together.

    Attributes
    ----------
    count : int
    reasons : dict of str to int
        How many, by `reason_group`; at most 100 groups, and one of all others.
    worst : int
        Most of them among any 10,000 records in a row.
    first_line : int
        Line of the first, counted from 1; 0 while there is none.

    Examples
    --------
    >>> aside = PutAside()
    >>> aside.add("line has 3 cells, expected 2", record=4, line=6)
    >>> aside.count, aside.reasons, aside.first_line
    (1, {'line has N cells, expected N': 1}, 6)
    """

    def __init__(self) -> None:
        self.count = 0
        self.reasons: dict[str, int] = {}
        self.worst = 0
        self.first_line = 0
        self._recent: deque[int] = deque()  # those among the last STRETCH records

    def add(self, reason: str, *, record: int, line: int) -> None:
        """Count a record: the one of that number, from 0, among all that came."""
        self.count += 1
        self.first_line = self.first_line or line
        group = reason_group(reason)
        if group not in self.reasons and len(self.reasons) >= _MOST_REASONS:
            group = OTHER
        self.reasons[group] = self.reasons.get(group, 0) + 1
        recent = self._recent
        recent.append(record)
        while recent[0] <= record - STRETCH:
            recent.popleft()
        self.worst = max(self.worst, len(recent))

    def state_dict(self) -> dict[str, Any]:
        """Return all counts."""
        return {
            "count": self.count,
            "reasons": dict(self.reasons),
            "worst": self.worst,
            "first_line": self.first_line,
            "recent": np.array(self._recent, np.int64),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state."""
        self.count, self.worst = int(state["count"]), int(state["worst"])
        self.first_line = int(state["first_line"])
        self.reasons = {str(reason): int(rows) for reason, rows in state["reasons"].items()}
        self._recent = deque(state["recent"].tolist())


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
