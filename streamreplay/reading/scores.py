"""Which score a run is judged by, and how numbers are written for people."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from streamreplay.batch import Objective

__all__ = [
    "OBJECTIVES",
    "SCORES",
    "Score",
    "and_list",
    "compact",
    "number",
    "percent",
    "points",
    "size",
    "tick",
]

_SPACE = "\N{NO-BREAK SPACE}"
_LEAST = 1e-4  # per cent that are told from 0
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Score:
    """A score as it is logged and as it is called.

    Attributes
    ----------
    name : str
        In records of kind ``prequential``.
    title : str
    retained : str
        Its counterpart in records of kind ``retention``.
    retained_title : str
    share : bool
        Whether it is from 0 to 1, and more is better; otherwise it is an error.
    baselines : dict of str to str
        Fields with what to compare with, and what that is called.
    """

    name: str
    title: str
    retained: str
    retained_title: str
    share: bool
    baselines: dict[str, str] = field(default_factory=dict)

    def write(self, value: float | None) -> str:
        """Write a value of it."""
        if value is None or not math.isfinite(value):
            return "-"
        return percent(value) if self.share else number(value)

    def write_difference(self, value: float) -> str:
        """Write how far two values are apart, with a sign."""
        return points(value) if self.share else number(value, sign=True)

    def better(self, one: float, other: float) -> bool:
        """Tell whether one value is better than another."""
        return one > other if self.share else one < other


SCORES: dict[Objective, Score] = {
    "classes": Score(
        *("accuracy", "accuracy", "accuracy", "accuracy", True),
        {"no_change": "repeating the last label", "majority": "the most frequent class"},
    ),
    "numbers": Score(
        *("mae", "mean absolute error", "mae", "mean absolute error", False),
        {"no_change": "repeating the last number", "mean": "the mean so far"},
    ),
    "labels": Score(
        *("exact_match", "exact match", "f1_micro", "F1", True),
        {"no_change": "repeating the last labels", "majority": "the labels most rows had"},
    ),
}
"""The score of each kind of target."""

OBJECTIVES = {score.name: objective for objective, score in SCORES.items()}
"""The kind of target by the field of a prequential record that sums it up."""


def percent(value: float) -> str:
    r"""Write a share.

    Examples
    --------
    >>> percent(0.97123), percent(0.99997), percent(1.0), percent(0.0004)
    ('97.1\xa0%', '99.99\xa0%', '100\xa0%', '0.04\xa0%')
    """
    scaled = 100 * value
    text = f"{scaled:.1f}"
    if text == "100.0" and value < 1:
        text = f"{math.floor(scaled * 100) / 100:.2f}"
    if text in ("0.0", "-0.0") and abs(scaled) >= _LEAST:
        text = f"{scaled:.{math.ceil(-math.log10(abs(scaled)))}f}".rstrip("0")
    text = text.removesuffix(".0") if text in ("100.0", "0.0", "-0.0") else text
    return f"{text.removeprefix('-') if text == '-0' else text.replace('-', _MINUS)}{_SPACE}%"


def tick(value: float) -> str:
    r"""Write a share beside an axis.

    Examples
    --------
    >>> tick(0.25), tick(0.125), tick(0.0004)
    ('25\xa0%', '12.5\xa0%', '0.04\xa0%')
    """
    return percent(value).replace(f".0{_SPACE}", _SPACE)


def points(value: float) -> str:
    """Write a difference of shares, in percentage points.

    Examples
    --------
    >>> points(0.0312), points(0.2)
    ('+3.1', '+20.0')
    """
    return f"{100 * value:+.1f}".replace("-", _MINUS)


def number(value: float, *, sign: bool = False, digits: int = 4) -> str:
    """Write any number with as many digits as are of use, and a large one whole.

    Examples
    --------
    >>> number(1234567.0), number(12.3456), number(0.00012346), number(1.5, sign=True)
    ('1,234,567', '12.35', '0.0001235', '+1.5')
    """
    plus = "+" if sign else ""
    if value == 0 or not math.isfinite(value):
        text = f"{value:{plus}g}"
    elif abs(value) >= 1000:
        text = f"{value:{plus},.0f}"
    elif abs(value) >= 1e-4:
        behind = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:{plus}.{behind}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:{plus}.3g}"
    return text.replace("-", _MINUS)


def compact(value: float) -> str:
    """Write a number of rows in little room.

    Examples
    --------
    >>> [compact(value) for value in (0, 950, 12_000, 12_500, 3e6, 1.25e9)]
    ['0', '950', '12k', '12.5k', '3M', '1.25G']
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def size(value: float) -> str:
    r"""Write a number of bytes.

    Examples
    --------
    >>> size(2_500_000), size(3.2e9)
    ('2.5\xa0MB', '3.2\xa0GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.3g}{_SPACE}{name}"
    return f"{value:.0f}{_SPACE}B"


def and_list(parts: list[str]) -> str:
    """Join parts as in a sentence.

    Examples
    --------
    >>> and_list(["a"]), and_list(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
