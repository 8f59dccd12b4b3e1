from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamreplay.reading.report.curves import CurveGroup, read_curves
from streamreplay.reading.report.group_comparison import comparison_sentences, scores_table
from streamreplay.reading.report.learner_sentences import Sentence, learner_sentences
from streamreplay.reading.seed_groups import group_by_seed
from tests.reading.made import Made, retention, write_run


def said(folder: Path, records: list[dict[str, Any]], **kinds: Any) -> list[Sentence]:
    (learner,) = read_curves(write_run(folder, records, **kinds))
    return learner_sentences(learner)


def warnings(sentences: list[Sentence]) -> str:
    return " ".join(each.text for each in sentences if each.tone == "warning").replace("\xa0", " ")


def text(sentences: list[Sentence]) -> str:
    return " ".join(each.text for each in sentences).replace("\xa0", " ")


def test_what_prequential_accuracy_hides_is_said(tmp_path: Path) -> None:
    made = Made([*"abcdefghij"], accuracy=0.97, kept=0.0).records(probe=False, drifts=False)
    assert (
        "Prequential accuracy alone is misleading here: 97.0 % of the rows were predicted "
        "correctly as they came, but on rows that the model never learned, its mean accuracy over "
        "the classes seen is 19.4 %."
    ) in warnings(said(tmp_path, made))


def test_it_is_not_said_where_nothing_is_hidden(tmp_path: Path) -> None:
    found = said(tmp_path, Made(accuracy=0.97, kept=0.95).records())
    assert "misleading" not in text(found)
    assert "No class fell by 5 points or more from its best." in text(found)


def test_a_window_may_mislead_where_the_mean_does_not(tmp_path: Path) -> None:
    records = [
        {**each, "accuracy": 0.5, "accuracy_window": 0.98} if "accuracy_window" in each else each
        for each in Made(accuracy=0.97, kept=0.1).records(probe=False)
    ]
    assert "98.0 % of the last 1,000 rows were predicted correctly" in warnings(
        said(tmp_path, records)
    )


@pytest.mark.parametrize(("rare", "hidden"), [(0.0, False), (0.9, True)])
def test_classes_of_different_size_alone_do_not_mislead(
    tmp_path: Path, rare: float, hidden: bool
) -> None:
    records = []
    for position in (1000, 2000):
        scores = {"accuracy": 0.9, "accuracy_window": 0.9}
        classes = {"a": {"rows": 95 * position // 100, "accuracy": 0.95}}
        classes["b"] = {"rows": 5 * position // 100, "accuracy": rare}
        records.append({**Made().prequential(position), **scores, "by_class": classes})
    known = retention(2000, {"a": 0.95, "b": 0.05})  # 50 % over classes
    found = warnings(said(tmp_path, [*records, known]))
    assert ("Prequential accuracy alone is misleading" in found) == hidden


def test_a_window_of_few_classes_misleads(tmp_path: Path) -> None:
    first, last = (
        {**Made().prequential(position), "accuracy": 0.6, "accuracy_window": 0.97}
        | {"by_class": {"a": {"rows": 1000, "accuracy": 0.5}, **more}}
        for position, more in ((1000, {}), (2000, {"b": {"rows": 1000, "accuracy": 0.7}}))
    )
    known = retention(2000, {"a": 0.55, "b": 0.55})
    found = warnings(said(tmp_path, [first, last, known]))
    assert "97.0 % of the last 1,000 rows were predicted correctly" in found


def test_a_baseline_that_is_better_is_said(tmp_path: Path) -> None:
    found = said(tmp_path, Made(accuracy=0.8, baseline=0.853).records())
    assert (
        "The model is not better than repeating the last label: 80.0 % against 85.3 %, over all "
        "4,000 labelled rows. Without any model: repeating the last label 85.3 % and the most "
        "frequent class 25.0 %."
    ) in warnings(found)
    better = said(tmp_path / "b", Made(accuracy=0.9, baseline=0.853).records())
    assert (
        "Without any model the same score over all 4,000 labelled rows would be: repeating the "
        "last label 85.3 % and the most frequent class 25.0 %. Over these rows the model is 4.7 "
        "points better than repeating the last label."
    ) in text(better)
    assert "But over the last" not in text(found) + text(better)


@pytest.mark.parametrize(
    ("overall", "window", "expected"),
    [
        (
            0.9,
            0.7,
            "But over the last 1,000 it is not better than repeating the last label: 70.0 %",
        ),
        (0.7, 0.9, "But over the last 1,000 it is 10.0 points better than repeating the last"),
    ],
)
def test_a_last_window_that_disagrees_is_said(
    tmp_path: Path, overall: float, window: float, expected: str
) -> None:
    record = Made(baseline=0.8).prequential(4000)
    record |= {"accuracy": overall, "accuracy_window": window}
    assert expected in warnings(said(tmp_path, [record]))
    short = record | {"rows": 900}  # then the window is of all rows
    assert "But over the last" not in text(said(tmp_path / "short", [short]))


def test_the_worst_classes_are_named(tmp_path: Path) -> None:
    best = dict.fromkeys("abcde", 0.9) | {"f": 0.5}
    now = {"a": 0.3, "b": 0.9, "c": 0.1, "d": 0.84, "e": 0.2, "f": 0.49}
    rounds = [retention(500, best), retention(1000, now, class_forgetting=0.345)]
    found = text(said(tmp_path, [Made().prequential(1000), *rounds]))
    assert (
        "Most forgotten: class c (from 90.0 % to 10.0 %), e (from 90.0 % to 20.0 %) and a (from "
        "90.0 % to 30.0 %), and 1 more that fell by 5 points or more."
    ) in found
    assert "On average over earlier classes, the model is 34.5 points below its best." in found


def test_the_best_round_is_found_among_many(tmp_path: Path) -> None:
    rounds = [retention(i, {"a": 1.0 if i == 502 else 0.5}) for i in range(1, 1001)]
    found = text(said(tmp_path, [Made().prequential(1000), *rounds]))
    assert "Most forgotten: class a (from 100 % to 50.0 %)." in found


@pytest.mark.parametrize(("rows", "clear"), [(10, False), (400, True)])
def test_a_fall_that_may_be_chance_is_called_so(tmp_path: Path, rows: int, clear: bool) -> None:
    best, last = (
        retention(position, {"a": accuracy}, sample="probe", class_forgetting=fell)
        for position, accuracy, fell in ((500, 0.9, None), (1000, 0.7, 0.2))
    )
    for each in (best, last):
        each["by_class"]["a"]["rows"] = each["rows"] = rows
    found = text(said(tmp_path, [Made().prequential(1000), best, last]))
    assert ("Most forgotten: class a (from 90.0 % to 70.0 %)." in found) == clear
    assert ("No class fell by 5 points or more from its best, beyond what chance" in found) != clear
    assert ("20.0 points below its best, which in so few rows may be chance." in found) != clear


def test_without_held_out_rows_forgetting_is_not_known(tmp_path: Path) -> None:
    found = said(tmp_path, Made().records(test=False, probe=False))
    assert "Forgetting was not measured" in warnings(found)
    assert "`--probe 0.02`" in warnings(found)


def test_probe_and_test_set_are_compared(tmp_path: Path) -> None:
    rounds = [
        retention(1000, {"a": 0.80, "b": 0.80}),
        retention(1000, {"a": 0.83, "b": 0.83}, sample="probe", probed=4000, withheld=200),
    ]
    found = text(said(tmp_path, [Made().prequential(1000), *rounds]))
    assert "On 200 rows that it never learned (test set), the model's accuracy is 80.0 %" in found
    assert (
        "On the probe (200 rows) its accuracy is 83.0 %, 3.0 points from that on the test set."
        in found
    )
    alone = text(said(tmp_path / "b", [Made().prequential(1000), rounds[1]]))
    assert "The probe kept 200 rows out of learning and cost 4,000 predictions." in alone


@pytest.mark.parametrize(("after", "expected"), [(None, "it has not recovered"), (300, "300 rows")])
def test_a_stability_gap_is_said(tmp_path: Path, after: int | None, expected: str) -> None:
    gap = {"since": 2000, "before": 0.9, "depth": 0.25, "recovered_after": after}
    last = retention(3000, {"a": 0.9, "b": 0.9}, stability_gap=gap)
    found = said(tmp_path, [Made().prequential(3000), last])
    assert "at row 2,000, the score on earlier ones fell by 25.0 points" in text(found)
    assert expected in text(found)
    assert ("fell by 25.0" in warnings(found)) is (after is None)


def test_drifts_are_said(tmp_path: Path) -> None:
    found = text(said(tmp_path, Made([*"abcdefghijkl"]).records()))
    assert (
        "5 drifts were detected, by ADWIN on error, at rows 2,500, 4,500, 6,500 and 2 more; "
        "actions: replay(2.0, rows=500)."
    ) in found
    assert "There were 5 warnings of drift." in found
    one = text(said(tmp_path / "one", Made().records()))
    assert "Drift was detected once, by ADWIN on error, at row 2,500;" in one
    none = Made().records(drifts=False)
    assert "rift" not in text(said(tmp_path / "none", none))
    watched = 'seed = 0\n[[drift]]\ndetector = "ADWIN"\n'
    assert "No drift was detected." in text(said(tmp_path / "watched", none, job=watched))


def test_what_replay_and_the_run_cost_is_said(tmp_path: Path) -> None:
    made = Made()
    found = text(said(tmp_path, made.records(), timings=made.timings()))
    assert "12,000 memory rows were replayed, 3 for each row that came." in found
    assert (
        "The run processed 1,000 rows per second, with a typical 99th percentile of 9 ms for a "
        "batch, in 300 MB"
    ) in found
    none = [{**each, "replayed": 0} for each in made.records() if each["kind"] == "prequential"]
    assert "Nothing was replayed." in text(said(tmp_path / "none", none))


def test_rows_without_labels_are_said(tmp_path: Path) -> None:
    record = Made().prequential(1000) | {"rows": 0, "accuracy": None, "accuracy_window": None}
    assert "None of the 1,000 rows so far had a label" in text(said(tmp_path, [record]))


def test_errors_of_numbers_are_better_when_they_are_lower(tmp_path: Path) -> None:
    record = {
        "kind": "prequential",
        "position": 1000,
        "experience": 0,
        "experience_end": True,
        "rows": 1000,
        "mae": 2.5,
        "mae_window": 2.4,
        "no_change": {"mae": 2.0},
        "mean": {"mae": 9.0},
        "replayed": 0,
    }
    found = said(tmp_path, [record])
    assert "Over 1,000 labelled rows the mean absolute error was 2.5." in text(found)
    assert (
        "not better than repeating the last number: 2.5 against 2, over all 1,000 labelled rows."
        in warnings(found)
    )
    better = said(tmp_path / "b", [{**record, "mae": 1.5}])
    assert "Over these rows the model is 0.5 better than repeating the last number." in text(better)


def test_runs_are_ranked_and_a_wrong_impression_is_said(tmp_path: Path) -> None:
    job = 'seed = {}\n[buffer]\nkind = "{}"\n'
    runs = [
        Made(accuracy=accuracy, kept=kept).write(
            tmp_path / f"{kind}-{seed}", job=job.format(seed, kind)
        )
        for kind, accuracy, kept in (("none", 0.95, 0.0), ("reservoir", 0.90, 0.9))
        for seed in (0, 1)
    ]
    groups = group_by_seed([each for run in runs for each in read_curves(run)])
    found = comparison_sentences(groups)
    assert (
        "Retained accuracy at the end: reservoir (2 seeds) is best with 85.5 %, none (2 seeds) is "
        "worst with 47.5 %."
    ) in text(found)
    assert "prequential accuracy alone is misleading here" in warnings(found)
    table = scores_table(groups)
    place = table.header.index("retained: accuracy")
    cells = [row[place].replace("\xa0", " ") for row in table.rows]
    assert cells == ["47.5 % ± 0.0", "85.5 % ± 0.0\n+38.0 ± 0.0"]


def test_no_best_is_named_where_all_are_equal(tmp_path: Path) -> None:
    job = 'seed = 0\n[buffer]\nkind = "{}"\n'

    def groups(*accuracies: float) -> list[CurveGroup]:
        runs = [
            Made(accuracy=accuracy, kept=0.5).write(
                tmp_path / f"{len(accuracies)}-{i}-{accuracy}", job=job.format(i)
            )
            for i, accuracy in enumerate(accuracies)
        ]
        return group_by_seed([each for run in runs for each in read_curves(run)])

    found = text(comparison_sentences(groups(0.9, 0.9)))
    assert found == (
        "Accuracy as rows came: all have 90.0 %. Retained accuracy at the end: all have 67.5 %."
    )
    found = text(comparison_sentences(groups(0.9, 0.8, 0.7)))
    assert "3-2-0.7 is worst with 70.0 %" in found
    assert "`streamreplay compare` tests whether such a difference may be chance." in found


def test_differences_of_errors_have_intervals(tmp_path: Path) -> None:
    runs = []
    for kind, base in (("none", 1.0), ("reservoir", 0.5)):
        for seed in range(3):
            record = {
                "kind": "prequential",
                "position": 100,
                "experience": 0,
                "rows": 100,
                "mae": base + 0.1 * seed,
                "mae_window": 0.1 + 0.2,
                "replayed": 0,
            }
            job = f'seed = {seed}\n[buffer]\nkind = "{kind}"\n'
            runs.append(write_run(tmp_path / f"{kind}-{seed}", [record], job=job))
    table = scores_table(group_by_seed([each for run in runs for each in read_curves(run)]))
    cells = [row[1] for row in table.rows]
    # three values 0.1 apart: 4.303 * 0.1 / sqrt(3) = 0.248; Welch 2.776 * 0.1 * sqrt(2 / 3)
    assert cells == ["1.1 ± 0.25", "0.6 ± 0.25\n\N{MINUS SIGN}0.5 ± 0.23"]
    place = table.header.index("in the last window")
    assert [row[place] for row in table.rows] == ["0.3 ± 0", "0.3 ± 0\n+0 ± 0"]


def test_runs_of_other_lengths_are_said(tmp_path: Path) -> None:
    runs = [Made(rows=rows).write(tmp_path / str(rows)) for rows in (1000, 2000)]
    for run, seed in zip(runs, (0, 0), strict=True):
        (run / "job.toml").write_text(f"seed = {seed}\n")
    groups = group_by_seed([each for run in runs for each in read_curves(run)])
    assert "The runs have different lengths" in warnings(comparison_sentences(groups))
