"""Where experiences begin, told by an obvious loop over rows."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.ingest import Experiences

CUTS = st.lists(st.integers(1, 6), min_size=1, max_size=20)


def cut(sizes: list[int], time: list[float] | None = None) -> list[Batch]:
    n = sum(sizes)
    whole = Batch.from_arrays(np.zeros((n, 1)), experience=7, time=None if time is None else time)
    ends = [0, *np.cumsum(sizes).tolist()]
    return [whole.take(slice(start, stop)) for start, stop in pairwise(ends)]


def numbers(stage: Experiences, batches: list[Batch]) -> list[int]:
    out = []
    for batch in stage(batches):
        (number,) = set(batch.experience.tolist())
        out.append(number)
    return out


@given(sizes=CUTS, rows=st.integers(1, 9), told=st.sets(st.integers(0, 20)))
def test_by_count_and_when_told(sizes: list[int], rows: int, told: set[int]) -> None:
    stage, got, want = Experiences(rows=rows), [], []
    number, before, start = 0, 0, 0
    for place, batch in enumerate(stage(cut(sizes))):
        got.append(int(batch.experience[0]))
        boundaries = [b for b in range(before + 1, start + 1) if b % rows == 0]
        if place and (boundaries or place - 1 in told):
            number += 1
        want.append(number)
        before, start = start, start + len(batch)
        if place in told:
            stage.begin()
    assert got == want
    assert stage.experience == number


@given(
    sizes=CUTS,
    times=st.lists(st.integers(-40, 400) | st.none(), min_size=120, max_size=120),
    quarters=st.integers(1, 60),
)
def test_by_time(sizes: list[int], times: list[int | None], quarters: int) -> None:
    seconds = quarters / 4
    column = [np.nan if each is None else each / 4 for each in times[: sum(sizes)]]
    batches = cut(sizes, column)
    want, number, first, next_at = [], 0, None, 0.0
    for batch in batches:
        known = [each for each in batch.time.tolist() if not np.isnan(each)]  # type: ignore[union-attr]
        if known and first is None:
            first = known[0]
            next_at = first + seconds
        if known and known[0] >= next_at and first is not None:
            number += 1
            while known[0] >= next_at:
                next_at += seconds
        want.append(number)
    assert numbers(Experiences(seconds=seconds), batches) == want


@given(sizes=CUTS, rows=st.integers(1, 9), stop=st.integers(0, 20))
def test_it_goes_on_where_it_was(sizes: list[int], rows: int, stop: int) -> None:
    batches = cut(sizes)
    unbroken, stopped, fresh = (Experiences(rows=rows) for _ in range(3))
    want = numbers(unbroken, batches)
    got = numbers(stopped, batches[:stop])
    fresh.load_state_dict(copy.deepcopy(stopped.state_dict()))
    assert got + numbers(fresh, batches[stop:]) == want
    assert fresh.state_dict() == unbroken.state_dict()


def test_all_else_of_a_batch_stays() -> None:
    (batch,) = cut([3])
    held_out = replace(batch, held_out="test")
    first, second = Experiences()([batch, held_out])
    assert first.x is batch.x
    assert first.t is batch.t
    assert batch.experience.tolist() == [7, 7, 7]
    assert second is held_out


def test_what_begins_before_the_first_row_is_the_first_experience() -> None:
    stage = Experiences()
    stage.begin()
    assert numbers(stage, cut([1, 1])) == [0, 0]
    stage.begin()
    stage.begin()
    assert numbers(stage, cut([1, 1])) == [1, 1]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^rows and seconds exclude each other, got 3 and 2$"):
        Experiences(rows=3, seconds=2)
    with pytest.raises(ValueError, match=r"^rows must be at least 1, got 0$"):
        Experiences(rows=0)
    with pytest.raises(ValueError, match=r"^seconds must be above 0 and finite, got 0$"):
        Experiences(seconds=0)
    with pytest.raises(ConfigError, match=r"^experiences\.seconds: rows have no time"):
        numbers(Experiences(seconds=3), cut([2]))
    with pytest.raises(CheckpointError, match=r"^rows: saved 3, this pipeline has 4$"):
        Experiences(rows=4).load_state_dict(Experiences(rows=3).state_dict())
