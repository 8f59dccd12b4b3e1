"""The stage that adds records of what a buffer holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.by_group import LISTED, MOST, PLURALS
from streamreplay.records import Report

_FIELDS = ("rows", "max_size", "seen", "acceptance", "uniform_since", "nbytes")


class Inventory:
    """Add a record of what a buffer holds after the scores of a report.

    A stage `Report` -> `Report` behind the evaluator. Each report that has a ``prequential`` record
    gets one of kind ``buffer``, the last: what is stored once the report's whole batch was taken
    in. All fields are described in ``streamreplay schema --log``. It has no state.

    Parameters
    ----------
    describe : callable
        Given the rows of the stream so far, returns what is stored in numbers:
        `ExemplarsBuffer.describe`.

    Examples
    --------
    >>> from functools import partial
    >>> from torch.optim import SGD
    >>> from streamreplay import ArraySource, Mixer, Pipeline, Prequential
    >>> from streamreplay import ReservoirSamplingBuffer, TorchLearner, linear
    >>> buffer = ReservoirSamplingBuffer(10)
    >>> pipeline = Pipeline(
    ...     ArraySource([[0.0], [1.0]] * 50, [0, 1] * 50, batch_size=20),
    ...     buffer=buffer,
    ...     mixer=Mixer(10),
    ...     learner=TorchLearner(linear(), partial(SGD, lr=0.1)),
    ...     evaluator=Prequential(report_every=50),
    ...     inventory=Inventory(buffer.describe),
    ... )
    >>> records = [record for report in pipeline for record in report.metrics]
    >>> [(r["kind"], r["position"], r["rows"]) for r in records[:2]]
    [('prequential', 50, 50), ('buffer', 60, 10)]
    """

    def __init__(self, describe: Callable[[int], Mapping[str, Any]]) -> None:
        self._describe = describe

    def __call__(self, stream: Iterable[Report]) -> Iterator[Report]:
        """Yield every report; those with a prequential record get one more."""
        for report in stream:
            if any(record["kind"] == "prequential" for record in report.metrics):
                yield replace(report, metrics=(*report.metrics, self._record(report)))
            else:
                yield report

    def _record(self, report: Report) -> dict[str, Any]:
        position = max(int(record["position"]) for record in report.metrics)
        if report.scored is not None and len(report):
            position = max(position, int(report.scored.incoming.t[-1]) + 1)
        found = self._describe(position)
        of_classes = any("by_class" in record for record in report.metrics)
        return {
            "kind": "buffer",
            "position": position,
            **{name: found[name] for name in _FIELDS},
            **(_listed("class", found["by_class"], MOST) if of_classes else {}),
            **_listed("task", found["by_task"], LISTED),
            **_listed("experience", found["by_experience"], LISTED),
            "ages": found["age"],
            "replays": found["replayed"],
        }


def _listed(by: GroupBy, groups: Mapping[int, Any], most: int) -> dict[str, Any]:
    """Return fields with the groups that have the most rows; of equal ones the newest."""
    if by != "class" and not any(groups):
        return {}  # no other group than 0
    if len(groups) <= most:
        return {f"by_{by}": dict(groups)}
    kept = set(sorted(groups, key=lambda group: (-groups[group]["rows"], -group))[:most])
    return {
        f"by_{by}": {group: each for group, each in groups.items() if group in kept},
        f"{PLURALS[by]}_not_listed": len(groups) - most,
    }
