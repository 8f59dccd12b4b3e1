"""What the package offers, and what its log's documentation covers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamreplay import evaluation
from streamreplay.batch import Batch, Scored
from streamreplay.evaluation import Holdout, Prequential, Probe

LOG = Path(__file__).parents[2] / "docs" / "log.md"


def test_all_is_sorted_and_there() -> None:
    assert evaluation.__all__ == sorted(evaluation.__all__)
    assert all(hasattr(evaluation, name) for name in evaluation.__all__)


def fields(record: dict[str, Any]) -> set[str]:
    """Collect a record's own fields and those of its groups."""
    groups = [value for name, value in record.items() if name.startswith("by_")]
    return set(record).union(*(scores for group in groups for scores in group.values()))


def section_of(kind: str, part: str = "") -> str:
    """Return a kind's section up to its subsections, or one of these."""
    _, _, section = LOG.read_text(encoding="utf-8").partition(f"kind `{kind}`\n")
    parts = section.partition("\n## ")[0].split("\n### ")
    return next(text for text in (parts[1:] if part else parts) if text.startswith(part))


def documented(kind: str) -> set[str]:
    """Collect the fields in the tables of a kind's section."""
    return set(re.findall(r"^\| `(\w+)` \|", section_of(kind), re.MULTILINE))


def test_every_field_is_documented() -> None:
    batch = Batch.from_arrays([[0.0]], [0], task=3, experience=1)

    def stream() -> Iterator[Scored]:
        one = np.ones(1, np.float32)
        for each in Holdout(batch)(Probe(0.999)([batch])):
            yield Scored(each, np.zeros(1, np.int64), one, one)

    records = [record for report in Prequential()(stream()) for record in report.metrics]
    prequential, probe, test = records
    assert fields(prequential) == documented("prequential")
    assert (probe["sample"], test["sample"]) == ("probe", "test")
    assert fields(probe) == documented("retention")
    assert fields(probe) - fields(test) == {"probed", "withheld", "by_age"}


@pytest.mark.parametrize(
    ("target", "part"),
    [
        (np.array([[1.0, 2.0], [2.0, 3.0]]), "Where numbers are predicted"),
        (np.array([[True, False], [True, True]]), "Where a row has any number of labels"),
    ],
)
def test_every_field_of_targets_is_documented(target: NDArray[Any], part: str) -> None:
    batch = Batch.from_arrays([[0.0], [1.0]], target=target, task=3, experience=1)

    def stream() -> Iterator[Scored]:
        for each in Holdout(batch)(Probe(0.999)([batch])):
            yield Scored(each, target, np.ones(2, np.float32), np.ones(2, np.float32))

    prequential, probe, test = [r for report in Prequential()(stream()) for r in report.metrics]
    rows = [line for line in section_of("prequential", part).splitlines() if line[:2] == "| "]
    named = {name for line in rows for name in re.findall(r"`(\w+)`", line)}
    common = documented("prequential") & set(prequential)
    found = {re.sub("_(window|fading)$", "", name) for name in fields(prequential)}
    assert found - common == named - common - {"window", "null"}
    told = set(re.findall(r"`(\w+)`", section_of("retention")))
    assert set(test) < set(probe) <= told


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
