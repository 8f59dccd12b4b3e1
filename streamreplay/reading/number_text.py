"""Numbers as text for a person: shares, differences, row counts, bytes."""

from __future__ import annotations

import math

_SPACE = "\N{NO-BREAK SPACE}"
_LEAST = 1e-4  # per cent; smaller shares are written as 0
_MINUS = "\N{MINUS SIGN}"


def percent(value: float) -> str:
    r"""Write a share in per cent, with one decimal or as many as tell it from 0 and 100.

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
    r"""Write a share at an axis, without ".0".

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
    """Write a number with four significant digits, and a number from 1,000 on without decimals.

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
    """Write a number with k, M or G for thousands, millions and billions.

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
    r"""Write a number of bytes in kB, MB or GB.

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
    """Join parts with commas, and the last with "and".

    Examples
    --------
    >>> and_list(["a"]), and_list(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
