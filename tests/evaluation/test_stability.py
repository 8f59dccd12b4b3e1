"""The stability gap, worst accuracies, area and forward transfer, by slow references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.evaluation.retention.retention_scores import (
    AreaUnderCurve,
    RetentionScores,
    StabilityTracker,
)
from streamreplay.records import Scored
from streamreplay.state import load_state, save_state
from tests.evaluation.test_retention import MATRIX, answers, records, replay

Round = tuple[int, int, dict[int, float], bool]  # position, experience, scores, end


def reference(rounds: list[Round], sign: int) -> list[tuple[float | None, Any]]:
    """Look at the whole history anew for each round."""
    found: list[tuple[float | None, Any]] = []
    for place, (_position, experience, scores, _) in enumerate(rounds):
        ends = [k for k in range(place) if rounds[k][3]]
        ended = {rounds[k][1] for k in ends if rounds[k][1] in rounds[k][2]}
        # an experience is followed as long as each boundary's round has its rows
        ended = {
            j
            for j in ended
            if all(
                j in rounds[k][2] for k in ends if k >= min(e for e in ends if rounds[e][1] == j)
            )
        }
        old = [j for j in ended if j != experience and j in scores]
        if not old:
            found.append((None, None))
            continue
        worst = []
        for j in old:
            last_end = max(k for k in ends if rounds[k][1] == j)
            values = [
                rounds[k][2][j]
                for k in range(last_end + 1, place + 1)
                if j in rounds[k][2] and rounds[k][1] != j
            ]
            worst.append(min(values) if sign > 0 else max(values))
        boundary = ends[-1]
        before = np.mean([rounds[boundary][2][j] for j in old])
        means = [np.mean([rounds[k][2][j] for j in old]) for k in range(boundary + 1, place + 1)]
        drops = [sign * (before - mean) for mean in means]
        recovered = None
        for k, mean in enumerate(means):
            if max(drops[: k + 1]) > 0 and sign * mean >= sign * before:
                recovered = rounds[boundary + 1 + k][0] - rounds[boundary][0]
                break
        found.append(
            (
                float(np.mean(worst)),
                {
                    "since": rounds[boundary][0],
                    "before": pytest.approx(before),
                    "depth": pytest.approx(max(0.0, *drops)),
                    "recovered_after": recovered,
                },
            )
        )
    return found


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    st.sampled_from([1, -1]),
)
def test_what_old_knowledge_goes_through(stretches: Any, random: Any, sign: int) -> None:
    rounds: list[Round] = []
    position = 0
    for experience, n in stretches:
        for k in range(n):
            position += random.randrange(1, 50)
            scores = {j: random.choice([0.0, 0.25, 0.5, 0.75, 1.0]) for j in range(4)}
            rounds.append((position, experience, scores, k == n - 1))
    stability = StabilityTracker(sign)
    got = []
    for place, (at, experience, scores, end) in enumerate(rounds):
        if place % 3 == 2:  # as a resumed run goes on
            fresh = StabilityTracker(sign)
            load_state(fresh, save_state(stability))
            stability = fresh
        got.append(stability.update(at, experience, scores, end=end))
    for (worst, gap), (want, wanted) in zip(got, reference(rounds, sign), strict=True):
        assert worst == (None if want is None else pytest.approx(want))
        assert gap == wanted


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_area_is_that_of_trapezoids(points: list[tuple[int, float]]) -> None:
    x = np.cumsum([step for step, _ in points])
    y = np.array([height for _, height in points])
    curve = AreaUnderCurve()
    got = [curve.add(int(a), float(b)) for a, b in zip(x, y, strict=True)]
    for n in range(1, len(x) + 1):
        want = y[0] if n == 1 else np.trapezoid(y[:n], x[:n]) / (x[n - 1] - x[0])
        assert got[n - 1] == pytest.approx(want)


def test_fields_of_a_matrix_computed_by_hand() -> None:
    got, _ = replay([0, 1, 2], MATRIX)
    # R[0, 1] = 0.0 and R[1, 2] = 0.0: accuracy just before each was learned
    assert [r["forward_transfer"] for r in got] == [None, 0.0, 0.0]
    assert [r["min_accuracy"] for r in got] == [None, 0.6, pytest.approx((0.6 + 0.3) / 2)]
    assert got[0]["stability_gap"] is None
    assert got[1]["stability_gap"] == {
        "since": 4, "before": 0.9, "depth": pytest.approx(0.3), "recovered_after": None,
    }  # fmt: skip
    assert got[2]["stability_gap"] == {
        "since": 8,
        "before": pytest.approx(0.7),
        "depth": pytest.approx(0.2),
        "recovered_after": None,
    }
    balanced = [0.9, 0.7, 2 / 3]  # over the classes seen
    assert [r["balanced_accuracy"] for r in got] == pytest.approx(balanced)
    area = [0.9, 0.8, (0.8 + (0.7 + 2 / 3) / 2) / 2]
    assert [r["area"] for r in got] == pytest.approx(area)
    assert {r["sample"] for r in got} == {"test"}
    assert "by_age" not in got[0]


def test_forward_transfer_is_of_what_came_before_an_experience_began() -> None:
    helped = [[0.9, 0.4, 0.1], [0.6, 0.8, 0.7], [0.7, 0.3, 1.0]]
    got, _ = replay([0, 1, 2], helped)
    assert [r["forward_transfer"] for r in got] == [None, 0.4, pytest.approx((0.4 + 0.7) / 2)]
    # where it comes again nothing changes: it was learned by then
    again, _ = replay([0, 1, 0, 1], [*helped, helped[0]])
    assert [r["forward_transfer"] for r in again] == [None, 0.4, 0.4, 0.4]


def test_a_stream_of_many_experiences_keeps_the_last_rows_of_the_matrix() -> None:
    retention, n = RetentionScores("test"), 260
    forgetting = []
    for i in range(n):
        j = np.arange(i + 1)
        batch = Batch.from_arrays(np.zeros((i + 1, 1)), j, experience=j)
        right = np.where(j % 2 == i % 2, j, -1)  # every other one is forgotten, in turn
        ones = np.ones(i + 1, np.float32)
        retention.add(Scored(replace(batch, held_out="test"), right, ones, ones), 10 * i)
        record = retention.close(10 * (i + 1), i, end=True, seen=lambda _: True)
        forgetting.append(record["forgetting"])
        assert len(retention.matrix[0]) <= 200
    ids, columns, _ = retention.matrix
    assert ids.tolist() == list(range(60, n))
    assert columns[0] == 0
    earlier = np.arange(n - 1)
    assert forgetting[-1] == pytest.approx(np.mean(earlier % 2 != (n - 1) % 2))
    again = RetentionScores("test")
    load_state(again, save_state(retention))
    assert save_state(again)["ended"]["ids"].tolist() == list(range(n))


def test_few_rows_of_a_probe_are_not_compared() -> None:
    def forgetting(rows: int) -> Any:
        retention, record = RetentionScores("probe"), dict[str, Any]()
        for i in range(2):
            j = np.repeat(np.arange(i + 1), rows)
            batch = Batch.from_arrays(np.zeros((len(j), 1)), j, experience=j)
            ones = np.ones(len(j), np.float32)
            right = np.where(j == i, j, -1)
            retention.add(Scored(replace(batch, held_out="probe"), right, ones, ones), 1000)
            record = retention.close(1000, i, end=True, seen=lambda _: True)
        return record["forgetting"], record["class_forgetting"]

    assert forgetting(19) == (None, None)
    assert forgetting(20) == (1.0, 1.0)


def test_answers_are_what_the_matrix_says() -> None:
    assert answers([0.5, 1.0])[:10].count(0) == 5
    assert records([]) == []
