from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from streamreplay.errors import RunFolderError
from streamreplay.reading.compare.comparison import compare_runs
from streamreplay.reading.estimates import difference_of_seeds, mean_of_seeds
from streamreplay.reading.report import make_report
from streamreplay.reading.report.curves import LearnerCurves, mean_curve, read_curves, read_score
from streamreplay.reading.seed_groups import group_by_seed, setting_differences
from tests.reading.made import Made, write_run

JOB = 'seed = {seed}\n[buffer]\nkind = "{kind}"\n[run]\nlimit = {seed}\n'


def learners(folder: Path, *runs: tuple[str, int, str, float]) -> list[LearnerCurves]:
    found = []
    for name, seed, kind, accuracy in runs:
        made = Made(accuracy=accuracy).write(folder / name, job=JOB.format(seed=seed, kind=kind))
        found += read_curves(made)
    return found


def test_intervals_are_those_of_scipy() -> None:
    values, base = [0.81, 0.84, 0.79, 0.83], [0.70, 0.74, 0.69]
    found = mean_of_seeds(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found.half is not None
    assert (found.value - found.half, found.value + found.half) == pytest.approx((low, high))
    welch = stats.ttest_ind(values, base, equal_var=False).confidence_interval(0.95)
    apart = difference_of_seeds(values, base)
    assert apart.half is not None
    assert apart.value - apart.half == pytest.approx(welch.low, abs=1e-3)
    assert apart.value + apart.half == pytest.approx(welch.high, abs=1e-3)
    assert difference_of_seeds([1.0, 1.0], [1.0, 1.0]).half == 0.0


def test_jobs_that_differ_only_in_the_seed_are_one_group(tmp_path: Path) -> None:
    found = group_by_seed(
        learners(
            tmp_path,
            ("er-0", 0, "reservoir", 0.80),
            ("none", 0, "none", 0.90),
            ("er-1", 1, "reservoir", 0.82),
            ("er-1-again", 1, "reservoir", 0.82),
        )
    )
    assert [group.title for group in found] == ["er (2 seeds)", "none", "er-1-again"]
    assert [[each.seed for each in group] for group in found] == [[0, 1], [0], [1]]
    assert setting_differences(found) == {
        "seed": [[0, 1], 0, 1],
        "buffer.kind": ["reservoir", "none", "reservoir"],
    }


def test_runs_without_a_job_are_groups_of_their_own(tmp_path: Path) -> None:
    runs = [Made().write(tmp_path / name / "out") for name in ("one", "two")]
    for run in runs:
        (run / "job.toml").unlink()
    groups = group_by_seed([each for run in runs for each in read_curves(run)])
    assert [group.title for group in groups] == ["one/out", "two/out"]


def test_learners_of_one_run_are_groups(tmp_path: Path) -> None:
    job = 'seed = 0\n[[learner]]\nname = "er"\nlr = 0.1\n[[learner]]\nname = "mir"\nlr = 0.2\n'
    several = [*Made(learner="er").records(), *Made(learner="mir", kept=0.9).records()]
    run = Made().write(tmp_path / "run", job=job)
    (run / "metrics.jsonl").unlink()
    write_run(run, sorted(several, key=lambda record: int(record["position"])), job=job)
    groups = group_by_seed(read_curves(run))
    assert [group.title for group in groups] == ["er", "mir"]
    assert setting_differences(groups) == {"learner.lr": [0.1, 0.2]}
    assert [group.first.retention_curves[0].last["accuracy"] for group in groups] == pytest.approx(
        [0.675, 0.855]
    )


def test_a_curve_is_the_mean_over_seeds_with_its_interval(tmp_path: Path) -> None:
    runs = (("a0", 0, "x", 0.80), ("a1", 1, "x", 0.84), ("a2", 2, "x", 0.82))
    (group,) = group_by_seed(learners(tmp_path, *runs))
    found = mean_curve(group, read_score("accuracy"))
    assert found is not None
    assert found.x.tolist() == list(range(500, 4001, 500))  # the two lines of one row are one
    np.testing.assert_allclose(found.y, 0.82)
    assert found.high is not None
    np.testing.assert_allclose(
        found.high - found.y, stats.t.ppf(0.975, 2) * 0.02 / np.sqrt(3), 1e-4
    )


def test_the_page_and_compare_use_the_same_names(tmp_path: Path) -> None:
    names = ("er-seed10", "er-seed11", "er", "x/out", "y/out", "1", "2")
    runs = [
        Made(accuracy=0.5 + 0.01 * place).write(
            tmp_path / name, job=JOB.format(seed=place % 2, kind=kind)
        )
        for place, (name, kind) in enumerate(
            zip(names, ("reservoir",) * 2 + ("none",) * 2 + ("class_balanced",) * 3, strict=True)
        )
    ]
    on_page = group_by_seed([each for run in runs for each in read_curves(run)])
    compared = compare_runs(runs, resamples=100).groups
    assert [group.title for group in on_page] == [group.title for group in compared]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["er-seed0", "er-seed1"], ["er (2 seeds)"]),
        (["er-seed1", "er-seed10"], ["er (2 seeds)"]),
        (["er_s1", "er_s2"], ["er (2 seeds)"]),
        (["resnet18-0", "resnet18-1"], ["resnet18 (2 seeds)"]),
        (["run1", "run2"], ["run (2 seeds)"]),
        (["a", "b"], ["a and others (2 seeds)"]),
    ],
)
def test_a_group_is_called_what_its_runs_have_in_common(
    tmp_path: Path, names: list[str], expected: list[str]
) -> None:
    runs = [(name, seed, "none", 0.5) for seed, name in enumerate(names)]
    assert [group.title for group in group_by_seed(learners(tmp_path, *runs))] == expected


def test_groups_with_the_same_name_are_told_apart(tmp_path: Path) -> None:
    runs = (("er", 0, "none", 0.5), ("er-0", 0, "reservoir", 0.5), ("er-1", 1, "reservoir", 0.5))
    found = group_by_seed(learners(tmp_path, *runs))
    assert [group.name for group in found] == ["er", "er, 2"]


def test_learners_of_several_runs_are_named_after_both(tmp_path: Path) -> None:
    def run(name: str, seed: int) -> Path:
        job = f'seed = {seed}\n[[learner]]\nname = "er"\n[[learner]]\nname = "x"\nlr = 0.5\n'
        records = [*Made(learner="er").records(), *Made(learner="x").records()]
        return write_run(tmp_path / name, records, job=job)

    runs = [run("a-s0", 0), run("a-s1", 1)]
    found = group_by_seed([each for run in runs for each in read_curves(run)])
    assert [group.title for group in found] == ["er (2 seeds)", "x (2 seeds)"]
    alone = Made().write(tmp_path / "alone", job="seed = 7\n[learner]\nlr = 0.25\n")
    found = group_by_seed([each for run in [*runs, alone] for each in read_curves(run)])
    assert [group.title for group in found] == ["a: er (2 seeds)", "a: x (2 seeds)", "alone"]


@pytest.mark.parametrize(
    ("learner", "job", "message"),
    [
        ("er", "", "run: its log has the learner 'er', but its job has one unnamed learner"),
        (
            None,
            '[[learner]]\nname = "er"\n[[learner]]\nname = "x"\n',
            "run: its log has no learner's name, but its job has the learners er, x",
        ),
    ],
)
def test_a_log_and_a_job_that_disagree_are_refused(
    tmp_path: Path, learner: str | None, job: str, message: str
) -> None:
    other = Made().write(tmp_path / "other")
    run = write_run(tmp_path / "run", Made(learner=learner).records(), job=f"seed = 0\n{job}")
    with pytest.raises(RunFolderError, match=message):
        compare_runs([other, run], resamples=100)
    with pytest.raises(RunFolderError, match=message):
        make_report([other, run])


def test_a_job_of_another_version_is_compared_as_it_is_written(tmp_path: Path) -> None:
    runs = [
        Made().write(tmp_path / name, job=f'seed = {seed}\n[old]\nkey = "{key}"\n')
        for name, seed, key in (("x-0", 0, "a"), ("x-1", 1, "a"), ("y", 0, "b"))
    ]
    found = group_by_seed([each for run in runs for each in read_curves(run)])
    assert [len(group) for group in found] == [2, 1]
    assert setting_differences(found)["old.key"] == ["a", "b"]
