from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.errors import RunFolderError
from streamreplay.reading.compare.learners import read_learners
from streamreplay.reading.log_sample import EvenSample, sample_log
from streamreplay.reading.report.curves import read_curves
from streamreplay.reading.timing import timing_columns
from tests.reading.made import Made, write_run


@given(n=st.integers(1, 700), most=st.integers(2, 40))
def test_what_is_kept_is_even_and_has_both_ends(n: int, most: int) -> None:
    numbers = EvenSample[int](most)
    for i in range(n):
        numbers.add(i)
    kept = [*numbers]
    assert numbers.count == n
    assert kept[0] == 0
    assert kept[-1] == n - 1
    assert len(kept) <= most + 1
    assert len(kept) > min(n, most // 2) // 2
    steps = set(np.diff(kept[:-1]).tolist())
    assert len(steps) <= 1  # but for the last one


def test_long_lines_are_thinned_further() -> None:
    lines = EvenSample[bytes](2000, len)
    for _ in range(1500):
        lines.add(b"x" * 200_000)
    assert 100 <= len([*lines]) <= 201


@pytest.mark.parametrize("spaced", [False, True])
def test_streams_are_thinned_apart(tmp_path: Path, spaced: bool) -> None:
    made = Made(("a", "b", "c", "d", "e", "f"), rows=20_000, every=20, learner="er").records()
    run = write_run(tmp_path, made)
    if spaced:  # as another program would write them, in another order
        log = run / "metrics.jsonl"
        text = log.read_text().replace('":', '": ').replace('{"learner": "er", "kind"', '{"kind"')
        log.write_text(text.replace('"v": 1,', '"learner": "er", "v": 1,'))
    found = sample_log(run, most=100)
    counts = {key[1:]: (count, len(records)) for key, (count, records) in found.items()}
    assert counts.pop(("prequential", "", False)) == (3000, counts_kept := 95)
    assert counts.pop(("retention", "probe", False))[0] == 2997
    assert counts.pop(("buffer", "", False)) == (3000, counts_kept)
    assert counts == {  # what is rare is there whole
        ("prequential", "", True): (3, 3),
        ("retention", "test", True): (3, 3),
        ("retention", "probe", True): (3, 3),
        ("drift", "", False): (4, 4),
    }
    assert {key[0] for key in found} == {"er"}


def test_thinning_loses_no_row_of_a_class(tmp_path: Path) -> None:
    rng, rows, right, records = np.random.default_rng(0), 0, 0, []
    for i in range(1, 3001):
        hits = int(rng.integers(0, 11))
        rows, right = rows + 10, right + hits
        record = Made().prequential(10 * i)
        records.append({**record, "by_class": {"a": {"rows": rows, "accuracy": right / rows}}})
    trace = read_curves(write_run(tmp_path, records), most=50)[0]
    assert trace.by_class is not None
    counted, score = trace.by_class.between("accuracy")
    assert len(counted) < 60
    assert counted.sum() == rows
    np.testing.assert_allclose((counted * score).sum(), right)


def test_a_damaged_line_that_is_read_is_named(tmp_path: Path) -> None:
    run = Made().write(tmp_path)
    with (run / "metrics.jsonl").open("ab") as log:
        log.write(b'{"kind":"prequential","v":1,"position":9999, oh\n')
    lines = (run / "metrics.jsonl").read_bytes().count(b"\n")
    with pytest.raises(RunFolderError, match=rf"metrics\.jsonl:{lines}: the line is damaged"):
        read_curves(run)


def lines(spans: list[tuple[int, float, float]]) -> list[dict[str, Any]]:
    """Make lines of timings, each after so many rows and seconds, with a share of its time."""
    made: list[dict[str, Any]] = []
    position, elapsed = 0, 0.0
    for rows, seconds, share in spans:
        position, elapsed = position + rows, elapsed + seconds
        line = {
            "position": position,
            "elapsed_s": elapsed,
            "rows_per_s": rows / seconds,
            "latency_ms": {"p50": 1.0, "p99": float(rows)},
            "stages": {"learner": {"p99_ms": float(rows), "share": share}},
            "resident_bytes": 1000 + rows,
        }
        made.append({**line, "#before": made[-1]} if made else line)
    return made


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.floats(0.01, 5.0), st.floats(0.0, 1.0)),
        min_size=1,
        max_size=30,
    )
)
def test_stretches_of_the_clock_add_up(spans: list[tuple[int, float, float]]) -> None:
    found = timing_columns(lines(spans))
    rows, seconds = sum(each[0] for each in spans), sum(each[1] for each in spans)
    np.testing.assert_allclose(found["#rows"].sum(), rows)
    np.testing.assert_allclose(found["#seconds"].sum(), seconds, rtol=1e-6)
    busy = sum(each[1] * each[2] for each in spans)
    by_time = found["stages.learner.share"] @ found["#seconds"]
    np.testing.assert_allclose(by_time, busy, rtol=1e-6, atol=1e-9)
    squares = sum(each[0] ** 2 for each in spans)
    np.testing.assert_allclose(found["latency_ms.p99"] @ found["#rows"], squares, rtol=1e-6)
    assert found["position"][-1] == rows
    assert found["resident_bytes"].max() == 1000 + max(each[0] for each in spans)
    assert len(found["position"]) == max(1, len(spans) // 4)


def test_a_second_line_at_one_row_is_time_without_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path, Made().records(), timings=lines([(100, 1.0, 0.5)]))
    with (run / "timings.jsonl").open("ab") as log:
        log.write(b'{"position":100,"elapsed_s":3.0,"rows_per_s":0.0}\n')
    timings = read_curves(run)[0].run.timings
    assert timings["rows_per_s"].tolist() == [pytest.approx(100 / 3)]


def test_the_first_line_of_a_log_that_was_cut_counts_no_rows(tmp_path: Path) -> None:
    made = Made()
    clock = [
        {**each, "position": 10**6 + each["position"], "rows_per_s": 1.0 if i == 0 else 1000.0}
        for i, each in enumerate(made.timings())
    ]
    run = write_run(tmp_path / "run", made.records(), timings=clock)
    other = Made().write(tmp_path / "other")
    (run / "timings.jsonl").rename(run / "timings.000009.jsonl")
    timings = read_curves(run)[0].run.timings
    assert timings["#rows"].sum() == made.last - made.every
    assert timings["rows_per_s"].tolist() == [pytest.approx(1000)]
    rates = [m.rows_per_s for m in read_learners([run, other], None)[0]]
    assert rates == [pytest.approx(1000), pytest.approx(1000)]
    (run / "timings.000009.jsonl").rename(run / "timings.000001.jsonl")
    assert read_curves(run)[0].run.timings["#rows"].sum() == 10**6 + made.last


def test_a_run_that_was_taken_up_starts_its_clock_again() -> None:
    first, second = lines([(100, 4.0, 0.0), (100, 1.0, 0.0)])
    second |= {"elapsed_s": 1.0}  # of the process that went on
    found = timing_columns([first, second])
    assert found["#seconds"].tolist() == [pytest.approx(5.0)]
