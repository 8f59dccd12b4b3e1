"""Run folders with logs that no run wrote: every kind of record, and figures to choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Made", "retention", "write_run"]


def write_run(
    folder: Path,
    records: Iterable[dict[str, Any]],
    *,
    timings: Iterable[dict[str, Any]] = (),
    job: str = "seed = 0\n",
) -> Path:
    """Write a run folder with some records, each in the order of its keys."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.toml").write_text(job, encoding="utf-8")
    for name, lines in (("metrics", records), ("timings", timings)):
        content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        (folder / f"{name}.jsonl").write_bytes(content)
    return folder


def retention(
    position: int,
    by_class: dict[str, float],
    *,
    end: bool = False,
    sample: str = "test",
    experience: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """Make a record of kind retention, 100 rows of each class."""
    known = list(by_class.values())
    return {
        "kind": "retention",
        "v": 1,
        "position": position,
        "after_experience": experience,
        "experience_end": end,
        "sample": sample,
        "rows": 100 * len(known),
        "accuracy": sum(known) / len(known),
        "balanced_accuracy": sum(known) / len(known),
        "average_accuracy": None,
        "forgetting": None,
        "backward_transfer": None,
        "forward_transfer": None,
        "class_forgetting": None,
        "accuracy_by_experience": {"0": sum(known) / len(known)},
        "by_class": {name: {"rows": 100, "accuracy": a} for name, a in by_class.items()},
        **more,
    }


class Made:
    """A stream of experiences of two classes each, whose model forgets as it is told to.

    Parameters
    ----------
    classes : sequence of str
    accuracy : float
        Of the classes of the present experience.
    kept : float
        What a class is still known of when others come: 1 for all of it.
    rows : int
        In an experience.
    every : int
        Rows between two records.
    learner : str, optional
        Its name, where there are several.
    baseline : float
        Accuracy of repeating the last label.
    """

    def __init__(
        self,
        classes: Sequence[str] = ("a", "b", "c", "d"),
        *,
        accuracy: float = 0.9,
        kept: float = 0.5,
        rows: int = 2000,
        every: int = 500,
        learner: str | None = None,
        baseline: float = 0.5,
    ) -> None:
        self.classes = list(classes)
        self.accuracy, self.kept, self.baseline = accuracy, kept, baseline
        self.rows, self.every = rows, every
        self.head = {} if learner is None else {"learner": learner}

    @property
    def last(self) -> int:
        """Rows of the stream."""
        return self.rows * (len(self.classes) // 2)

    def records(
        self, *, test: bool = True, probe: bool = True, drifts: bool = True, buffer: bool = True
    ) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, by kind as asked for."""
        made: list[dict[str, Any]] = []
        for position in range(self.every, self.last + 1, self.every):
            end = position % self.rows == 0
            made.append(self.prequential(position))
            if end:
                made.append(self.prequential(position, end=True))
            if test and end:
                made.append(self.round(position, "test", end=True))
            if probe:
                made.append(self.round(position, "probe", end=end))
            if drifts and position % self.rows == self.every and position > self.rows:
                made += [self.drift(position, "warning"), self.drift(position, "drift")]
            if buffer:
                made.append(self.buffer(position))
        return [{**self.head, **record} for record in made]

    def prequential(self, position: int, *, end: bool = False) -> dict[str, Any]:
        """Make a record of kind prequential."""
        shares = {"accuracy": self.accuracy, "accuracy_window": self.accuracy + 0.02}
        experience = (position - 1) // self.rows
        seen = self.classes[: 2 * experience + 2]
        return {
            "kind": "prequential",
            "v": 1,
            "position": position,
            "experience": experience,
            "experience_end": end,
            "rows": position,
            "unlabelled": 0,
            **shares,
            "accuracy_fading": self.accuracy,
            "loss": 0.3,
            "loss_window": 0.25,
            "kappa": 0.8,
            "kappa_temporal": 0.7,
            "brier": 0.2,
            "brier_window": 0.15,
            "ece": 0.05,
            "ece_window": 0.04,
            "metrics": {"MacroF1": 0.8, "MacroF1_window": 0.82, "MacroF1_fading": 0.81},
            "no_change": {"accuracy": self.baseline, "accuracy_window": self.baseline},
            "majority": {"accuracy": 0.25, "accuracy_window": 0.0},
            "by_class": {
                name: {"rows": position // len(seen), "accuracy": self.accuracy} for name in seen
            },
            "replayed": 3 * position,
            "skipped": 0,
        }

    def round(self, position: int, sample: str, *, end: bool) -> dict[str, Any]:
        """Make a record of kind retention."""
        now = (position - 1) // self.rows
        known = {
            name: self.accuracy if i // 2 == now else self.accuracy * self.kept
            for i, name in enumerate(self.classes)
            if i // 2 <= now
        }
        by_experience = {
            str(e): sum(known[n] for n in self.classes[2 * e : 2 * e + 2]) / 2
            for e in range(now + 1)
        }
        lost = self.accuracy * (1 - self.kept)
        more: dict[str, Any] = {
            "average_accuracy": sum(by_experience.values()) / (now + 1) if end else None,
            "forgetting": lost if end and now else None,
            "backward_transfer": -lost if end and now else None,
            "class_forgetting": lost if now else 0.0,
            "area": 0.7,
            "min_accuracy": self.accuracy * self.kept if now else None,
            "stability_gap": None
            if not now
            else {
                "since": now * self.rows,
                "before": self.accuracy,
                "depth": lost,
                "recovered_after": None,
            },
            "accuracy_by_experience": by_experience,
        }
        if sample == "probe":
            ages = {"1000": self.accuracy, "10000": self.accuracy * self.kept}
            more["by_age"] = {age: {"rows": 50, "accuracy": a} for age, a in ages.items()}
            more |= {"probed": position // 4, "withheld": position // 50}
        return retention(position, known, end=end, sample=sample, experience=now, **more)

    def drift(self, position: int, level: str) -> dict[str, Any]:
        """Make a record of kind drift."""
        return {
            "kind": "drift",
            "v": 1,
            "position": position,
            "experience": (position - 1) // self.rows,
            "level": level,
            "name": "adwin-error",
            "detector": "ADWIN",
            "on": "error",
            "value": 1.0,
            "actions": ["replay(2.0, rows=500)"] if level == "drift" else [],
        }

    def buffer(self, position: int) -> dict[str, Any]:
        """Make a record of kind buffer."""
        seen = self.classes[: 2 * ((position - 1) // self.rows) + 2]
        stored = {"rows": 200 // len(seen), "median_age": position / 2, "replayed": position}
        return {
            "kind": "buffer",
            "v": 1,
            "position": position,
            "rows": 200 // len(seen) * len(seen),
            "max_size": 200,
            "seen": position,
            "acceptance": 0.1,
            "uniform_since": 0,
            "nbytes": 12_000,
            "by_class": dict.fromkeys(seen, stored),
            "ages": {
                "newest": 0,
                "q25": position // 4,
                "median": position // 2,
                "q75": 3 * position // 4,
                "oldest": position,
                "edges": [0, position],
                "counts": [200],
            },
            "replays": {
                "total": 3 * position,
                "mean": 3 * position / 200,
                "most": 40,
                "never": 3,
                "at_least": [0, 1],
                "counts": [3, 197],
            },
        }

    def timings(self) -> list[dict[str, Any]]:
        """Make the lines of timings.jsonl: 1,000 rows a second."""
        own = f"{self.head['learner']}." if self.head else ""
        stages = {
            "source": 0.1,
            f"{own}buffer": 0.1,
            f"{own}mixer": 0.05,
            f"{own}learner": 0.6,
            "evaluator": 0.1,
        }
        return [
            {
                "position": position,
                "time": 1.7e9 + position / 1000,
                "elapsed_s": position / 1000,
                "rows_per_s": 1000.0,
                "latency_ms": {"p50": 2.0, "p99": 9.0},
                "share": {"source": 0.1, "stages": 0.85},
                "stages": {
                    name: {"p50_ms": share, "p99_ms": 4 * share, "share": share}
                    for name, share in stages.items()
                },
                "replayed": 3 * self.every,
                "throttled": 0,
                "resident_bytes": 300_000_000,
            }
            for position in range(self.every, self.last + 1, self.every)
        ]

    def write(self, folder: Path, *, job: str = "seed = 0\n", **kinds: bool) -> Path:
        """Write a run folder of it."""
        return write_run(folder, self.records(**kinds), timings=self.timings(), job=job)
