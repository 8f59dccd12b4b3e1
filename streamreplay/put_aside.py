"""Count the records of a source that could not be used, and why."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, final

import numpy as np

__all__ = [
    "OTHER",
    "STRETCH",
    "PutAside",
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
    return [*parts, f"the first, line {first_line:,}"] if first_line else parts


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
        Line of the first, counted from 1; 0 while there is none, or its line is not known.

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

    def joined(self, other: PutAside) -> PutAside:
        """Return the sum of both; `worst` is that of the one that has more in a row."""
        total = PutAside()
        total.count = self.count + other.count
        total.reasons = dict(self.reasons)
        for reason, rows in other.reasons.items():
            total.reasons[reason] = total.reasons.get(reason, 0) + rows
        total.worst = max(self.worst, other.worst)
        total.first_line = self.first_line or other.first_line
        return total

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
