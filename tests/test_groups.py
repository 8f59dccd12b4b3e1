import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamreplay.groups import GroupIndex

small = st.integers(0, 9)
huge = st.integers(-(2**63), 2**63 - 1)
edge = st.sampled_from([0, 65535, 65536, -1])


@given(st.one_of([st.lists(ids, max_size=60) for ids in (small, st.integers(-5, 5), huge, edge)]))
@example([])
@example([65535, 0, 65535])
@example([65536, 0, 65536])
@example([-1])
def test_is_a_dict_of_lists(values: list[int]) -> None:
    oracle: dict[int, list[int]] = {}
    for row, value in enumerate(values):
        oracle.setdefault(value, []).append(row)
    column = np.array(values, np.int64)
    index = GroupIndex.of(column)
    assert len(index) == len(oracle)
    assert index.ids.tolist() == sorted(oracle)
    assert index.counts.tolist() == [len(oracle[value]) for value in sorted(oracle)]
    rows = {value: index.rows(place).tolist() for place, value in enumerate(index.ids.tolist())}
    assert rows == oracle
    assert index.order.tolist() == [row for value in sorted(oracle) for row in oracle[value]]
    assert column.tolist() == values  # its input is not written to


@pytest.mark.parametrize("values", [[], [3, 1], [-4, 70_000]])
def test_types(values: list[int]) -> None:
    index = GroupIndex.of(np.array(values, np.int64))
    for column in (index.ids, index.counts, index.starts, index.order):
        assert column.dtype == np.int64


def test_the_source_may_change_afterwards() -> None:
    column = np.array([1, 0, 1])
    index = GroupIndex.of(column)
    column[:] = 5
    assert index.rows(1).tolist() == [0, 2]
