"""The stage that adds records of how late labels came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, final

from streamreplay.records import Report


@final
class LabelLatency:
    """Add a record of how late labels came, and of what is likely of rows without one, to scores.

    A stage `Report` -> `Report` behind the evaluator of a stream with `LateLabels`. Each report
    that has a ``prequential`` record gets one of kind ``labels``, of the time when its whole batch
    was taken in. It has no state.

    Parameters
    ----------
    describe : callable
        Returns the fields of a record, such as those of `LateLabels` and `Verification`.

    Examples
    --------
    >>> stage = LabelLatency(lambda: {"pending": 3})
    >>> reports = [Report(None, ({"kind": "prequential", "position": 5},))]
    >>> [record for report in stage(reports) for record in report.metrics][1]
    {'kind': 'labels', 'position': 5, 'pending': 3}
    """

    def __init__(self, describe: Callable[[], Mapping[str, Any]]) -> None:
        self._describe = describe

    def __call__(self, stream: Iterable[Report]) -> Iterator[Report]:
        """Yield every report; those with a prequential record get one more."""
        for report in stream:
            at = [m["position"] for m in report.metrics if m["kind"] == "prequential"]
            if not at:
                yield report
                continue
            position = int(max(at))
            if report.scored is not None and len(report):
                position = max(position, int(report.scored.incoming.t[-1]) + 1)
            record = {"kind": "labels", "position": position, **self._describe()}
            yield replace(report, metrics=(*report.metrics, record))
