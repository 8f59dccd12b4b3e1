"""Drift detectors of a stream whose labels are played late."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from river.drift import ADWIN, PageHinkley

from streamreplay.batch import Batch
from streamreplay.evaluation import Detector, DriftMonitor
from streamreplay.records import Report, Scored

N = 3000


def reports(size: int, kind: str = "classes") -> list[Report]:
    """A model that is right for half of the stream; the feature drifts there as well."""
    right = np.arange(N) < N // 2
    x = np.where(right, 0.0, 5.0)[:, None]
    if kind == "classes":
        whole = Batch.from_arrays(x, np.zeros(N, int))
        said: np.ndarray[Any, Any] = np.where(right, 0, 1)
    else:
        whole = Batch.from_arrays(x, target=np.zeros((N, 1)))
        said = np.where(right, 0.0, 3.0)[:, None]
    found = []
    for start in range(0, N, size):
        rows = slice(start, start + size)
        batch = whole.take(rows)
        some = np.ones(len(batch), "f4"), np.where(right[rows], 0.1, 2.0).astype("f4")
        found.append(Report(Scored(batch, said[rows], *some)))
    return found


def positions(monitor: DriftMonitor, given: list[Report]) -> list[tuple[str, int]]:
    return [
        (record["on"], record["position"]) for report in monitor(given) for record in report.metrics
    ]


def _adwin() -> Any:
    return ADWIN()  # type: ignore[no-untyped-call]


def monitor(on: list[str], delay: int = 0) -> DriftMonitor:
    return DriftMonitor([Detector(_adwin(), name, name) for name in on], delay=delay)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("size", [1, 7, 500, N])
def test_errors_are_seen_so_many_rows_late_and_features_at_once(kind: str, size: int) -> None:
    on = ["error", "loss", "feature:0"]
    plain = positions(monitor(on), reports(7, kind))
    late = positions(monitor(on, delay=400), reports(size, kind))
    assert len({name for name, _ in plain}) == 3
    want = [(name, at + 400 * (name != "feature:0")) for name, at in plain]
    assert sorted(late) == sorted(each for each in want if each[1] <= N)


def test_what_is_held_back_is_resumed() -> None:
    given = reports(50)
    whole = positions(monitor(["error"], 400), given)
    assert whole
    for cut in (0, 3, 20, 40):
        first, second = monitor(["error"], 400), monitor(["error"], 400)
        found = positions(first, given[:cut])
        second.load_state_dict(first.state_dict())
        assert found + positions(second, given[cut:]) == whole


def test_a_detector_of_classes_sees_their_labels_late() -> None:
    batch = Batch.from_arrays(np.zeros((N, 1)), np.where(np.arange(N) < N // 2, 0, 1))
    scored = Scored(batch, batch.y, np.ones(N, "f4"), np.zeros(N, "f4"))
    patterns = [Detector(PageHinkley(), "label:1")]
    ((_, plain),) = positions(DriftMonitor(patterns), [Report(scored)])
    ((_, late),) = positions(DriftMonitor(patterns, delay=100), [Report(scored)])
    assert late == plain + 100
