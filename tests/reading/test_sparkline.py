from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.reading.live.sparkline import BLOCKS, sparkline
from streamreplay.reading.log_sample import EvenSample

VALUES = st.lists(st.floats(0, 1), max_size=200)


@given(VALUES, st.integers(0, 60))
def test_a_line_is_as_long_as_there_is_something_to_say(values: list[float], width: int) -> None:
    drawn = sparkline(values, width)
    assert len(drawn) == min(len(values), width)
    assert set(drawn) <= set(BLOCKS)


@given(VALUES.filter(lambda values: len(values) > 1 and max(values) - min(values) > 0.05))
def test_more_is_never_drawn_lower(values: list[float]) -> None:
    levels = [BLOCKS.index(block) for block in sparkline(values, len(values))]
    pairs = sorted(zip(values, levels, strict=True))
    assert [level for _, level in pairs] == sorted(levels)
    assert (min(levels), max(levels)) == (0, 7)


def test_what_is_nearly_level_looks_level() -> None:
    assert sparkline([0.5, 0.5, 0.5], 3) == "▅▅▅"
    assert len(set(sparkline([0.9, 0.901, 0.899], 3))) <= 2
    assert sparkline([5.0, 5.0], 2, span=0.0) == "▅▅"
    assert sparkline([0.9, 0.901, 0.899], 3, span=0.0) == "▅█▁"


@given(st.integers(0, 500), st.integers(2, 9))
def test_a_curve_keeps_evenly_many(n: int, most: int) -> None:
    curve = EvenSample[int](2 * most + 1)
    for value in range(n):
        curve.add(value)
    assert len(curve.kept) <= 2 * most
    assert len(curve.kept) >= min(n, most // 2)
    steps = {b - a for a, b in zip(curve.kept, curve.kept[1:], strict=False)}
    assert len(steps) <= 1
    assert not n or curve.kept[0] == 0


@pytest.mark.parametrize("n", [0, 1])
def test_little_to_draw(n: int) -> None:
    assert len(sparkline([0.5] * n, 10)) == n
