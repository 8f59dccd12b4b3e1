"""How fast rows are decoded: our sources against a bare decoder of the same blocks.

A row has 8 numbers and a label of 4. The reference for CSV is ``pyarrow.csv.read_csv`` with the
types given, for JSONL ``msgspec.json.Decoder`` of a struct; both read the file in blocks cut at
line ends, and put the numbers of each block into one float32 array. They find no bad line, keep no
position and make no batches. In *dirty* files one line in a hundred cannot be read; that all of
them are found is checked. Processor time, one thread, medians of rounds in which all take turns.

    python benchmarks/decode.py [--rounds 5] [--rows 500000] [--block 65536]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa
from common import interleave, machine, median, save, table
from pyarrow import csv

from streamreplay import CsvSource, JsonlSource

NAMES = [f"f{i}" for i in range(8)]
BAD = {
    "csv": ["1,2", "1,2,3,4,5,6,7,8,c0,9", '1,2,3,4,"5"x,6,7,8,c1'],
    "jsonl": ["{", "[1]", "1 2"],
}


def write_files(folder: Path, rows: int) -> dict[str, int]:
    """Write clean and dirty files, and return how many lines of each cannot be read."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(rows, 8)), 5).tolist()
    labels = [f"c{y}" for y in rng.integers(0, 4, rows).tolist()]
    lines = {
        "csv": [",".join([*map(repr, row), y]) for row, y in zip(x, labels, strict=True)],
        "jsonl": [
            orjson.dumps({**dict(zip(NAMES, row, strict=True)), "y": y}).decode()
            for row, y in zip(x, labels, strict=True)
        ],
    }
    dice = random.Random(0)
    bad = dice.sample(range(2000, rows), rows // 100)
    for form, good in lines.items():
        first = [",".join([*NAMES, "y"])] if form == "csv" else []
        (folder / f"clean.{form}").write_text("\n".join([*first, *good, ""]))
        for i in bad:
            good[i] = dice.choice(BAD[form])
        (folder / f"dirty.{form}").write_text("\n".join([*first, *good, ""]))
    return {"clean": 0, "dirty": len(bad)}


def timed(case: Callable[[], object]) -> float:
    start = time.process_time()
    case()
    return time.process_time() - start


def blocks(path: Path, size: int) -> Iterator[bytes]:
    """Yield a file in blocks that end at line ends."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(size):
            whole, end, rest_after = block.rpartition(b"\n")
            yield rest + whole + end
            rest = rest_after


def read_arrow(path: Path, size: int) -> None:
    names = [*NAMES, "y"]
    types = {**dict.fromkeys(NAMES, pa.float32()), "y": pa.string()}
    convert = csv.ConvertOptions(column_types=types)
    for i, block in enumerate(blocks(path, size)):
        options = csv.ReadOptions(
            use_threads=False, column_names=names, skip_rows=int(not i), block_size=len(block) + 1
        )
        found = csv.read_csv(pa.py_buffer(block), options, convert_options=convert)
        x = np.empty((found.num_rows, 8), np.float32)
        for k in range(8):
            x[:, k] = found.column(k).to_numpy()


def read_msgspec(path: Path, size: int) -> None:
    fields: list[Any] = [(name, float) for name in NAMES]
    decoder = msgspec.json.Decoder(msgspec.defstruct("Row", [*fields, ("y", str)]))
    for block in blocks(path, size):
        rows = decoder.decode_lines(block)
        x = [(r.f0, r.f1, r.f2, r.f3, r.f4, r.f5, r.f6, r.f7) for r in rows]
        np.array(x, np.float32)


def read_ours(path: Path, batch: int, bad: int) -> None:
    source = (CsvSource if path.suffix == ".csv" else JsonlSource)(path, batch_size=batch)
    for _ in source:
        pass
    if source.dead != bad:
        raise ValueError(f"{source.dead} lines put aside, expected {bad}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--block", type=int, default=1 << 16)
    options = parser.parse_args()
    references = {"csv": ("pyarrow.csv", read_arrow), "jsonl": ("msgspec", read_msgspec)}
    print(machine() + f", blocks of {options.block >> 10} kB for the references")
    rows, kept = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bad = write_files(folder, options.rows)
        for form, (library, reference) in references.items():
            clean = folder / f"clean.{form}"
            cases = {library: partial(reference, clean, options.block)}
            for batch in (32, 256, 1024):
                cases[f"ours, batches of {batch}"] = partial(read_ours, clean, batch, 0)
            dirty = partial(read_ours, folder / f"dirty.{form}", 256, bad["dirty"])
            cases["ours, batches of 256, dirty"] = dirty
            clocked = {key: partial(timed, case) for key, case in cases.items()}
            taken = interleave(clocked, options.rounds)
            speeds = {key: options.rows / median(times) for key, times in taken.items()}
            for key, speed in speeds.items():
                rows.append([form, key, f"{speed:,.0f}", f"{speed / speeds[library]:.2f}"])
            kept[form] = taken
    table(["format", "read by", "rows/s", "of the reference"], rows)
    save("decode", kept)


if __name__ == "__main__":
    main()
