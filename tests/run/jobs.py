"""Small runs of every objective, for what reads their logs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from streamreplay.config import load_job
from streamreplay.run import RunOptions, run_job

__all__ = ["JOBS", "run_all", "settings_of"]

COMMON = [
    "source.path={folder}/rows.jsonl",
    "source.features=['a', 'b']",
    "source.task=task",
    "source.experience=experience",
    "source.id=id",
    "source.batch_size=16",
    "learner.hidden=[4]",
    "buffer.max_size=40",
    "evaluator.report_every=60",
    "evaluator.window=30",
    "run.save_predictions=true",
    "run.emit=none",
]
TESTED = ["test.share=0.2", "test.every=70"]
PROBED = ["probe.share=0.2", "probe.every=50"]
WATCHED = ["drift.0.on=feature:a", "drift.0.detector=PageHinkley(threshold=1)"]
JOBS = {
    "classes": ["source.label=y"],
    "classes, tested": ["source.label=y", *TESTED],
    "classes, probed": ["source.label=y", *TESTED, *PROBED, "evaluator.metrics=['MacroF1', 'MCC']"],
    "classes, watched": ["source.label=y", *WATCHED],
    "classes, late": ["source.label=y", "labels.late=true"],
    "classes, with new columns": [
        *("source.label=y", "source.features=['a', 'late0', 'late1', 'late2']"),
        "features.infer_rows=50",
    ],
    "nothing stored": ["source.label=y", "buffer.max_size=0"],
    "number": ["source.target=price"],
    "numbers, tested": ["source.target=['price', 'size']", *TESTED, *PROBED],
    "labels": ["source.label=tags", "source.multilabel=['red', 'big']"],
    "labels, tested": [
        *("source.label=tags", "source.multilabel=['red', 'big']"),
        *(*TESTED, *PROBED),
    ],
    "several": ["source.label=y", *TESTED, "learner=[{}, {}]", "learner.1.module=linear"],
    "several, shared": ["source.label=y", "learner=[{}, {}]", "buffer.shared=true"],
}


def write(folder: Path, *, labelled: bool) -> None:
    """Write rows with everything: missing labels, a class 1 beside "1", lines that are broken."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(300):
        a, b = rng.standard_normal(2).round(3).tolist()
        row = {"id": f"r{i}", "a": a, "b": b, "task": i % 2, "experience": i // 100}
        row |= {"price": 10 * a, "size": b, "tags": ["red"] * (a > 0) + ["big"] * (b > 0)}
        row |= {f"late{place}": a for place in range(3)} if i > 99 else {}
        row["y"] = [1, "1", "cat"][i % 3]
        if i % 20 == 7 and not labelled:
            del row["price"], row["size"], row["tags"], row["y"]
        lines.append(json.dumps(row) if i % 90 else "broken" * 1000)
    (folder / "rows.jsonl").write_text("\n".join(lines))


def label_later(folder: Path) -> None:
    """Let the labels of rows come on lines of their own, 20 lines later."""
    path = folder / "rows.jsonl"
    waiting: list[str] = []
    lines: list[str] = []
    for line in path.read_text().splitlines():
        row = json.loads(line) if line.startswith("{") else {}
        if "y" in row:
            waiting.append(json.dumps({**row, "a": 0, "b": 0}))
            del row["y"]
        lines.append(json.dumps(row) if row else line)
        if len(waiting) > 20:
            lines.append(waiting.pop(0))
    path.write_text("\n".join([*lines, *waiting]))


def settings_of(name: str, folder: Path) -> list[str]:
    """Write the stream of a job into a folder, and return the job's settings."""
    settings = JOBS[name]
    write(folder, labelled="test.share=0.2" in settings)
    if "labels.late=true" in settings:
        label_later(folder)
    own = [setting.format(folder=folder) for setting in COMMON]
    if any(setting.startswith("learner=") for setting in settings):
        own.remove("learner.hidden=[4]")
    return [*own, *settings]


def run_all(folder: Path) -> dict[str, Path]:
    """Run every job; return the run folder of each."""
    for name in JOBS:
        job = load_job(None, settings_of(name, folder))
        assert run_job(job, RunOptions(folder / name, quiet=True)) == 0
    return {name: folder / name for name in JOBS}
