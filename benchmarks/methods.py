"""What each replay method retains, and what it costs: the table of docs/guides/methods.md.

Every figure is of `streamreplay run` with a job file in `benchmarks/accuracy/`: one pass over
class-incremental Split-Fashion-MNIST (5 x 2 classes), tested on the 10,000 test images, 5 seeds.
The data is not part of the project: give the folder with Fashion-MNIST's four files.

    python benchmarks/methods.py --fashion-mnist DIR             # what is missing, then the tables
    python benchmarks/methods.py --fashion-mnist DIR --tune      # several learning rates
    python benchmarks/methods.py --tables                        # the tables alone

Finished runs are kept in `benchmarks/results/methods.jsonl` and not run again; `--fresh` forgets
them. `--tune` looks at learning rates on 10,000 of the training images, held out, with other seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common import RESULTS, machine, table

JOB = Path(__file__).parent / "accuracy" / "split_fashion_mnist.toml"
KEPT = RESULTS / "methods.jsonl"
SIZES = (200, 500, 1000, 5000)
WIDE = {"mixer.batch_size_mem": 128}

_DARK: dict[str, object] = {"learner.method": "der++", "learner.lr": 0.03, "learner.alpha": 0.2}
_SLDA: dict[str, object] = {
    "learner.slda_features": 2000,
    "learner.slda_margin": 0.02,
}
MLP: dict[str, dict[str, object]] = {
    "er": {},
    "er, 10 + 128": WIDE,
    "er, 3 passes": {"mixer.steps": 3},
    "er-slda, 3 passes (the default)": {"learner.method": "auto", "mixer.steps": 3},
    "er-slda, 2,000 features": {"learner.method": "er-slda", **_SLDA},
    "der++ and slda, 2,000 features": {**_DARK, **_SLDA},
    "der++": _DARK,
    "er-ace": {"learner.method": "er-ace"},
    "mkd": {"learner.method": "mkd"},
    "ncm": {"learner.method": "ncm"},
    "lwf": {"learner.method": "lwf"},
    "mir": {"learner.method": "mir"},
    "gdumb": {"learner.method": "gdumb", "learner.optimizer": "adam", "learner.lr": 0.001},
    "der": {"learner.method": "der", "learner.lr": 0.03},
    "a-gem": {"learner.method": "a-gem"},
}
"""What each line sets beside the job file."""

_CNN: dict[str, object] = {"learner.module": "cnn", "learner.lr": 0.003}
CNN: dict[str, dict[str, object]] = {
    "er": _CNN,
    "er, 10 + 128": {**_CNN, **WIDE},
    "er-slda, 3 passes (the default)": {**_CNN, "learner.method": "auto", "mixer.steps": 3},
    "er-slda, 2,000 features": {**_CNN, "learner.method": "er-slda", **_SLDA},
    "der++ and slda, 2,000 features": {**_CNN, **_DARK, **_SLDA, "learner.lr": 0.003},
}
MODELS = {"MLP 2x400": MLP, "CNN": CNN}


@dataclass(frozen=True)
class Case:
    """One run."""

    model: str
    method: str
    size: int
    seed: int
    settings: dict[str, object] = field(default_factory=dict)
    validate: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        return (self.model, self.method, self.size, self.seed, json.dumps(self.settings))


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Run a case through the command line; return what is kept of it."""
    sets: dict[str, object] = {
        "source.path": folder / "train-images-idx3-ubyte.gz",
        "source.split.seed": case.seed,
        "buffer.max_size": case.size,
        **case.settings,
    }
    if case.validate:
        sets |= {"test.share": 1 / 6, "test.seed": 0}
    else:
        sets["test.path"] = folder / "t10k-images-idx3-ubyte.gz"
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "streamreplay", "run", _job(case, Path(out))]
        command += ["--seed", str(case.seed), "--emit", "none", "--out", f"{out}/run", "--quiet"]
        for name, value in sets.items():
            command += ["--set", f"{name}={value}"]
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        records = [json.loads(line) for line in (Path(out) / "run" / "metrics.jsonl").open()]
    retention = [each for each in records if each["kind"] == "retention"][-1]
    prequential = [each for each in records if each["kind"] == "prequential"][-1]
    return {
        **asdict(case),
        "final": retention["accuracy"],
        "forgetting": retention["forgetting"],
        "prequential": prequential["accuracy"],
        "seconds": seconds,
    }


def _job(case: Case, folder: Path) -> str:
    """Return the job file; one without the test images where training images take their place."""
    if not case.validate:
        return str(JOB)
    text = JOB.read_text().replace('path = "t10k-images-idx3-ubyte.gz"\n', "")
    (folder / "job.toml").write_text(text)
    return str(folder / "job.toml")


def cases(seeds: int) -> Iterator[Case]:
    """Yield all runs, seed by seed, so that a part of them is a table as well."""
    for model, methods in MODELS.items():
        for seed in range(seeds):
            for method, settings in methods.items():
                for size in SIZES:
                    yield Case(model, method, size, seed, settings)


def tuning() -> Iterator[Case]:
    """Yield runs that compare learning rates: buffer 1,000, a seed of its own."""
    for model, methods in MODELS.items():
        for method, settings in methods.items():
            base = float(str(settings.get("learner.lr", 0.05)))
            for factor in (1 / 3, 1, 3):
                lr = float(f"{base * factor:.1g}")
                changed = {**settings, "learner.lr": lr}
                yield Case(model, f"{method}, lr {lr}", 1000, 100, changed, validate=True)


def kept() -> list[dict[str, Any]]:
    return [json.loads(line) for line in KEPT.open()] if KEPT.exists() else []


def run_missing(wanted: list[Case], folder: Path, jobs: int) -> None:
    """Run what is not kept yet, so many at a time, and keep it."""
    done = {Case(*(each[k] for k in Case.__dataclass_fields__)).key for each in kept()}
    missing = [case for case in wanted if case.key not in done]
    KEPT.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool, KEPT.open("a") as out:
        running = {pool.submit(run, case, folder): case for case in missing}
        for number, future in enumerate(as_completed(running), 1):
            case = running[future]
            found = future.result()
            out.write(json.dumps(found) + "\n")
            out.flush()
            print(
                f"  {number} of {len(missing)}: {case.model}, {case.method}, {case.size}, "
                f"seed {case.seed}: {100 * found['final']:.1f} in {found['seconds']:.0f} s",
                file=sys.stderr,
                flush=True,
            )


def tables() -> None:
    """Print final accuracy and the distance to experience replay, model by model."""
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for each in kept():
        if not each["validate"]:
            key = (each["model"], each["method"], each["size"])
            found.setdefault(key, []).append(each)
    for model, methods in MODELS.items():
        print(f"\n{model}: final accuracy over all ten classes, mean ± standard error")
        header = ["method", *(f"{size:,}" for size in SIZES), "forgetting", "prequential", "seeds"]
        rows = []
        for method in methods:
            runs = [found.get((model, method, size), []) for size in SIZES]
            if not any(runs):
                continue
            middle = found.get((model, method, 1000), [])
            rows.append(
                [
                    method,
                    *(_spread([each["final"] for each in group]) for group in runs),
                    _spread([each["forgetting"] for each in middle]),
                    _spread([each["prequential"] for each in middle]),
                    str(min(len(group) for group in runs if group)),
                ]
            )
        table(header, rows)


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * error:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fashion-mnist", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--model", choices=[*MODELS], help="only one of the models")
    parser.add_argument("--tune", action="store_true", help="run what settings were chosen by")
    parser.add_argument("--tables", action="store_true", help="print the tables, run nothing")
    parser.add_argument("--fresh", action="store_true", help="forget what was run before")
    options = parser.parse_args()
    print(machine())
    if options.fresh:
        KEPT.unlink(missing_ok=True)
    if not options.tables:
        if options.fashion_mnist is None:
            parser.exit(0, "nothing to do: give --fashion-mnist DIR\n")
        wanted = list(tuning() if options.tune else cases(options.seeds))
        wanted = [case for case in wanted if options.model in (None, case.model)]
        run_missing(wanted, options.fashion_mnist, options.jobs)
    if options.tune:
        for each in kept():
            if each["validate"]:
                print(f"{each['model']}, {each['method']}: {100 * each['final']:.1f}")
        return
    tables()


if __name__ == "__main__":
    main()
