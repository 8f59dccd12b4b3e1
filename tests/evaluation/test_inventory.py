"""Records of what is stored: where they come, what they say, what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch.optim import SGD

from streamreplay import (
    ArraySource,
    Branches,
    ClassBalancedBuffer,
    Holdout,
    Inventory,
    Mixer,
    Pipeline,
    Prequential,
    TorchLearner,
    linear,
)
from streamreplay.batch import Batch
from streamreplay.buffers import description
from streamreplay.buffers.description import describe_state
from streamreplay.stage import Stage
from tests.contract.digest import plain


def stages(*, inventory: bool = True, report_every: int = 50) -> dict[str, Stage[Any, Any]]:
    buffer = ClassBalancedBuffer(20)
    found: dict[str, Stage[Any, Any]] = {
        "buffer": buffer,
        "mixer": Mixer(5),
        "learner": TorchLearner(linear(), lambda parameters: SGD(parameters, lr=0.1)),
        "evaluator": Prequential(report_every=report_every),
    }
    return found | ({"inventory": Inventory(buffer.describe)} if inventory else {})


def rows(n: int = 230) -> Batch:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.normal(y[:, None], 1.0, (n, 2))
    return Batch.from_arrays(x, y, task=np.arange(n) // 120, experience=np.arange(n) // 100)


def source(batch_size: int = 16) -> ArraySource:
    batch = rows()
    return ArraySource(
        batch.x, batch.y, task=batch.task, experience=batch.experience, batch_size=batch_size
    )


def records(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [record for report in pipeline for record in report.metrics]


def test_it_comes_last_in_each_report_with_scores() -> None:
    test = rows(20)
    pipeline = Pipeline(source(), holdout=Holdout(test), **stages())
    reports = [report.metrics for report in pipeline if report.metrics]
    for metrics in reports:
        kinds = [record["kind"] for record in metrics]
        assert kinds.count("buffer") == (1 if "prequential" in kinds else 0)
        assert "buffer" not in kinds[:-1]
        positions = [record["position"] for record in metrics]
        assert positions == sorted(positions)
    found = [record["position"] for metrics in reports for record in metrics][-3:]
    assert found == [230, 230, 230]


@pytest.mark.parametrize("batch_size", [1, 16, 100])
def test_it_says_what_is_stored_behind_the_whole_batch(batch_size: int) -> None:
    pipeline = Pipeline(source(batch_size), **stages())
    seen: list[tuple[int, Any]] = []
    for report in pipeline:
        stored = [record for record in report.metrics if record["kind"] == "buffer"]
        for record in stored:
            assert record["position"] == pipeline.position
            batch = pipeline["buffer"].buffer
            assert record["rows"] == len(batch) <= record["max_size"] == 20
            assert record["seen"] == pipeline.position
            counts = {y: int((batch.y == y).sum()) for y in np.unique(batch.y).tolist()}
            assert {y: each["rows"] for y, each in record["by_class"].items()} == counts
            ages = np.sort(pipeline.position - 1 - batch.t)
            assert (record["ages"]["newest"], record["ages"]["oldest"]) == (ages[0], ages[-1])
            assert sum(record["ages"]["counts"]) == sum(record["replays"]["counts"]) == len(batch)
            seen.append((record["position"], record))
    assert len(seen) >= 4
    assert "by_task" not in seen[0][1]
    assert set(seen[-1][1]["by_task"]) <= {0, 1}
    assert 1 in seen[-1][1]["by_task"]


def test_it_changes_nothing() -> None:
    with_it, without = (Pipeline(source(), **stages(inventory=there)) for there in (True, False))
    found, plain_records = records(with_it), records(without)
    assert [record for record in found if record["kind"] != "buffer"] == plain_records
    states = with_it.state_dict(), without.state_dict()
    assert states[0].pop("inventory") == {}
    assert plain(states[0]) == plain(states[1])


def test_a_run_that_goes_on_says_the_same() -> None:
    whole = records(Pipeline(source(), **stages()))
    first = Pipeline(source(), **stages())
    running: Iterator[Any] = iter(first)
    before = [record for _ in range(9) for record in next(running).metrics]
    again = Pipeline(source(), **stages())
    again.load_state_dict(first.state_dict())
    assert [*before, *records(again)] == whole


def test_a_branch_has_its_own_and_a_shared_buffer_is_nobodys() -> None:
    own = records(Pipeline(source(), learners=Branches({"a": stages(), "b": stages()})))
    alone = records(Pipeline(source(), **stages()))
    for name in ("a", "b"):
        assert [r for r in own if r["learner"] == name] == [{"learner": name, **r} for r in alone]
    parts = [stages(inventory=False) for _ in range(2)]
    buffer: Any = parts[0].pop("buffer")
    parts[1].pop("buffer")
    branches = Branches(dict(zip("ab", parts, strict=True)))
    pipeline = Pipeline(
        source(), buffer=buffer, learners=branches, inventory=Inventory(buffer.describe)
    )
    found = [record for record in records(pipeline) if record["kind"] == "buffer"]
    assert not any("learner" in record for record in found)
    assert [r["position"] for r in found] == [r["position"] for r in alone if r["kind"] == "buffer"]


def test_numbers_have_nothing_by_class() -> None:
    x = np.arange(60.0)[:, None]
    source = ArraySource(x, target=x, batch_size=8)
    found = [r for r in records(Pipeline(source, **stages())) if r["kind"] == "buffer"]
    assert len(found) == 2
    assert not any("by_class" in record for record in found)


def test_nothing_stored() -> None:
    buffer = ClassBalancedBuffer(0)
    made = {**stages(), "buffer": buffer, "inventory": Inventory(buffer.describe)}
    found = [r for r in records(Pipeline(source(), **made)) if r["kind"] == "buffer"]
    for record in found:
        assert (record["rows"], record["ages"], record["replays"]) == (0, None, None)


def state_of(
    t: NDArray[np.int64], groups: NDArray[np.int64], replayed: NDArray[np.int64]
) -> dict[str, Any]:
    columns = {"t": t, "y": groups, "task": np.zeros_like(t), "experience": groups * 10**12}
    return {
        "rows": {"columns": columns, "beside": {"replayed": replayed.astype(np.uint32)}},
        "reservoir": {"seen": 0},
        **dict.fromkeys(("max_size", "acceptance", "uniform_since")),
    }


@pytest.mark.parametrize("n", [7, 1000, 16_384, 16_385, 60_000])
def test_many_rows_are_counted_as_few_are(n: int) -> None:
    rng = np.random.default_rng(n)
    t = rng.permutation(5 * n)[:n]
    groups, replayed = rng.integers(-3, 9, n), rng.integers(0, 200, n)
    said = describe_state(state_of(t, groups, replayed), 6 * n)
    ages = 6 * n - 1 - t
    many = n > description._SORTED
    for by in ("by_class", "by_experience"):
        for group, told in said[by].items():
            mine = groups * (1 if by == "by_class" else 10**12) == group
            assert told["rows"] == mine.sum()
            assert told["replayed"] == replayed[mine].sum()
            within = ages.max() / (8192 // len(said[by])) + 1 if many else 0
            assert abs(told["median_age"] - np.median(ages[mine])) <= within
        assert sum(told["rows"] for told in said[by].values()) == n
    within = ages.max() / 8192 + 1 if many else 0
    for name, q in (("newest", 0), ("q25", 25), ("median", 50), ("q75", 75), ("oldest", 100)):
        exact = np.percentile(ages, q, method="lower")
        assert abs(said["age"][name] - exact) <= (within if 0 < q < 100 else 0)
    assert said["age"]["counts"] == np.histogram(ages, said["age"]["edges"])[0].tolist()
    bounds = [*said["replayed"]["at_least"], 10**9]
    assert said["replayed"]["counts"] == np.histogram(replayed, bounds)[0].tolist()
    assert (said["replayed"]["total"], said["replayed"]["most"]) == (
        replayed.sum(),
        replayed.max(),
    )
