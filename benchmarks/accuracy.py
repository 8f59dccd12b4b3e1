"""What the command line learns and retains on two real streams, over several seeds.

Runs `streamreplay run` with the job files in `benchmarks/jobs/`. The data is not part of the
project: give the folder with Fashion-MNIST's four files (Debian's package dataset-fashion-mnist
puts them into /usr/share/datasets/fashion-mnist) and the CSV of Covertype's first 100,000 rows.

    python benchmarks/accuracy.py --fashion-mnist DIR --covtype FILE
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import machine, save, table

JOBS = Path(__file__).parent / "jobs"
VANISHED = ("3", "4", "6", "7")  # cover types that do not come after row 15,120


def run(job: str, seed: int, settings: dict[str, object]) -> list[dict[str, Any]]:
    """Run a job through the command line; return the records of its log."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "streamreplay", "run", str(JOBS / f"{job}.toml")]
        command += ["--seed", str(seed), "--emit", "none", "--out", str(out), "--quiet"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run(command, check=True)
        return [json.loads(line) for line in (out / "metrics.jsonl").open()]


def last(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return [record for record in records if record["kind"] == kind][-1]


def spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * deviation:.1f}"


def fashion_mnist(folder: Path, seeds: int) -> dict[str, Any]:
    """Print final accuracy over all ten classes, for several buffers and memory batches."""
    files = {
        "source.path": folder / "train-images-idx3-ubyte.gz",
        "test.path": folder / "t10k-images-idx3-ubyte.gz",
    }
    cases = {
        "no replay, MLP 1024": {"buffer.kind": "none"},
        "10 + 10, buffer 1,000, MLP 1024": {},
        "10 + 128, buffer 200, MLP 2x256": {**_wide(200), **_sgd(0.005)},
        "10 + 128, buffer 500, MLP 2x256": {**_wide(500), **_sgd(0.01)},
        "10 + 128, buffer 1,000, MLP 2x256": {**_wide(1000), **_adamw(5e-5, 6)},
    }
    rows, kept = [], {}
    for name, settings in cases.items():
        logs = [
            run("split_fashion_mnist", seed, {**files, **settings, "source.split.seed": seed})
            for seed in range(seeds)
        ]
        final = [last(log, "retention")["accuracy"] for log in logs]
        forgetting = [last(log, "retention")["forgetting"] for log in logs]
        prequential = [last(log, "prequential")["accuracy"] for log in logs]
        rows.append([name, spread(final), spread(forgetting), spread(prequential)])
        kept[name] = {"final": final, "forgetting": forgetting, "prequential": prequential}
        print(f"  {name}: {spread(final)}", file=sys.stderr)
    table(["Split-Fashion-MNIST", "final, all classes", "forgetting", "prequential"], rows)
    return kept


def _wide(max_size: int) -> dict[str, object]:
    hidden = "[256, 256]"
    return {"mixer.batch_size_mem": 128, "buffer.max_size": max_size, "learner.hidden": hidden}


def _sgd(lr: float) -> dict[str, object]:
    return {"learner.optimizer": "sgd", "learner.lr": lr, "learner.normalize": "standard"}


def _adamw(lr: float, weight_decay: float) -> dict[str, object]:
    return {
        "learner.optimizer": "adamw",
        "learner.lr": lr,
        "learner.weight_decay": weight_decay,
        "learner.normalize": "standard",
    }


def covtype(path: Path, seeds: int) -> dict[str, Any]:
    """Print prequential accuracy, and what is retained of the four types that vanish."""
    rows, kept = [], {}
    for name, settings in {"replay": {}, "no replay": {"buffer.kind": "none"}}.items():
        logs = [run("covtype", seed, {"source.path": path, **settings}) for seed in range(seeds)]
        scores = [last(log, "prequential") for log in logs]
        vanished = [_vanished(last(log, "retention")) for log in logs]
        prequential = [score["accuracy"] for score in scores]
        baseline = [score["no_change"]["accuracy"] for score in scores]
        rows.append([name, spread(prequential), spread(baseline), spread(vanished)])
        kept[name] = {"prequential": prequential, "no change": baseline, "vanished": vanished}
        print(f"  {name}: {spread(prequential)}", file=sys.stderr)
    table(["Covertype", "prequential", "repeat the last label", "the four vanished types"], rows)
    return kept


def _vanished(retention: dict[str, Any]) -> float:
    found = [retention["by_class"][name] for name in VANISHED]
    hits = sum(entry["rows"] * entry["accuracy"] for entry in found)
    return float(hits / sum(entry["rows"] for entry in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fashion-mnist", type=Path)
    parser.add_argument("--covtype", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="of Fashion-MNIST (default 3)")
    parser.add_argument("--covtype-seeds", type=int, default=1, help="one takes about 5 minutes")
    options = parser.parse_args()
    if options.fashion_mnist is None and options.covtype is None:
        parser.exit(0, "nothing to do: give --fashion-mnist DIR, --covtype FILE or both\n")
    print(machine())
    kept = {}
    if options.fashion_mnist is not None:
        kept["fashion-mnist"] = fashion_mnist(options.fashion_mnist, options.seeds)
    if options.covtype is not None:
        kept["covtype"] = covtype(options.covtype, options.covtype_seeds)
    save("accuracy", kept)


if __name__ == "__main__":
    main()
