"""A sparkline of values, and spans of time, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
"""Characters from the lowest to the highest value."""

_LEAST_SPAN = 0.05  # of shares; smaller differences look level


def sparkline(
    values: Sequence[float], width: int, *, span: float = _LEAST_SPAN, blocks: str = BLOCKS
) -> str:
    """Return values as a line of blocks. If there are more values than blocks, means are drawn.

    Parameters
    ----------
    values : sequence of float
    width : int
    span : float
        Least difference of values between the lowest and the highest block.
    blocks : str

    Examples
    --------
    >>> sparkline([0.0, 0.1, 0.4, 0.7, 1.0], 10)
    '▁▂▄▆█'
    >>> sparkline([0.0, 0.0, 1.0, 1.0], 2)
    '▁█'
    >>> sparkline([0.901, 0.902, 0.9], 10)
    '▅▅▄'
    """
    n = len(values)
    if not n or width < 1:
        return ""
    edges = [round(i * n / min(n, width)) for i in range(min(n, width) + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    if high - low < span:
        low = (low + high - span) / 2
        high = low + span
    if high == low:
        return blocks[len(blocks) // 2] * len(means)
    levels = [round((mean - low) / (high - low) * (len(blocks) - 1)) for mean in means]
    return "".join(blocks[level] for level in levels)


def ago(seconds: float) -> str:
    """Write a time in the past relative to now.

    Examples
    --------
    >>> ago(0.4), ago(75), ago(7300), ago(200_000)
    ('just now', '75 s ago', '2 h ago', '2 days ago')
    """
    for size, name in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name} ago"
    return "just now" if seconds < 1 else f"{seconds:.0f} s ago"
