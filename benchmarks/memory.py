"""Resident memory of `streamreplay run` on a long stream from a pipe.

2,000,000 rows of 8 named fields go through the command line into a run folder, with a full buffer
from the first 1,000 rows on; the process's own timings.jsonl says what it held when.

    python benchmarks/memory.py [--rows 2000000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import orjson
from common import machine, save, table

EARLY = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    block = b"".join(
        orjson.dumps({"id": i, **{f"f{k}": v for k, v in enumerate(x.tolist())}, "y": int(y)})
        + b"\n"
        for i, (x, y) in enumerate(
            zip(np.round(rng.random((10_000, 8)), 6), rng.integers(0, 10, 10_000), strict=True)
        )
    )
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "streamreplay",
            "run",
            "--source",
            "-",
            "--format",
            "jsonl",
        ]
        command += ["--batch-size", "256", "--emit", "none", "--out", str(out), "--quiet"]
        command += ["--checkpoint-every", "100000", "--set", "evaluator.report_every=50000"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            if process.stdin is None:
                raise RuntimeError("no pipe")
            for _ in range(options.rows // 10_000):
                process.stdin.write(block)
            process.stdin.close()
        if process.returncode:
            raise SystemExit(process.returncode)
        timings = [json.loads(line) for line in (out / "timings.jsonl").open()]
    held = {t["position"]: t["resident_bytes"] / 1e6 for t in timings}
    first, last = min(rows for rows in held if rows >= EARLY), max(held)
    early, late = held[first], held[last]
    table(
        ["rows", "resident, MB"],
        [[f"{first:,}", f"{early:.1f}"], [f"{last:,}", f"{late:.1f}"]],
    )
    print(f"grown by {late - early:.1f} MB")
    save("memory", held)


if __name__ == "__main__":
    main()
