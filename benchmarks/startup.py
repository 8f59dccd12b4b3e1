"""How long the commands take to start, against importing torch.

Processor time of whole processes, by turns: ``python -c "import torch"``, and the commands on ten
rows. Bytecode is kept from a first round, as in an installed package.

    python benchmarks/startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import interleave, machine, median, save, table

HERE = Path(__file__).parent
RUN = ["-m", "streamreplay", "run", "ten.csv", "--quiet"]
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "run, ten rows": RUN,
    "run, ten rows, linear, SGD": [
        *RUN,
        *("--set", "learner.module=linear", "--set", "learner.optimizer=sgd"),
    ],
    "sniff": ["-m", "streamreplay", "sniff", "ten.csv"],
    "--help": ["-m", "streamreplay", "--help"],
}


def measure(command: list[str], folder: Path, env: dict[str, str]) -> float:
    """Return the processor time of a Python process, in seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        (Path(inside) / "ten.csv").write_bytes((folder / "ten.csv").read_bytes())
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *command], cwd=inside, env=env, check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = "".join(f"{i / 10},{i % 3},{'xy'[i % 2]}\n" for i in range(10))
        (folder / "ten.csv").write_text("a,b,y\n" + rows)
        cases: dict[str, Callable[[], float]] = {
            what: partial(measure, command, folder, env) for what, command in COMMANDS.items()
        }
        interleave(cases, 1)  # writes the bytecode
        seconds = interleave(cases, options.rounds)
    print(machine())
    torch = seconds["import torch"]
    lines = [
        [
            what,
            f"{median(taken):.2f}",
            f"{median([a / b for a, b in zip(taken, torch, strict=True)]):.2f}",
        ]
        for what, taken in seconds.items()
    ]
    table(["process", "CPU seconds", "of `import torch`"], lines)
    save("startup", seconds)


if __name__ == "__main__":
    main()
