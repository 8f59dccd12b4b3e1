"""What the package offers, and runs with many groups."""

import numpy as np
import pytest

from streamreplay import evaluation
from streamreplay.batch import Batch
from streamreplay.evaluation import Prequential
from streamreplay.records import Scored


def test_all_is_sorted_and_there() -> None:
    assert evaluation.__all__ == sorted(evaluation.__all__)
    assert all(hasattr(evaluation, name) for name in evaluation.__all__)


@pytest.mark.parametrize("groups", [8, 9, 40])
def test_resumes_with_many_classes_tasks_and_experiences(groups: int) -> None:
    def scored(i: int) -> Scored:
        batch = Batch.from_arrays(
            [[0.0]], [i % groups], start=i, task=i % groups, experience=i // 2
        )
        return Scored(batch, batch.y, np.ones(1, np.float32), np.zeros(1, np.float32))

    whole, first, fresh = (Prequential(report_every=7) for _ in range(3))
    stream = [scored(i) for i in range(2 * groups)]
    want = [report.metrics for report in whole(stream)]
    reports = first(stream)
    got = [next(reports).metrics for _ in range(groups + 1)]
    fresh.load_state_dict(first.state_dict())
    got += [report.metrics for report in fresh(stream[groups + 1 :])]
    assert got == want
