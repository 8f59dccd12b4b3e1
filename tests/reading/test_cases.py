from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from streamreplay.reading.report.cases import curve, differences, make_cases
from streamreplay.reading.report.means import difference, mean_interval
from streamreplay.reading.report.trace import Trace, read_traces
from tests.reading.made import Made, write_run

JOB = 'seed = {seed}\n[buffer]\nkind = "{kind}"\n[run]\nlimit = {seed}\n'


def traces(folder: Path, *runs: tuple[str, int, str, float]) -> list[Trace]:
    found = []
    for name, seed, kind, accuracy in runs:
        made = Made(accuracy=accuracy).write(folder / name, job=JOB.format(seed=seed, kind=kind))
        found += read_traces(made)
    return found


def test_intervals_are_those_of_scipy() -> None:
    values, base = [0.81, 0.84, 0.79, 0.83], [0.70, 0.74, 0.69]
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found.half is not None
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
    welch = stats.ttest_ind(values, base, equal_var=False).confidence_interval(0.95)
    apart = difference(values, base)
    assert apart.half is not None
    assert apart.mean - apart.half == pytest.approx(welch.low, abs=1e-3)
    assert apart.mean + apart.half == pytest.approx(welch.high, abs=1e-3)
    assert difference([1.0, 1.0], [1.0, 1.0]).half == 0.0


def test_jobs_that_differ_only_in_the_seed_are_one_case(tmp_path: Path) -> None:
    found = make_cases(
        traces(
            tmp_path,
            ("er-0", 0, "reservoir", 0.80),
            ("none", 0, "none", 0.90),
            ("er-1", 1, "reservoir", 0.82),
            ("er-1-again", 1, "reservoir", 0.82),
        )
    )
    assert [case.label for case in found] == ["er (2 seeds)", "none", "er-1-again"]
    assert [[trace.seed for trace in case.traces] for case in found] == [[0, 1], [0], [1]]
    assert differences(found)[0] == ("buffer.kind", ["reservoir", "none", "reservoir"])


def test_runs_without_a_job_are_cases_of_their_own(tmp_path: Path) -> None:
    runs = [Made().write(tmp_path / name / "out") for name in ("one", "two")]
    for run in runs:
        (run / "job.toml").unlink()
    cases = make_cases([trace for run in runs for trace in read_traces(run)])
    assert [case.label for case in cases] == ["one/out", "two/out"]


def test_learners_of_one_run_are_cases(tmp_path: Path) -> None:
    job = 'seed = 0\n[[learner]]\nname = "er"\nlr = 0.1\n[[learner]]\nname = "mir"\nlr = 0.2\n'
    several = [*Made(learner="er").records(), *Made(learner="mir", kept=0.9).records()]
    run = Made().write(tmp_path / "run", job=job)
    (run / "metrics.jsonl").unlink()
    write_run(run, sorted(several, key=lambda record: int(record["position"])), job=job)
    cases = make_cases(read_traces(run))
    assert [case.label for case in cases] == ["er", "mir"]
    assert differences(cases) == [("learner.lr", ["0.1", "0.2"])]
    assert [case.first.rounds[0].last["accuracy"] for case in cases] == pytest.approx(
        [0.675, 0.855]
    )


def test_a_curve_is_the_mean_over_seeds_with_its_interval(tmp_path: Path) -> None:
    runs = (("a0", 0, "x", 0.80), ("a1", 1, "x", 0.84), ("a2", 2, "x", 0.82))
    (case,) = make_cases(traces(tmp_path, *runs))
    found = curve(case, lambda trace: (trace.scores["position"], trace.scores["accuracy"]))
    assert found is not None
    assert found.x.tolist() == list(range(500, 4001, 500))  # the two lines of one row are one
    np.testing.assert_allclose(found.y, 0.82)
    assert found.high is not None
    np.testing.assert_allclose(
        found.high - found.y, stats.t.ppf(0.975, 2) * 0.02 / np.sqrt(3), 1e-4
    )
