"""All benchmarks, one after the other: what `make bench` runs.

Accuracy on real streams needs data that is not part of the project: set FASHION_MNIST (a folder)
and COVTYPE (a file), see accuracy.py; without them that part is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OPTIONS = ("fashion-mnist", "covtype")


def main() -> None:
    given = {name: os.environ.get(name.upper().replace("-", "_")) for name in OPTIONS}
    fashion, covtype = ([f"--{name}", value] if value else [] for name, value in given.items())
    accuracy = ["accuracy.py", *fashion, *covtype]
    commands = [
        ["buffers.py"],
        ["loaders.py"],
        ["pipeline.py"],
        ["steps.py"],
        ["evaluator.py"],
        ["intervals.py"],
        ["decode.py"],
        ["ingest.py"],
        ["startup.py"],
        ["memory.py"],
        ["disk.py"],
        ["report.py"],
        ["probe.py", *fashion],
        ["kills.py"],
        accuracy,
    ]
    for command in commands:
        print(f"\n## {command[0]}", flush=True)
        subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], check=True)


if __name__ == "__main__":
    main()
