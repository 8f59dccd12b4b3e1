"""A stream whose labels come in time, played as if they came late."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.features import Schema
from streamreplay.ingest import DelayedLabels
from streamreplay.labels import Labels
from streamreplay.late import Late


def late_of(batch: Batch) -> Late[Batch]:
    assert batch.late is not None
    return batch.late


def cut(whole: Batch, cuts: list[int]) -> list[Batch]:
    edges = sorted({0, *cuts, len(whole)})
    return [whole.take(slice(a, b)) for a, b in pairwise(edges)]


def stream(n: int, unlabelled: list[int], **columns: Any) -> Batch:
    y = np.arange(n)
    y[unlabelled] = -1
    return Batch.from_arrays(np.arange(n, dtype=np.float32)[:, None], y, **columns)


@given(
    n=st.integers(1, 30),
    cuts=st.lists(st.integers(1, 29), max_size=8),
    delay=st.integers(1, 40),
    unlabelled=st.sets(st.integers(0, 29)),
)
def test_a_row_is_learned_so_many_rows_after_it_came(
    n: int, cuts: list[int], delay: int, unlabelled: set[int]
) -> None:
    whole = stream(n, [i for i in unlabelled if i < n])
    batches = list(DelayedLabels(delay)(cut(whole, [c for c in cuts if c < n])))
    learned: list[int] = []
    arrived = 0
    for batch in batches:
        late = late_of(batch)
        waiting = batch.take(late.waiting)
        assert waiting.t.tolist() == late.records.t.tolist()
        arrived += batch.arrived
        learned += batch.learnable().t.tolist()
        if batch.arrived:  # all rows whose label is due, and no other
            due = [t for t in range(arrived - delay) if whole.y[t] >= 0]
            assert learned == due
        assert (batch.x[:, 0] == batch.t).all()
    assert learned == [t for t in range(n) if whole.y[t] >= 0]
    known = np.concatenate([late_of(batch).repeat for batch in batches])
    for t, last in enumerate(known.tolist()):
        seen = [y for y in whole.y[: max(t - delay, 0)].tolist() if y >= 0]
        assert last == (seen[-1] if seen else -2)


def test_all_columns_come_back_with_the_rows() -> None:
    each = np.arange(12)
    whole = Batch.from_arrays(
        each[:, None], target=np.arange(24.0).reshape(12, 2), id=each, time=each, weight=each,
        task=each,
    )  # fmt: skip
    parts = [batch.learnable() for batch in DelayedLabels(5)(cut(whole, [4, 7]))]
    learned = Batch.concat([part for part in parts if len(part)])
    for name, column in whole.columns().items():
        np.testing.assert_array_equal(getattr(learned, name), column, err_msg=name)
    known = late_of(next(iter(DelayedLabels(2)(cut(whole, []))))).repeat
    np.testing.assert_array_equal(known[:4], [[np.nan] * 2] * 3 + [[0, 1]])


def test_a_stream_may_lack_columns_for_a_while() -> None:
    parts = [stream(3, []), stream(3, [], id=["a", "b", "c"], start=3), stream(3, [], start=6)]
    ids = [batch.id for batch in DelayedLabels(4)(parts)]
    assert [None if each is None else each.tolist() for each in ids[:3]] == [
        None,
        ["a", "b", "c", "", ""],
        ["", "", "", "", "a", "b"],
    ]


def test_what_is_left_after_a_resume_has_names_and_schema() -> None:
    schema = Schema()
    columns = {"a": ["1.5", "2"], "c": ["x", ""]}
    schema.begin(columns)
    rows = schema.pack(schema.read(columns, 2))
    batch = replace(stream(2, [], labels=Labels(["a", "b"])), x=rows, schema=schema)
    stage = DelayedLabels(4)
    next(stage([batch]))
    fresh = DelayedLabels(4, lambda: schema)
    fresh.load_state_dict(copy.deepcopy(stage.state_dict()))
    assert fresh.rows_held == 2
    (left,) = fresh([])
    assert left.labels is not None
    assert left.labels.names == ["a", "b"]
    assert (left.schema, left.feature_names) == (schema, ["a", "c"])
    assert left.learnable().t.tolist() == [0, 1]
    assert fresh.rows_held == 0


def test_a_delay_is_at_least_one_row() -> None:
    with pytest.raises(ValueError, match=r"^delay must be at least 1, got 0$"):
        DelayedLabels(0)
