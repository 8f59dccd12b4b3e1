from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from streamreplay import load_job
from streamreplay.predicting import PredictOptions, predict_rows
from streamreplay.run import RunOptions, run_job

Record: TypeAlias = dict[str, Any]
Train: TypeAlias = Callable[..., Path]
Predict: TypeAlias = Callable[..., tuple[int, list[Record], str]]

COLOURS = ("red", "green", "blue")


def table(n: int, seed: int = 0) -> list[Record]:
    """Rows of a table: numbers, one with gaps, a category, a time, an id, three classes."""
    rng = np.random.default_rng(seed)
    rows: list[Record] = []
    for i in range(n):
        y = int(rng.integers(3))
        size = None if rng.random() < 0.1 else round(float(rng.normal(y, 0.4)), 4)
        colour = COLOURS[y if rng.random() < 0.7 else int(rng.integers(3))]
        day = f"2024-0{1 + i % 9}-1{i % 10}T0{i % 10}:00:00"
        rows.append(
            {
                "key": f"k{i}",
                "size": size,
                "colour": colour,
                "weight": int(rng.integers(1, 9)),
                "when": day,
                "y": ["cat", "dog", "emu"][y],
            }
        )
    return rows


def numbers(n: int, seed: int = 0) -> list[Record]:
    """Rows of plain numbers, two classes."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        y = int(rng.integers(2))
        a, b = (rng.normal([y, -y], 0.4)).round(4).tolist()
        rows.append({"id": i, "a": a, "b": b, "y": ["no", "yes"][y]})
    return rows


def as_csv(rows: Sequence[Record], columns: Sequence[str] | None = None) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_jsonl(rows: Sequence[Record]) -> str:
    present = ({k: v for k, v in row.items() if v is not None} for row in rows)
    return "".join(json.dumps(row) + "\n" for row in present)


def trained_run(folder: Path, text: str, *settings: str) -> Path:
    """Run a job on the text of a CSV, and return the run folder."""
    path = write(folder / "a.csv", text)
    common = ["run.emit=none", "learner.hidden=[16]", f"source.path={path}"]
    run_job(load_job(None, [*common, *settings]), RunOptions(out=folder / "run", quiet=True))
    return folder / "run"


def without(rows: Sequence[Record], *columns: str) -> list[Record]:
    return [{k: v for k, v in row.items() if k not in columns} for row in rows]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Run a job on a file in this process, and return the run folder."""

    def run(path: Path, *settings: str, name: str = "run", **options: Any) -> Path:
        common = ["run.emit=none", f"source.path={path}"]
        if not any("learner.river" in each for each in settings):
            common += ["learner.hidden=[16]", "learner.lr=0.01"]
        job = load_job(None, [*common, *settings])
        run_job(job, RunOptions(out=tmp_path / name, quiet=True, **options))
        return tmp_path / name

    return run


@pytest.fixture
def predict(capfd: pytest.CaptureFixture[str]) -> Predict:
    """Predict files with a run: the exit code, the lines as objects, standard error."""

    def run(run: Path, *files: Path, **options: Any) -> tuple[int, list[Record], str]:
        capfd.readouterr()
        code = predict_rows(run, PredictOptions([*map(str, files)], **options))
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
