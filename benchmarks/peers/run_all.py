"""All comparisons with other libraries, one after the other: what `make bench-peers` runs.

Set FASHION_MNIST to the folder with its four files, or the comparison end to end is left out.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = ("buffers", "pipeline", "rings", "growth")


def main() -> None:
    for part in PARTS:
        print(f"\n## {part}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.peers.{part}"], check=True)


if __name__ == "__main__":
    main()
