"""Kill -9 at random moments, resume, and compare with the run that was never killed.

For a JSONL, a CSV and an IDX source, with a buffer that fills and one that does not: the unbroken
run's metrics.jsonl, predictions.jsonl, dead_letters.jsonl and checkpoints must be what the killed
and resumed run leaves, byte for byte.

    python benchmarks/kills.py [--kills 20]
"""

from __future__ import annotations

import argparse
import gzip
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson
from common import machine, save, table

ROWS = 20_000
CLOCK = ("timings.jsonl", "events.log", ".lock")


def write_sources(folder: Path) -> dict[str, list[str]]:
    """Write the three files; return the options that read them."""
    rng = np.random.default_rng(0)
    x, y = rng.random((ROWS, 8)).round(4), rng.integers(0, 6, ROWS)
    with (folder / "rows.jsonl").open("wb") as file:
        for i in range(ROWS):
            good = orjson.dumps({"x": x[i].tolist(), "y": int(y[i]), "id": f"r{i}"})
            file.write((b'{"x": [1, "broken"' if i % 97 == 5 else good) + b"\n")
    lines = [",".join(map(str, row)) + f",c{label}" for row, label in zip(x, y, strict=True)]
    header = ",".join(f"f{i}" for i in range(8)) + ",class"
    (folder / "rows.csv").write_text("\n".join([header, *lines]) + "\n")
    images = rng.integers(0, 256, (ROWS, 6, 6), dtype=np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", y.astype(np.uint8))):
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        with gzip.open(folder / f"{name}-ubyte.gz", "wb") as file:
            file.write(head + array.tobytes())
    return {
        "JSONL": ["--source", str(folder / "rows.jsonl")],
        "CSV": ["--source", str(folder / "rows.csv"), "--label", "class"],
        "IDX": [
            *("--source", str(folder / "images-idx3-ubyte.gz")),
            *("--set", "source.split={n_experiences = 3, seed = 1}", "--set", "test.share=0.1"),
        ],
    }


def start(arguments: list[str], out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streamreplay", "run", *arguments, "--out", str(out)]
    return subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)


def contents(out: Path) -> dict[str, bytes]:
    """Return every file of a run folder that the clock has no part in."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in CLOCK)
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def compare(
    arguments: list[str], folder: Path, kills: int, dice: random.Random
) -> tuple[int, bool]:
    """Return how many processes were killed while they learned, and whether all files are equal."""
    whole, broken = folder / "whole", folder / "broken"
    if start(arguments, whole).wait():
        raise SystemExit("the unbroken run failed")
    log, hit = broken / "predictions.jsonl", 0
    total = (whole / "predictions.jsonl").stat().st_size
    # moments of the stream, so that they are spread over all of it however long a start takes
    for moment in sorted(dice.randrange(total) for _ in range(kills)):
        process = start([*arguments, "--resume"], broken)
        while process.poll() is None and (not log.exists() or log.stat().st_size <= moment):
            time.sleep(0.001)
        hit += process.poll() is None
        process.kill()
        process.wait()
    if start([*arguments, "--resume"], broken).wait():
        raise SystemExit("the resumed run failed")
    return hit, contents(whole) == contents(broken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    print(machine())
    rows, dice = [], random.Random(0)
    settings = ["--emit", "predictions", "--checkpoint-every", "1000", "--batch-size", "10"]
    settings += ["--set", "learner.hidden=[32]"]
    with tempfile.TemporaryDirectory() as name:
        for source, arguments in write_sources(Path(name)).items():
            for kind, max_size in (("full", 500), ("not full", 100_000)):
                folder = Path(name) / f"{source} {kind}"
                folder.mkdir()
                size = ["--set", f"buffer.max_size={max_size}"]
                hit, equal = compare([*arguments, *settings, *size], folder, options.kills, dice)
                rows.append([source, kind, str(hit), "equal" if equal else "DIFFERENT"])
                print(" ".join(rows[-1]), file=sys.stderr)
    table(["source", "buffer", "kills", "every byte"], rows)
    save("kills", rows)
    if any(row[-1] != "equal" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
