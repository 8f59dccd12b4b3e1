import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.buffers.sampling.keys import _BLOCK, KeyStream
from streamreplay.randomness import make_rng

steps = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 50), st.integers(0, 3 * _BLOCK), st.just(_BLOCK)),
        st.sampled_from([0.0, 1e-3, 0.1, 0.3, 0.5, 0.9, 1.0, float("inf")]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_below_is_take_and_compare(steps: list[tuple[int, float]]) -> None:
    fast, slow = KeyStream(3), KeyStream(3)
    for n, limit in steps:
        places, small = fast.below(n, limit)
        keys = slow.take(n)
        assert places == np.flatnonzero(keys < limit).tolist()
        assert small == keys[keys < limit].tolist()


def test_below_is_exact_while_limits_fall_and_rise_within_a_block() -> None:
    fast, slow = KeyStream(0), KeyStream(0)
    for limit in (0.9, 0.8, 0.6, 0.46, 0.44, 0.3, 0.7, 0.1, 0.09, float("inf"), 0.5):
        places, _ = fast.below(300, limit)
        assert places == np.flatnonzero(slow.take(300) < limit).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2 * _BLOCK), max_size=8))
def test_take_gives_the_generator_s_numbers_in_order(sizes: list[int]) -> None:
    keys = KeyStream(7)
    taken = [keys.take(n).copy() for n in sizes]
    expected = make_rng(7).random(sum(sizes))
    np.testing.assert_array_equal(np.concatenate([np.empty(0), *taken]), expected)


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(0, 12))
def test_goes_on_from_its_state(steps: list[tuple[int, float]], cut: int) -> None:
    whole, fresh = KeyStream(1), KeyStream(2)
    for n, limit in steps[:cut]:
        whole.below(n, limit)
    fresh.load_state_dict(copy.deepcopy(whole.state_dict()))
    for n, limit in steps[cut:]:
        assert whole.below(n, limit) == fresh.below(n, limit)
    np.testing.assert_array_equal(whole.take(9), fresh.take(9))


def test_streams_of_other_seeds_differ() -> None:
    assert not np.intersect1d(KeyStream(0).take(100), KeyStream(1).take(100)).size
