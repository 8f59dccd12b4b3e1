"""Declared state: what is saved, what is loaded, and each check with the path it names."""

from typing import Any, ClassVar

import numpy as np
import pytest

from streamreplay.errors import CheckpointError, CorruptCheckpointError
from streamreplay.randomness import make_rng
from streamreplay.state import (
    ARRAY,
    GENERATOR,
    GROWN,
    PART,
    PARTS,
    SETTING,
    Declared,
    Fields,
    State,
    Stateful,
    load_parts,
    load_state,
    save_parts,
    save_state,
    within,
)


class Inner:
    STATE = Fields(_values=ARRAY)

    def __init__(self, size: int = 2) -> None:
        self._values = np.zeros(size)


class Manual:
    def __init__(self) -> None:
        self.rows = 0

    def state_dict(self) -> State:
        return {"rows": self.rows}

    def load_state_dict(self, state: State) -> None:
        if state["rows"] < 0:
            raise CorruptCheckpointError("rows: below 0")
        self.rows = state["rows"]


class Outer:
    STATE: ClassVar[Fields] = Fields(
        window=SETTING,
        rows=int,
        _loss=float,
        _last=int | None,
        _used=bool,
        _names=list,
        _known=set,
        _point=tuple,
        _quiet=dict,
        _sums=ARRAY,
        _means=GROWN,
        _rng=GENERATOR,
        _inner=PART,
        _manual=PART,
        _none=PART,
        _groups=PARTS,
    )

    def __init__(self, window: int = 5) -> None:
        self._window, self.rows, self._loss = window, 0, 0.0
        self._last: int | None = None
        self._used, self._names, self._known = False, ["a"], {3, 1}
        self._point, self._quiet = (1, 2.0), {"error": 3}
        self._sums, self._means = np.zeros((2, 3)), np.zeros(0, np.float32)
        self._rng = make_rng(0)
        self._inner, self._manual = Inner(), Manual()
        self._none: Inner | None = None
        self._groups = {"a": Inner(), "b": Inner(1)}

    @property
    def window(self) -> int:
        return self._window


def changed() -> Outer:
    outer = Outer()
    outer.rows, outer._loss, outer._last, outer._used = 7, 0.5, 4, True
    outer._names, outer._known, outer._point = ["b", "c"], {9, 5}, (3, 4.0)
    outer._quiet = {"loss": 1}
    outer._sums[:], outer._means = 1.5, np.ones(3, np.float32)
    outer._rng.random(3)
    outer._inner._values[:], outer._manual.rows = 2.0, 8
    outer._groups["b"]._values[:] = 6.0
    return outer


def plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    return tree.tolist() if isinstance(tree, np.ndarray) else tree


def test_a_state_is_named_by_attributes_without_their_underscores() -> None:
    state = save_state(changed())
    assert list(state) == [name.removeprefix("_") for name in vars(Outer())]
    assert state["known"] == [5, 9]
    assert state["point"] == [3, 4.0]
    assert state["none"] is None
    assert plain(state["groups"]) == {"a": {"values": [0.0, 0.0]}, "b": {"values": [6.0]}}
    assert state["manual"] == {"rows": 8}


def test_what_was_saved_is_loaded() -> None:
    saved, fresh = changed(), Outer()
    inner, sums = fresh._inner, fresh._sums
    load_state(fresh, save_state(saved))
    assert plain(save_state(fresh)) == plain(save_state(saved))
    assert fresh._known == {5, 9}
    assert fresh._point == (3, 4.0)
    assert fresh._inner is inner
    assert fresh._sums is sums  # arrays of fixed shape are filled, so views of them stay valid
    assert fresh._rng.random() == saved._rng.random()


def test_a_state_shares_no_memory_with_the_object() -> None:
    outer = changed()
    state = save_state(outer)
    before = plain(state)
    outer._sums[:], outer._means[:], outer._inner._values[:] = 0.0, 0.0, 0.0
    outer._known.add(1)
    outer._names.append("d")
    outer._quiet["error"] = 0
    assert plain(state) == before
    fresh = Outer()
    load_state(fresh, state)
    fresh._means[:] = 0.0
    fresh._names.append("d")
    assert plain(state) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 6}, "window: saved 6, this pipeline has 5"),
        ({"rows": "7"}, "rows: saved 7, must be int"),
        ({"rows": 7.5}, "rows: saved 7.5, must be int"),
        ({"loss": None}, "loss: saved None, must be float"),
        ({"last": "x"}, "last: saved x, must be int | None"),
        ({"used": 1}, "used: saved 1, must be bool"),
        ({"names": None}, "names: saved None, must be list"),
        ({"known": 3}, "known: saved 3, must be list"),
        ({"point": 3}, "point: saved 3, must be list"),
        ({"quiet": []}, "quiet: saved [], must be dict"),
        ({"sums": np.zeros((2, 4))}, "sums: saved float64[2, 4], this pipeline has float64[2, 3]"),
        (
            {"sums": np.zeros((2, 3), np.float32)},
            "sums: saved float32[2, 3], this pipeline has float64[2, 3]",
        ),
        ({"sums": [1.0]}, "sums: saved list, this pipeline has float64[2, 3]"),
        ({"means": np.zeros(3)}, "means: saved float64, this pipeline has float32"),
        ({"means": None}, "means: saved NoneType, this pipeline has float32[0]"),
        (
            {"inner": {"values": np.zeros(3)}},
            "inner.values: saved float64[3], this pipeline has float64[2]",
        ),
        ({"inner": None}, "inner: saved none, this pipeline has one"),
        ({"none": {}}, "none: saved one, this pipeline has none"),
        ({"inner": {}}, "inner.values: is not in the state"),
        ({"manual": {"rows": -1}}, "manual.rows: below 0"),
        ({"groups": {"a": {}}}, "groups: saved ['a'], this pipeline has ['a', 'b']"),
        (
            {"groups": {"a": {"values": np.zeros(2)}, "b": {"values": np.zeros(2)}}},
            "groups.b.values: saved float64[2], this pipeline has float64[1]",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(change: State, message: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        load_state(Outer(), save_state(Outer()) | change)
    assert str(raised.value) == message


def test_a_generator_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^rng: not the state of a PCG64 generator"):
        load_state(Outer(), save_state(Outer()) | {"rng": {"bit_generator": "MT19937"}})


def test_whole_numbers_are_accepted_for_floats() -> None:
    outer = Outer()
    load_state(outer, save_state(outer) | {"loss": 3})
    assert isinstance(outer._loss, float)


def test_fields_are_joined_in_order() -> None:
    both = Fields(b=int) | Fields(_a=int)
    owner = Outer()
    owner.b, owner._a = 1, 2  # type: ignore[attr-defined]
    assert list(both.save(owner).items()) == [("b", 1), ("a", 2)]


def test_parts_are_saved_with_their_class() -> None:
    live = {"inner": Inner(), "manual": Manual(), "other": print}
    state = save_parts(live)
    assert [each.get("kind") for each in state.values()] == ["Inner", "Manual", None]
    load_parts(live, state)
    with pytest.raises(CheckpointError, match=r"^inner: saved Manual, this pipeline has Inner$"):
        load_parts(live, state | {"inner": state["manual"]})
    with pytest.raises(CheckpointError, match=r"^inner\.values: saved float64\[2\], "):
        load_parts({"inner": Inner(3)}, state)
    with pytest.raises(CheckpointError, match=r"^other: saved Inner, this pipeline has None$"):
        load_parts({"other": print}, {"other": state["inner"]})


def test_a_path_is_put_in_front_of_the_message_of_the_same_error() -> None:
    with pytest.raises(CorruptCheckpointError, match=r"^a\.b: broken$"), within("a"):
        raise CorruptCheckpointError("b: broken")


def test_another_error_becomes_one_in_words_with_its_path() -> None:
    said = r"^a\.b: cannot be loaded: ValueError: no"
    with pytest.raises(CheckpointError, match=said), within("a"), within("b"):
        raise ValueError("no")
    with pytest.raises(MemoryError), within("a"):
        raise MemoryError


def test_the_protocols_tell_the_two_ways_apart() -> None:
    assert isinstance(Inner(), Declared)
    assert not isinstance(Inner(), Stateful)
    assert isinstance(Manual(), Stateful)
    assert not isinstance(Manual(), Declared)
