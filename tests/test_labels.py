from __future__ import annotations

from typing import Any

import pytest

from streamreplay.errors import CheckpointError
from streamreplay.labels import Labels


def test_a_new_name_gets_the_next_index() -> None:
    labels = Labels()
    names: list[str | int] = ["b", 1, "1", "b", -1]
    assert [labels.index(name) for name in names] == [0, 1, 2, 0, 3]
    assert labels.names == ["b", 1, "1", -1]
    assert len(labels) == 4


def test_find_never_adds() -> None:
    labels = Labels(["a"])
    assert (labels.find("a"), labels.find("b"), labels.find(1)) == (0, -1, -1)
    assert labels.names == ["a"]


@pytest.mark.parametrize("name", [True, 1.0, None, b"a", (1,)])
def test_other_types_are_refused_even_if_they_equal_a_name(name: Any) -> None:
    labels = Labels([1])
    with pytest.raises(TypeError, match="a string or an integer"):
        labels.index(name)
    assert labels.find(name) == -1


def test_indices_add_in_order_and_none_is_minus_one() -> None:
    labels = Labels(["z"])
    assert labels.indices(["a", None, "z", "a", 3]).tolist() == [1, -1, 0, 1, 2]
    assert labels.names == ["z", "a", 3]


def test_names_are_a_copy() -> None:
    labels = Labels(["a"])
    labels.names.append("b")
    assert labels.names == ["a"]


def test_name_by_index() -> None:
    assert Labels(["a", 5]).name(1) == 5
    for index in (-1, 2):
        with pytest.raises(ValueError, match="label index must be 0 to 1"):
            Labels(["a", 5]).name(index)


def test_state_brings_back_names_and_indices() -> None:
    labels = Labels(["a", 1, "1"])
    other = Labels(["unrelated"])
    other.load_state_dict(labels.state_dict())
    assert other.names == ["a", 1, "1"]
    assert other.find("unrelated") == -1
    assert other.index("new") == 3


@pytest.mark.parametrize("names", [None, "ab", [True], [1.5], ["a", "a"]])
def test_a_state_that_is_none_is_refused(names: Any) -> None:
    labels = Labels(["kept"])
    with pytest.raises(CheckpointError, match=r"^names: "):
        labels.load_state_dict({"names": names})
    assert labels.names == ["kept"]
