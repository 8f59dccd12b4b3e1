from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.log.checked import read_records
from streamreplay.reading.compare.comparison import Comparison, compare_runs
from streamreplay.reading.compare.outcomes import METRICS, align, read_predictions
from streamreplay.reading.compare.text import comparison_lines, comparison_object
from tests.reading.logs import Bools, dependent, dump, make_run, prequential, retention

LABELS = np.random.default_rng(0).integers(0, 3, 4000)
GOOD = dependent(4000, 0.8, 0.5, seed=1)
BAD = GOOD & dependent(4000, 0.9, 0.5, seed=2)  # wrong where the good one is, and more often
EQUAL = dependent(4000, 0.8, 0.5, seed=3)


def text(comparison: Comparison) -> str:
    return "\n".join(comparison_lines(comparison))


def two(folder: Path, one: Bools, other: Bools, **options: Any) -> Comparison:
    runs = [
        make_run(folder / name, {"": hits}, LABELS[: len(hits)], **options)
        for name, hits in (("one", one), ("other", other))
    ]
    return compare_runs(runs, resamples=500)


@pytest.mark.parametrize("predictions", [True, False])
def test_the_better_one_is_told(tmp_path: Path, predictions: bool) -> None:
    comparison = two(tmp_path, BAD, GOOD, predictions=predictions, every=20)
    (found,) = comparison.differences
    assert (found.paired, found.verdict) == (True, "better")
    assert found.data == ("predictions" if predictions else "metrics")
    assert found.value == pytest.approx(GOOD.mean() - BAD.mean())
    assert found.interval is not None
    low, high = found.interval
    assert 0 < low < found.value < high
    assert found.tested.length * found.tested.blocks == pytest.approx(4000, rel=0.01)
    assert found.tested.rows == 4000
    said = text(comparison)
    assert "other is 7." in said or "other is 8." in said
    assert "points more accurate than one (95 % interval" in said
    assert ": better on this stream." in said
    assert ("paired row by row" in said) == predictions
    assert "With one seed each" in said
    backwards = compare_runs([tmp_path / "other", tmp_path / "one"], resamples=500)
    assert backwards.differences[0].verdict == "worse"
    assert backwards.differences[0].value == pytest.approx(-found.value)
    assert "points less accurate" in text(backwards)


@pytest.mark.parametrize("width", [24, 40])
def test_tables_fit_a_narrow_terminal(tmp_path: Path, width: int) -> None:
    comparison = two(tmp_path, BAD, GOOD, every=200)
    wide, narrow = ([*comparison_lines(comparison, each)] for each in (None, width))
    table = narrow[: narrow.index("")]
    assert max(map(len, table)) <= width
    if width == 40:  # it fits as it is
        assert table == wide[: wide.index("")]
    else:
        assert table[:3] == ["rows", "  one 4,000  other 4,000", "  difference +0"]


def test_equally_good_ones_are_not_told_apart(tmp_path: Path) -> None:
    comparison = two(tmp_path, GOOD, EQUAL)
    (found,) = comparison.differences
    assert found.verdict == "no difference"
    assert found.interval is not None
    assert found.interval[0] < 0 < found.interval[1]
    assert "No significant difference between other and one" in text(comparison)


@pytest.mark.slow
def test_equally_good_ones_are_told_apart_rarely(tmp_path: Path) -> None:
    wrong = naive = 0
    for trial in range(60):
        hits = [dependent(800, 0.7, 0.8, seed=100 + 2 * trial + i) for i in range(2)]
        comparison = two(tmp_path / str(trial), *hits)
        wrong += comparison.differences[0].verdict in ("better", "worse")
        naive += stats.ttest_rel(*(each.astype(float) for each in hits)).pvalue < 0.05
    # at 7 in 100, what the block bootstrap has here, more than 10 happen once in 150 such tests
    assert wrong <= 10
    assert naive >= 20


def test_the_same_outcomes_are_called_the_same(tmp_path: Path) -> None:
    comparison = two(tmp_path, GOOD, GOOD)
    assert comparison.differences[0].verdict == "no difference"
    assert comparison.differences[0].interval == (0.0, 0.0)
    assert "other and one did equally well at every step" in text(comparison)


def test_few_rows_give_no_verdict(tmp_path: Path) -> None:
    comparison = two(tmp_path, BAD[:18], GOOD[:18], every=9)
    (found,) = comparison.differences
    if found.value == 0:  # pragma: no cover - the seeds above see to it
        pytest.fail("the two should differ")
    assert found.verdict == "no verdict"
    assert found.interval is None
    said = text(comparison)
    assert "No verdict on other against one" in said
    assert "there are only 18 rows to compare, and 20 are needed" in said


def test_two_halves_give_no_verdict(tmp_path: Path) -> None:
    """All of the difference is in one half: there are two stretches, not 4,000 rows."""
    half = np.where(np.arange(4000) < 2000, GOOD, GOOD & BAD)
    half[2000:] &= dependent(2000, 0.5, 0.5, seed=9)
    comparison = two(tmp_path, half.astype(bool), GOOD)
    assert comparison.differences[0].verdict == "no verdict"
    assert "points of accuracy, but" in text(comparison)


def test_other_streams_are_not_paired(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", {"": BAD}, LABELS)
    other = make_run(tmp_path / "other", {"": GOOD}, LABELS[::-1].copy())
    for kept in (True, False):
        if not kept:
            (one / "predictions.jsonl").unlink()
        comparison = compare_runs([one, other], resamples=500)
        (found,) = comparison.differences
        assert not found.paired
        assert found.data == ("predictions" if kept else "metrics")
        assert "not paired, since the streams may differ" in text(comparison)
        assert found.value == pytest.approx(GOOD.mean() - BAD.mean())
    (found,) = compare_runs([other, one], resamples=500).differences
    assert found.interval is None or found.interval[1] < 0


def test_unpaired_intervals_add_both_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    hits = [rng.random(3000) < share for share in (0.7, 0.75)]
    runs = [
        make_run(tmp_path / str(i), {"": each}, rng.integers(0, 3, 3000))
        for i, each in enumerate(hits)
    ]
    (found,) = compare_runs(runs, resamples=4000).differences
    expected = stats.ttest_ind(*(each.astype(float) for each in hits[::-1])).confidence_interval()
    assert found.interval == pytest.approx((expected.low, expected.high), abs=0.004)


def test_lengths_may_differ(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", {"": BAD}, LABELS)
    other = make_run(tmp_path / "other", {"": GOOD[:2500]}, LABELS[:2500])
    for kept in (True, False):
        if not kept:
            (one / "predictions.jsonl").unlink()
        comparison = compare_runs([one, other], resamples=500)
        (found,) = comparison.differences
        assert (found.paired, found.tested.rows) == (True, 2500)
        assert found.value == pytest.approx(GOOD[:2500].mean() - BAD[:2500].mean())
        assert "the runs have different lengths (2,500 to 4,000 rows)" in text(comparison)


def test_intervals_between_records_need_not_be_the_same(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", {"": BAD}, LABELS, every=20, predictions=False)
    other = make_run(tmp_path / "other", {"": GOOD}, LABELS, every=30, predictions=False)
    (found,) = compare_runs([one, other], resamples=500).differences
    assert found.paired
    assert found.tested.rows == 4000
    assert found.value == pytest.approx(GOOD.mean() - BAD.mean())


def test_sums_between_records_are_those_of_the_rows(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"": GOOD}, LABELS, every=70)
    (member,) = compare_runs([run, make_run(tmp_path / "b", {"": BAD}, LABELS)]).groups[0].learners
    outcomes = member.totals.outcomes()
    steps = outcomes.steps()
    ends = [0, *outcomes.positions.tolist()]
    for i, (start, end) in enumerate(pairwise(ends)):
        assert steps.sums[i] == np.count_nonzero(GOOD[start:end])
        assert steps.rows[i] == end - start
    cut = outcomes.steps(cut=True)
    assert cut.sums.tolist() == steps.sums[1:].tolist()


def test_logs_whose_oldest_part_is_gone_count_what_is_left(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name, {"": hits}, LABELS, every=20, predictions=False)
        for name, hits in (("one", BAD), ("other", GOOD))
    ]
    for run in runs:
        lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
        (run / "metrics.000002.jsonl").write_bytes(b"".join(lines[49:120]))
        (run / "metrics.jsonl").write_bytes(b"".join(lines[120:]))
    (found,) = compare_runs(runs, resamples=500).differences
    assert found.tested.rows == 3000
    assert found.value == pytest.approx(GOOD[1000:].mean() - BAD[1000:].mean())


def test_one_record_in_common_with_a_log_that_was_cut_is_no_pair(tmp_path: Path) -> None:
    one, other = (
        make_run(tmp_path / name, {"": hits}, LABELS, every=every, predictions=False)
        for name, hits, every in (("one", BAD, 20), ("other", GOOD, 21))
    )
    lines = (one / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (one / "metrics.000002.jsonl").write_bytes(b"".join(lines[190:]))  # 3,820 to 4,000
    (one / "metrics.jsonl").unlink()
    lines = (other / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (other / "metrics.jsonl").write_bytes(b"".join(lines[:182]))  # to 3,822: 3,820 is no multiple
    dump(other / "metrics.jsonl", [prequential(3840, GOOD, LABELS)], append=True)
    (found,) = compare_runs([one, other], resamples=500).differences
    assert not found.paired
    assert found.tested.rows == 180


def test_unlabelled_rows_are_left_out(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name, {"": hits}, LABELS) for name, hits in (("a", BAD), ("b", GOOD))
    ]
    for run in runs:
        rows = [*read_records(run, name="predictions")]
        for row in rows[1::2]:
            row["label"] = row["correct"] = None
        dump(run / "predictions.jsonl", rows)
    (found,) = compare_runs(runs, resamples=500).differences
    assert found.tested.rows == 2000
    assert found.value == pytest.approx(GOOD[::2].mean() - BAD[::2].mean())


JOB = "seed = {}\n[learner]\nlr = {}\n"


def seeds(folder: Path, name: str, lr: float, shares: list[float], first: int = 0) -> list[Path]:
    return [
        make_run(
            folder / f"{name}-s{seed}",
            {"": dependent(1000, share, 0.2, seed=seed + int(1e6 * lr))},
            LABELS[:1000],
            job=JOB.format(seed, lr),
        )
        for seed, share in enumerate(shares, first)
    ]


def test_runs_that_differ_in_their_seed_are_taken_together(tmp_path: Path) -> None:
    runs = [
        *seeds(tmp_path, "er", 0.1, [0.8, 0.82, 0.81]),
        *seeds(tmp_path, "none", 0.2, [0.7, 0.69, 0.72, 0.7]),
    ]
    comparison = compare_runs([runs[3], *runs[:3], *runs[4:]], resamples=500)
    assert [(g.name, len(g)) for g in comparison.groups] == [("none", 4), ("er", 3)]
    (found,) = comparison.differences
    ends = [[m.prequential["accuracy"] for m in group] for group in comparison.groups]
    test = stats.ttest_ind(ends[1], ends[0], equal_var=False).confidence_interval()
    assert found.seeds is not None
    assert found.seeds.interval == pytest.approx((test.low, test.high))
    assert found.paired
    assert found.value == pytest.approx(np.mean(ends[1]) - np.mean(ends[0]))
    said = text(comparison)
    assert "er (3 seeds)" in said
    assert "Over seeds (3 of er, 4 of none): +" in said
    assert "Welch" in said
    assert "With one seed each" not in said
    mean = stats.ttest_1samp(ends[1], 0).confidence_interval()
    assert f"{np.mean(ends[1]):.4f} +/- {mean.high - np.mean(ends[1]):.4f}" in said
    assert "learner.lr" in said
    assert comparison.settings["seed"] == [[0, 1, 2, 3], [0, 1, 2]]


def test_a_group_with_one_seed_has_no_interval_over_seeds(tmp_path: Path) -> None:
    runs = [*seeds(tmp_path, "er", 0.1, [0.8, 0.82]), *seeds(tmp_path, "none", 0.2, [0.7])]
    comparison = compare_runs(runs, resamples=500)
    assert comparison.differences[0].seeds is None
    assert "A difference from a group with one seed has no interval over seeds" in text(comparison)


def test_the_same_seed_twice_is_no_second_sample(tmp_path: Path) -> None:
    runs = seeds(tmp_path, "a", 0.1, [0.8]) + seeds(tmp_path, "b", 0.1, [0.8])
    comparison = compare_runs(runs, resamples=500)
    assert [len(group) for group in comparison.groups] == [1, 1]
    assert comparison.settings == {}


def test_learners_of_one_run_are_compared(tmp_path: Path) -> None:
    job = "[[learner]]\nname = 'er'\n[[learner]]\nname = 'none'\n[learner.buffer]\nkind = 'none'\n"
    run = make_run(tmp_path / "run", {"er": GOOD, "none": BAD}, LABELS, job=job)
    comparison = compare_runs([run], resamples=500)
    assert [group.name for group in comparison.groups] == ["er", "none"]
    assert comparison.differences[0].verdict == "worse"
    assert comparison.settings == {"buffer.kind": ["class_balanced", "none"]}
    alone = make_run(tmp_path / "alone", {"": EQUAL}, LABELS)
    both = compare_runs([alone, run], resamples=500)
    assert [group.name for group in both.groups] == ["alone", "run: er", "run: none"]
    assert [each.verdict for each in both.differences] == ["no difference", "worse"]
    said = text(both)
    assert "difference from alone" in said
    assert "Each of the 2 intervals is valid on its own" in said


def test_forgetting_that_prequential_scores_reward_is_said(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name, {"": hits}, LABELS) for name, hits in (("er", BAD), ("no", GOOD))
    ]
    for run, kept in zip(runs, (0.75, 0.25), strict=True):
        dump(run / "metrics.jsonl", [retention(4000, {"0": kept, "1": kept})], append=True)
    said = text(compare_runs(runs, resamples=500))
    assert (
        "But on rows that were never learned, no has -50.00 points of accuracy at the end" in said
    )
    assert "retained, forgetting: on rows of the probe" in said
    assert [line.split() for line in said.splitlines() if line.startswith("retained ")] == [
        ["retained", "0.7500", "0.2500", "-0.5000"]
    ]


@pytest.mark.parametrize(
    ("kept", "rows", "samples", "said"),
    [
        ((0.75, 0.25), 100, ("probe", "probe"), True),
        ((0.50, 0.40), 100, ("probe", "probe"), False),  # 2 errors: 0.14
        ((0.50, 0.40), 1000, ("probe", "probe"), True),
        ((0.75, 0.25), 100, ("probe", "test"), False),
    ],
)
def test_what_is_retained_is_said_where_it_is_clear(
    tmp_path: Path,
    kept: tuple[float, float],
    rows: int,
    samples: tuple[str, str],
    said: bool,
) -> None:
    runs = [
        make_run(tmp_path / name, {"": hits}, LABELS) for name, hits in (("er", BAD), ("no", GOOD))
    ]
    for run, share, sample in zip(runs, kept, samples, strict=True):
        record = {**retention(4000, {"0": share}, sample=sample), "rows": rows}
        dump(run / "metrics.jsonl", [record], append=True)
    assert ("on rows that were never learned" in text(compare_runs(runs, resamples=500))) == said


def test_retained_errors_need_several_seeds(tmp_path: Path) -> None:
    def run(name: str, seed: int, error: float, kept: float) -> Path:
        folder = tmp_path / f"{name}-s{seed}"
        folder.mkdir()
        (folder / "job.toml").write_text(JOB.format(seed, error))
        score = {"kind": "prequential", "unlabelled": 0, "no_change": {}, "mean": {}}
        records = [
            {**score, "position": n, "rows": n, "mae": error + 0.01 * seed}
            for n in range(10, 600, 10)
        ]
        last = {"kind": "retention", "position": 590, "sample": "test", "rows": 100}
        dump(folder / "metrics.jsonl", [*records, {**last, "mae": kept + 0.01 * seed}])
        return folder

    one = [run("one", seed, 1.0, 1.0) for seed in range(3)]
    other = [run("other", seed, 0.5, 2.0) for seed in range(3)]
    said = "But on rows that were never learned, other has +1.00 in mean absolute error at the end"
    assert said in text(compare_runs([*one, *other], resamples=500))
    assert "never learned" not in text(compare_runs([one[0], other[0]], resamples=500))


def test_numbers_are_compared_by_their_absolute_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    target = rng.normal(size=2000)
    runs = []
    for name, scale in (("one", 1.0), ("other", 0.5)):
        run = tmp_path / name
        run.mkdir()
        errors = np.abs(rng.normal(0, scale, 2000))
        dump(
            run / "predictions.jsonl",
            [
                {"position": i, "id": None, "prediction": 0.0, "target": t, "absolute_error": e}
                for i, (t, e) in enumerate(zip(target.tolist(), errors.tolist(), strict=True))
            ],
        )
        shared = {"kind": "prequential", "v": 1, "experience": 0, "experience_end": False}
        dump(
            run / "metrics.jsonl",
            [
                {
                    **shared,
                    "position": n,
                    "rows": n,
                    "unlabelled": 0,
                    "unpredicted": 0,
                    "mae": errors[:n].mean(),
                    "mse": (errors[:n] ** 2).mean(),
                    "no_change": {"mae": 1.0},
                    "mean": {"mae": 1.0},
                }
                for n in range(25, 2001, 25)
            ],
        )
        runs.append(run)
    comparison = compare_runs(runs, resamples=500)
    assert comparison.metric == "mae"
    (found,) = comparison.differences
    assert (found.verdict, found.data, found.paired) == ("better", "predictions", True)
    said = text(comparison)
    assert "The mean absolute error of other is 0.4" in said
    assert "lower than that of one" in said
    assert "settings that cannot be read: one, other" in said
    by_mse = compare_runs(runs, "mse", resamples=500).differences[0]
    assert (by_mse.verdict, by_mse.data) == ("better", "metrics")
    with pytest.raises(RunFolderError, match="one: has no accuracy in the last scores"):
        compare_runs(runs, "accuracy")
    classes = make_run(tmp_path / "classes", {"": GOOD}, LABELS)
    with pytest.raises(
        RunFolderError, match=r"predicts classes, .*one predicts numbers: their scores"
    ):
        compare_runs([runs[0], classes])


def test_labels_of_any_kind_tell_streams_apart(tmp_path: Path) -> None:
    def run(name: str, labels: list[Any]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rows = [
            {"position": i, "prediction": None, "label": label, "correct": False}
            for i, label in enumerate(labels)
        ]
        dump(folder / "predictions.jsonl", rows)
        dump(folder / "metrics.jsonl", [])
        return folder

    streams: list[list[Any]] = [
        [1, 2],
        ["1", "2"],
        [["1"], ["2"]],
        [None, 2],
        [{"a": 1}, 2],
        [2, 1],
        [-1, 2],
        [-2, 2],
        [True, 2],
    ]
    found = [
        read_predictions(run(str(i), labels), "exact_match")[""] for i, labels in enumerate(streams)
    ]
    for i, one in enumerate(found):
        for j, other in enumerate(found):
            assert (align([one, other]) is not None) == (i == j), (streams[i], streams[j])


def test_the_object_for_machines_is_json(tmp_path: Path) -> None:
    comparison = two(tmp_path, BAD, GOOD)
    found = json.loads(json.dumps(comparison_object(comparison)))
    assert found["metric"] == "accuracy"
    assert [group["name"] for group in found["groups"]] == ["one", "other"]
    (each,) = found["differences"]
    assert (each["from"], each["to"], each["verdict"]) == ("one", "other", "better")
    assert each["interval"][0] < each["value"] < each["interval"][1]
    assert found["groups"][0]["runs"][0]["prequential"]["rows"] == 4000
    again = comparison_object(compare_runs([tmp_path / "one", tmp_path / "other"], resamples=500))
    assert json.loads(json.dumps(again)) == found
    other = compare_runs([tmp_path / "one", tmp_path / "other"], resamples=500, seed=1)
    assert comparison_object(other)["differences"][0]["interval"] != each["interval"]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", {"": GOOD[:300]}, LABELS[:300])
    other = make_run(tmp_path / "other", {"": GOOD[:300]}, LABELS[:300])
    with pytest.raises(ConfigError, match="one: has one learner; give a second run"):
        compare_runs([one])
    with pytest.raises(ConfigError, match=r"--metric: must be a mean over rows .*got 'kappa'"):
        compare_runs([one, other], "kappa")
    with pytest.raises(ConfigError, match="--resamples: must be at least 100, got 10"):
        compare_runs([one, other], resamples=10)
    with pytest.raises(RunFolderError, match="there is no such folder"):
        compare_runs([one, tmp_path / "none"])
    (other / "metrics.jsonl").write_bytes(b"")
    with pytest.raises(RunFolderError, match="other: has no scores yet"):
        compare_runs([one, other])
    lines = (one / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (one / "predictions.jsonl").write_bytes(b"".join([*lines[:6], b"{\n", *lines[6:]]))
    with pytest.raises(RunFolderError, match=r"predictions\.jsonl:7: the line is damaged"):
        compare_runs([one, one])
    dump(one / "predictions.jsonl", [{"position": 0}])
    with pytest.raises(RunFolderError, match="predictions have no field 'correct'"):
        compare_runs([one, one])


def test_names_tell_runs_apart(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name / "out", {"": GOOD[:300]}, LABELS[:300]) for name in ("a", "b")
    ]
    assert [group.name for group in compare_runs(runs).groups] == ["a/out", "b/out"]


def test_names_cannot_talk_to_the_terminal(tmp_path: Path) -> None:
    bad = "a\x1b[31m"
    runs = [
        make_run(
            tmp_path / name, {"": hits}, LABELS, job=f"seed = {i}\n[learner]\nlr = 0.{i + 1}\n"
        )
        for i, (name, hits) in enumerate([(bad, BAD), ("b", GOOD), ("c", EQUAL)])
    ]
    for chosen in (runs[:2], runs):
        said = text(compare_runs(chosen, resamples=100))
        assert '"a\\u001b[31m"' in said
        assert all(line.isprintable() for line in said.splitlines())
    (runs[0] / "job.toml").unlink()
    assert '\nsettings that cannot be read: "a' in text(compare_runs(runs, resamples=100))


def test_every_metric_says_how_it_is_called() -> None:
    record = prequential(10, GOOD, LABELS)
    assert next(name for name in METRICS if name in record) == "accuracy"
    assert all(metric.noun for metric in METRICS.values())
