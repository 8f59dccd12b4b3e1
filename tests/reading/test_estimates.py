from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from streamreplay.reading.estimates import (
    Estimate,
    average,
    difference,
    mean_of_runs,
    t_quantile,
)


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 3.7, 10, 99, 1234.5, 1e5])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.975, 0.999])
def test_quantiles_of_student(share: float, freedom: float) -> None:
    assert t_quantile(share, freedom) == pytest.approx(
        stats.t.ppf(share, freedom), rel=1e-7, abs=1e-12
    )


def test_intervals_over_seeds() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.02, 5)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_of_runs(values.tolist()).interval == pytest.approx((expected.low, expected.high))
    with pytest.raises(ValueError, match="values must be at least 2, got 1"):
        mean_of_runs([0.5])


def test_differences_are_those_of_welch() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.8, 0.02, 5), rng.normal(0.75, 0.05, 3)
    test = stats.ttest_ind(other, one, equal_var=False)
    expected = test.confidence_interval(0.95)
    found = difference(mean_of_runs(other.tolist()), mean_of_runs(one.tolist()))
    assert found.freedom == pytest.approx(test.df)
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_means_of_independent_estimates() -> None:
    found = average([Estimate(0.25, 0.3, 10), Estimate(0.75, 0.4, 30)])
    assert found.value == 0.5
    assert found.error == pytest.approx(0.25)
    assert found.freedom == pytest.approx(0.25**2 / (0.09**2 / 10 + 0.16**2 / 30))
    assert average([Estimate(1.0, 0.0, 4), Estimate(1.0, 0.0, 4)]).interval == (1.0, 1.0)
    assert math.isfinite(average([Estimate(1.0, 0.0, 4)]).freedom)
