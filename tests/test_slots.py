"""Rows held by key."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from streamreplay.errors import CheckpointError
from streamreplay.features.packed import packed_type
from streamreplay.slots import Slots


def test_rows_are_taken_by_key_in_the_order_asked_for() -> None:
    slots = Slots({"time": np.nan})
    slots.put([3, 5], {"x": np.array([[1.0], [2.0]], "f4")})
    slots.put([9], {"x": np.array([[3.0]], "f4"), "time": np.array([7.0])})
    assert slots.rows["x"].tolist() == [[1], [2], [3]]
    taken = slots.take([9, 3])
    assert taken["x"].tolist() == [[3], [1]]
    np.testing.assert_array_equal(taken["time"], [7, np.nan])
    assert (3 in slots, 5 in slots, len(slots)) == (False, True, 1)


def test_a_slot_is_used_again_and_what_a_new_row_lacks_is_absent() -> None:
    slots = Slots({"loss": 9.0})
    for first in range(0, 3000, 3):
        slots.put([first, first + 1, first + 2], {"loss": np.zeros((3, 1 + first // 1500), "f4")})
        slots.drop([first, first + 2])
        slots.take([first + 1])
    slots.put([1], {"loss": np.ones((1, 1), "f4")})
    slots.put([2], {"other": np.ones(1)})
    assert slots.rows["loss"].tolist() == [[1, 9], [9, 9]]
    assert slots.rows["other"].tolist() == [0, 1]
    assert len(slots.rows["loss"].base if slots.rows["loss"].base is not None else []) <= 64


def test_rows_of_a_table_become_wider() -> None:
    slots = Slots()
    slots.put([1], {"x": np.array([[5.0]], "f4")})
    wide = np.zeros(1, packed_type(2, 0, 1, 0, 1))
    slots.put([2], {"x": wide})
    slots.put([3], {"x": np.array([[7.0]], "f4")})
    x = slots.take([3, 1, 2])["x"]
    assert x["number"][:, 0].tolist() == [7, 5, 0]
    assert x["category"][:, 0].tolist() == [-1, -1, 0]


def test_a_state_keeps_keys_rows_and_types() -> None:
    slots = Slots({"loss": 9.0})
    slots.put([4, 7], {"x": np.array([1.0, 2.0], "f4"), "loss": np.zeros((2, 3), "f4")})
    slots.drop([4])
    fresh = Slots({"loss": 9.0})
    fresh.load_state_dict(copy.deepcopy(slots.state_dict()))
    assert fresh.take([7])["x"].tolist() == [2]
    empty = Slots({"loss": 9.0})
    empty.load_state_dict(copy.deepcopy(fresh.state_dict()))
    assert empty.rows["loss"].shape == (0, 3)
    with pytest.raises(ValueError, match=r"^x: rows held are float32\[\], got float64\[\]$"):
        empty.put([1], {"x": np.array([1.0])})
    state = slots.state_dict()
    state["rows"]["x"] = np.zeros(3, "f4")
    with pytest.raises(CheckpointError, match=r"^x: saved 3 rows for 1 keys$"):
        fresh.load_state_dict(state)
