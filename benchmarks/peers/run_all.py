"""All comparisons with other libraries, one after the other: what `make bench-peers` runs.

Set FASHION_MNIST to the folder with its four files, or the comparison end to end is left out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS = ("buffers", "pipeline", "rings", "growth", "linear")
LOADERS = str(Path(__file__).parents[1] / "loaders.py")


def main() -> None:
    commands = [*(["-m", f"benchmarks.peers.{part}"] for part in PARTS), [LOADERS]]
    for command in commands:
        print(f"\n## {Path(command[-1]).name}", flush=True)
        subprocess.run([sys.executable, *command], check=True)


if __name__ == "__main__":
    main()
