"""Which runs are one case with several seeds, and what cases are called."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from streamreplay.reading.estimates import LEVEL, t_quantile
from streamreplay.reading.report.columns import Floats
from streamreplay.reading.report.trace import Trace

__all__ = ["Case", "MeanCurve", "curve", "differences", "make_cases"]


@dataclass(frozen=True)
class Case:
    """Runs of one job that differ in nothing but the seed; mostly it is one run.

    Attributes
    ----------
    label : str
        What it is called.
    traces : list of Trace
    """

    label: str
    traces: list[Trace]

    @property
    def first(self) -> Trace:
        """The one that is drawn where not all can be."""
        return self.traces[0]


@dataclass(frozen=True)
class MeanCurve:
    """A mean over seeds along the stream.

    Attributes
    ----------
    x, y : float64[n]
    low, high : float64[n], optional
        The 95 % interval of the mean, where there are several seeds.
    """

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def make_cases(traces: Sequence[Trace]) -> list[Case]:
    """Group traces whose jobs differ only in ``seed``, and give each group a name of its own."""
    found: list[tuple[str, list[Trace]]] = []
    for trace in traces:
        key = _key(trace)
        for other, group in found:
            if other == key and trace.seed not in {each.seed for each in group}:
                group.append(trace)
                break
        else:
            found.append((key, [trace]))
    names = _names([trace.run for trace in traces])
    cases = [Case(_label(group, names), group) for _, group in found]
    return _own_labels(cases)


def _key(trace: Trace) -> str:
    job = {key: value for key, value in trace.job.items() if key != "seed"}
    alone = "" if trace.job and trace.seed is not None else str(trace.run)
    return json.dumps([alone, job, trace.learner, trace.objective], sort_keys=True, default=str)


def _names(runs: Sequence[Path]) -> dict[Path, str]:
    """Call each run by as much of the end of its path as tells it from the others."""
    paths = {run: Path(os.path.abspath(run)) for run in runs}  # noqa: PTH100 - links stay links
    for depth in range(1, 1 + max(len(path.parts) for path in paths.values())):
        names = {run: "/".join(path.parts[-depth:]) for run, path in paths.items()}
        if len(set(names.values())) == len(set(paths.values())):
            return names
    return {run: str(path) for run, path in paths.items()}


def _label(group: list[Trace], names: dict[Path, str]) -> str:
    own = [names[trace.run] for trace in group]
    name = own[0]
    if len(own) > 1:
        same = takewhile(lambda letters: len(set(letters)) == 1, zip(*own, strict=False))
        name = "".join(letters[0] for letters in same).rstrip("-_./ 0123456789")
        name = name or f"{own[0]} and others"
    learner = group[0].learner
    if learner is not None:
        name = learner if len(set(names.values())) == 1 else f"{name}: {learner}"
    return name if len(own) == 1 else f"{name} ({len(own)} seeds)"


def _own_labels(cases: list[Case]) -> list[Case]:
    taken: dict[str, int] = {}
    found = []
    for case in cases:
        taken[case.label] = number = taken.get(case.label, 0) + 1
        found.append(case if number == 1 else Case(f"{case.label}, {number}", case.traces))
    return found


def curve(case: Case, read: Callable[[Trace], tuple[Floats, Floats] | None]) -> MeanCurve | None:
    """Return the mean over a case's seeds of what a function reads from a trace.

    Where seeds are at different rows, values between records are taken from the straight line.

    Parameters
    ----------
    case : Case
    read : callable
        Returns positions and values, or None.
    """
    found = [given for trace in case.traces if (given := _known(read(trace))) is not None]
    if not found:
        return None
    x, y = found[0]
    if len(found) == 1:
        return MeanCurve(x, y)
    start, stop = max(each[0][0] for each in found), min(each[0][-1] for each in found)
    x = x[(x >= start) & (x <= stop)]
    if not len(x):
        return MeanCurve(*found[0])
    values = np.stack([np.interp(x, *each) for each in found])
    n = len(values)
    half = t_quantile((1 + LEVEL) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    mean: Floats = values.mean(axis=0)
    return MeanCurve(x, mean, mean - half, mean + half)


def _known(given: tuple[Floats, Floats] | None) -> tuple[Floats, Floats] | None:
    if given is None:
        return None
    x, y = given
    known = np.isfinite(y)
    known[:-1] &= (np.diff(x) > 0) | ~known[1:]  # of two at one row the later one
    return (x[known], y[known]) if known.any() else None


def differences(cases: Sequence[Case]) -> list[tuple[str, list[str]]]:
    """Return the keys of the jobs that are not the same in all cases, and their values.

    Examples
    --------
    >>> differences([])
    []
    """
    flat = [_flat(_job_of(case.first)) for case in cases]
    keys = dict.fromkeys(key for each in flat for key in each)
    found = []
    for key in keys:
        values = [_written(each.get(key)) for each in flat]
        if len(set(values)) > 1 and (key != "seed" or all(len(c.traces) == 1 for c in cases)):
            found.append((key, values))
    return found


def _job_of(trace: Trace) -> dict[str, Any]:
    """Return a job; of several learners as if there were only this one."""
    learners = trace.job.get("learner")
    if not isinstance(learners, list):
        return trace.job
    for place, learner in enumerate(learners, 1):
        if learner.get("name", f"learner{place}") == trace.learner:
            own = {key: value for key, value in learner.items() if key != "name"}
            parts = {key: own.pop(key) for key in ("buffer", "mixer") if key in own}
            return {**trace.job, **parts, "learner": own}
    return {key: value for key, value in trace.job.items() if key != "learner"}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _written(value: Any) -> str:
    return "-" if value is None else json.dumps(value, default=str, ensure_ascii=False).strip('"')
