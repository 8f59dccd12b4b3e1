"""A linear model over a CSV, whole commands: ours against Vowpal Wabbit and River.

The stream has 8 numbers and 4 classes, drawn from a softmax. `streamreplay run` reads it as a
CSV, predicts each batch before it learns it, and scores and logs; no replay, one torch thread.
Vowpal Wabbit (``--oaa 4 --loss_function logistic``) reads the same rows in its own format, which is
quicker to parse than CSV, and predicts each row before it learns it. River reads the CSV by
``stream.iter_csv`` and scales, predicts, learns and scores row by row with softmax regression; it
is given the first rows only. Processor time of whole processes, by turns.

    .venv-peers/bin/python -m benchmarks.peers.linear [--rounds 3] [--rows 2000000]
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.common import interleave, machine, median, save, table

SHARE = 20  # River gets one row in so many
PART = 100_000

VOWPAL_WABBIT = """
import sys
from vowpalwabbit import Workspace
learner = Workspace(f"--oaa 4 --loss_function logistic --quiet -d {sys.argv[1]}")
print("accuracy", 1 - learner.get_sum_loss() / learner.get_weighted_examples())
learner.finish()
"""
RIVER = """
import sys
from river import linear_model, metrics, preprocessing, stream
model = preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
accuracy = metrics.Accuracy()
numbers = {f"f{i}": float for i in range(8)}
for x, y in stream.iter_csv(sys.argv[1], target="y", converters=numbers):
    accuracy.update(y, model.predict_one(x))
    model.learn_one(x, y)
print("accuracy", accuracy.get())
"""


def write_files(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8, 4))
    names = [f"f{i}" for i in range(8)]
    with (folder / "rows.csv").open("w") as ours, (folder / "rows.vw").open("w") as theirs:
        ours.write(",".join([*names, "y"]) + "\n")
        for _ in range(0, rows, PART):
            x = np.round(rng.normal(size=(PART, 8)), 4)
            labels = (x @ weights + rng.gumbel(size=(PART, 4))).argmax(1).tolist()
            for row, label in zip(x.tolist(), labels, strict=True):
                ours.write(",".join(map(repr, row)) + f",c{label}\n")
                pairs = (f"{name}:{value!r}" for name, value in zip(names, row, strict=True))
                theirs.write(f"{label + 1} | {' '.join(pairs)}\n")
    with (folder / "rows.csv").open() as whole:
        (folder / "first.csv").write_text("".join(islice(whole, 1 + rows // SHARE)))


def timed(command: list[str], folder: Path, accuracies: list[float]) -> float:
    """Return the processor time of a command, and note the accuracy that it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"accuracy ([\d.]+)", done.stdout + done.stderr)
    if found is None:
        raise ValueError(f"no accuracy in {done.stdout + done.stderr!r}")
    accuracies.append(float(found[1]))
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(path: str, batch: int) -> list[str]:
    command = [sys.executable, "-m", "streamreplay", "run", path, "--label", "y", "--emit", "none"]
    settings = ["learner.module=linear", "learner.method=er", "learner.lr=0.01"]
    settings += ["buffer.kind=none", "mixer.steps=1"]
    return [*command, "--batch-size", str(batch), *(f"--set={each}" for each in settings)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2_000_000)
    options = parser.parse_args()
    few = options.rows // SHARE
    python = [sys.executable, "-c"]
    commands = {
        "Vowpal Wabbit": (options.rows, [*python, VOWPAL_WABBIT, "rows.vw"]),
        "streamreplay, batches of 256": (options.rows, ours("rows.csv", 256)),
        "River": (few, [*python, RIVER, "first.csv"]),
        "streamreplay, batches of 64": (options.rows, ours("rows.csv", 64)),
    }
    print(machine())
    accuracies: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, options.rows)
        cases: dict[str, Callable[[], float]] = {
            key: partial(timed, command, folder, accuracies[key])
            for key, (_, command) in commands.items()
        }
        taken = interleave(cases, options.rounds)
    speeds = {key: n / median(taken[key]) for key, (n, _) in commands.items()}
    rows = [
        [
            key,
            f"{n:,}",
            f"{median(taken[key]):.1f}",
            f"{speeds[key]:,.0f}",
            f"{accuracies[key][0]:.4f}",
        ]
        for key, (n, _) in commands.items()
    ]
    table(["command", "rows", "CPU seconds", "rows/s", "accuracy"], rows)
    wabbit = speeds["Vowpal Wabbit"] / speeds["streamreplay, batches of 256"]
    river = speeds["streamreplay, batches of 64"] / speeds["River"]
    print(f"{wabbit:.2f} times Vowpal Wabbit's time; {river:.1f} times as fast as River")
    save("linear", {"taken": taken, "accuracies": accuracies})


if __name__ == "__main__":
    main()
