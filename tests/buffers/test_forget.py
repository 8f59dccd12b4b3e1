"""Deleting rows on request: which are left, and what fills the room.

Each test fails a correct program once in 10,000 choices of seeds at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.buffers import ClassBalancedBuffer, ExemplarsBuffer, ReservoirSamplingBuffer
from tests.buffers.sampling import FALSE_ALARM, feed, p_value

KINDS = [ReservoirSamplingBuffer, ClassBalancedBuffer]
each_kind = pytest.mark.parametrize("kind", KINDS)


def stored(buffer: ExemplarsBuffer) -> list[int]:
    return sorted(buffer.buffer.t.tolist())


@each_kind
def test_what_is_left_is_uniform_and_stays_so(kind: Any) -> None:
    """Every third row is forgotten; the rest, and what comes later, is a fair sample.

    Sizes differ from run to run, so no share is taken off.
    """
    at_once: list[int] = []
    later: list[int] = []
    for run in range(250):
        buffer = feed(kind(20, run), np.zeros(300, int), 60)
        buffer.forget(where=lambda rows: rows.t % 3 == 0)
        at_once += [t // 3 * 2 + t % 3 - 1 for t in buffer.buffer.t.tolist()]
        feed(buffer, np.zeros(200, int), 40, start=300)
        assert buffer.uniform_since == 0
        later += [t // 3 * 2 + t % 3 - 1 if t < 300 else t - 100 for t in buffer.buffer.t.tolist()]
    assert p_value(at_once, 200, 10) > FALSE_ALARM / 2
    assert p_value(later, 400, 10) > FALSE_ALARM / 2


@each_kind
def test_the_room_is_filled_as_slowly_as_rows_are_accepted(kind: Any) -> None:
    """5 of 50 rows are stored: when 2 are forgotten a new row comes in by 5/51, not by 6/51 or 1.

    Up to 15 new rows a run, so that the buffer is full again in few: their number is Beta-binomial
    of (15, 5, 46) in mean 1.47 and standard deviation 1.30, and at most 2 of them find room. Those
    that come in at all do so by 1 - B(5, 61) / B(5, 46).
    """
    runs = 800
    came = 0
    for run in range(runs):
        buffer = feed(kind(5, run), np.zeros(50, int), 50)
        buffer.forget(ids=buffer.buffer.id[:2])
        assert len(buffer) == 3
        came += (feed(buffer, np.zeros(15, int), 5, start=50).buffer.t >= 50).any()
    none = np.prod([(46 + i) / (51 + i) for i in range(15)])
    assert abs(came / runs - (1 - none)) < 4 * np.sqrt(none * (1 - none) / runs)


@each_kind
def test_by_id_and_by_any_rule(kind: Any) -> None:
    buffer = feed(kind(30), np.arange(20) % 2, 20)
    assert buffer.forget(ids=[3, 5, 999]) == 2
    assert buffer.forget(ids=7) == 1
    assert buffer.forget(ids=["8"]) == 1
    assert buffer.forget(ids=[]) == 0
    assert buffer.forget(where=lambda rows: rows.y == 0) == 9
    assert stored(buffer) == [1, 9, 11, 13, 15, 17, 19]
    assert [len(rows) for rows in buffer.buffer_groups.values()] == [7]
    assert buffer.seen == 20
    assert buffer.forget(where=lambda rows: np.ones(len(rows), bool)) == 7
    assert (len(buffer), buffer.buffer_groups) == (0, {})
    assert kind(3).forget(ids=[1]) == 0


def test_bytes_of_what_is_forgotten_are_overwritten() -> None:
    buffer = ReservoirSamplingBuffer(10)
    buffer.update(
        Batch.from_arrays(np.full((10, 2), 7.0), [3] * 10, id=["secret"] * 10, time=[9] * 10)
    )
    buffer.forget(where=lambda rows: np.ones(len(rows), bool))
    for column in (*buffer._store._columns.values(), *buffer._store.extra.values()):
        assert not column.tobytes().strip(b"\0")


def test_a_pending_row_can_be_forgotten() -> None:
    buffer = ReservoirSamplingBuffer(10)
    batch = Batch.from_arrays(np.zeros((4, 1)), [0] * 4, id=[1, 2, 3, 4])
    for _ in buffer([batch]):
        assert buffer.forget(ids=[2]) == 1
    assert buffer.buffer.id is not None
    assert sorted(buffer.buffer.id.tolist()) == ["1", "3", "4"]


@pytest.mark.parametrize("ids", [[5, 6, 7], ["5", "6", "7"], ["5", 6, "seven"]])
@pytest.mark.parametrize("wanted", [[5], ["5"], np.array([5], np.uint8), np.array(["5"]), ["5", 9]])
def test_a_number_and_its_digits_are_one_id(ids: Any, wanted: Any) -> None:
    buffer = ReservoirSamplingBuffer(10)
    buffer.update(Batch.from_arrays(np.zeros((3, 1)), [0] * 3, id=ids))
    assert buffer.forget(ids=["05", "5.0", ""]) == 0
    assert buffer.forget(ids=wanted) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "exactly one of ids and where must be given, got neither"),
        ({"ids": [1], "where": len}, ValueError, "of ids and where must be given, got both"),
        ({"where": lambda rows: rows.y}, TypeError, "where must return booleans, got int64"),
        ({"where": lambda _: np.array([True])}, ValueError, r"bool\[9\], got shape \(1,\)"),
        ({"ids": [1]}, ValueError, "rows have no ids: name their field"),
    ],
)
def test_what_cannot_be_asked(arguments: Any, error: type[Exception], message: str) -> None:
    buffer = ReservoirSamplingBuffer(20)
    buffer.update(Batch.from_arrays(np.zeros((9, 1)), [0] * 9))
    with pytest.raises(error, match=message):
        buffer.forget(**arguments)
    assert len(buffer) == 9


def test_a_row_that_comes_is_no_likelier_to_stay_than_an_old_one() -> None:
    """2 of 50 rows are stored, one is forgotten: the next one gets in by 2/51, not by 3/51.

    The chance is the second smallest of 50 keys. Over 4,000 runs the share is in error by less than
    4 x 0.0031 but for once in 10,000.
    """
    taken = 0
    for run in range(4000):
        buffer = feed(ReservoirSamplingBuffer(2, run), np.zeros(50, int), 50)
        assert buffer.forget(where=lambda stored: stored.t == stored.t.min()) == 1
        taken += len(feed(buffer, np.zeros(1, int), 1, start=50)) == 2
    assert abs(taken / 4000 - 2 / 51) < 4 * 0.0031
