"""The files that jobs read."""

from __future__ import annotations

import gzip
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from benchmarks.same_output.own_pieces import PIECES

CHECKOUT = Path(__file__).resolve().parents[2]
"""The checkout that this script is part of."""


def make_inputs() -> dict[str, bytes]:
    """Return all files that jobs read, by name."""
    records = _records(np.random.default_rng(0), 1000)
    rows = [json.dumps(record).encode() for record in records]
    test = [json.dumps(each).encode() for each in _records(np.random.default_rng(1), 120)]
    columns = ("id", "a", "b", "y")
    cells = [[str(each[name]) for name in columns] for each in records]
    csv = _lines([",".join(columns), *map(",".join, cells)])
    bare = [";".join([*each[:3], "0.5", each[2][::-1].strip("-"), each[3]]) for each in cells]
    tags = [f"{r['a']},{r['b']},{'red' in r['tags']:d},{'big' in r['tags']:d}" for r in records]
    plain = [{"x": [r["a"], r["b"]], "y": i % 3, "task": i % 2} for i, r in enumerate(records)]
    jsonl = b"\n".join(rows) + b"\n"
    zipped = zstandard.ZstdCompressor()
    files = {
        "rows.jsonl": jsonl,
        "rows.jsonl.gz": gzip.compress(jsonl, mtime=0),
        "rows.jsonl.zst": zipped.compress(jsonl),
        "first.jsonl": b"\n".join(rows[:496]) + b"\n",
        "second.jsonl": b"\n".join(rows[496:]) + b"\n",
        "empty.jsonl": b"",
        "test.jsonl": b"\n".join(test) + b"\n",
        "rows.csv": csv,
        "rows.csv.gz": gzip.compress(csv, mtime=0),
        "rows.csv.zst": zipped.compress(csv),
        "rows.tsv": csv.replace(b",", b"\t"),
        "bare.csv": _lines(bare),
        "tags.csv": _lines(["a,b,red,big", *tags]),
        "plain.jsonl": _lines([json.dumps(each) for each in plain[:400]]),
        "dirty.jsonl": _dirty(rows[:400]),
        "dirty.csv": _dirty_table(csv.splitlines()[:400]),
        "turning.jsonl": _turning(2200),
        "ownpieces.py": PIECES.encode(),
    }
    for name in ("digits.npz", "covtype.csv.gz"):
        files[name] = (CHECKOUT / "data" / name).read_bytes()
    return {**files, **_images(400), "arrays.npz": _arrays(400)}


def _lines(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _records(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """Return rows with every kind of column, a class that appears late, and drift."""
    made: list[dict[str, Any]] = []
    for i in range(n):
        y = int(rng.integers(2 if i < n // 2 else 3))
        sign = -1 if i > 3 * n // 4 else 1
        a, b, c = (rng.normal([y, -y * sign, 0.3 * y], 0.6)).round(5).tolist()
        row = {"id": f"r{i}", "time": i / 2 + 1000.0, "task": i % 2, "experience": 4 * i // n}
        row |= {"a": a, "b": b, "c": c, "d": round(a * b, 4), "w": 1 + i % 3}
        row |= {"price": round(1000 + 50 * a - 20 * b, 3), "size": round(b / 100, 6)}
        row |= {"tags": ["red"] * (a > 0.5) + ["big"] * (b > 0), "y": ["cat", "dog", "emu"][y]}
        made.append(row)
    return made


def _dirty(rows: list[bytes]) -> bytes:
    """Return rows of which some cannot be read and some have no label."""
    dirty = []
    for i, row in enumerate(rows):
        record = json.loads(row)
        match i % 31:
            case 3:
                dirty.append(row[:-7])
            case 7:
                del record["y"]
                dirty.append(json.dumps(record).encode())
            case 11:
                dirty.append(json.dumps(record | {"a": "many"}).encode())
            case 13:
                dirty.append(json.dumps(record | {"b": float("nan")}).encode())
            case 17:
                dirty.append(json.dumps(record | {"more": "x" * 500}).encode())
            case 19:
                dirty.append(b'{"a": "\xff\xfe"}')
            case 23:
                dirty.append(json.dumps(record | {"y": [1, 2]}).encode())
            case 29:
                dirty.append(b"[1, 2, 3]")
            case _:
                dirty.append(row)
    return b"\n".join(dirty)  # the last line has no end


def _dirty_table(lines: list[bytes]) -> bytes:
    for i in range(20, len(lines), 40):
        name, _, rest = lines[i].partition(b",")
        lines[i] = lines[i] + b",more"
        lines[i + 5] = name + b",," + rest
        lines[i + 9] = b'"' + lines[i + 9]
        lines[i + 12] = name + b",nan,inf,cat"
        lines[i + 15] = b""
    return b"\r\n".join(lines) + b"\r\n"


def _turning(n: int) -> bytes:
    """Return rows whose labels swap every thousand rows, and whose features shift once."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(n):
        a, b = (rng.standard_normal(2) + 3 * (i > n // 2)).round(4).tolist()
        positive = (a > 3 * (i > n // 2)) != (i // 1000 % 2)
        lines.append(json.dumps({"a": a, "b": b, "y": "p" if positive else "n"}))
    return _lines(lines)


def _images(n: int) -> dict[str, bytes]:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, n).astype(np.uint8)
    x = (rng.integers(0, 99, (n, 12, 12)) + 40 * y[:, None, None]).astype(np.uint8)
    found = {}
    for name, array in (("images-idx3-ubyte.gz", x), ("labels-idx1-ubyte.gz", y)):
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        found[name] = gzip.compress(head + array.tobytes(), mtime=0)
    return found


def _arrays(n: int) -> bytes:
    rng = np.random.default_rng(3)
    f = rng.standard_normal((n, 5)).astype(np.float32)
    c = np.where(f[:, 0] > 0, "up", "down")
    columns = {"f": f, "c": c, "w": rng.random(n), "t": np.arange(n) // 100}
    columns |= {"n": 3 * f[:, 1] + 7, "m": f[:, 2] * f[:, 3]}
    with tempfile.TemporaryFile() as file:
        np.savez(file, **columns)  # type: ignore[arg-type]  # each of them is an array
        file.seek(0)
        return file.read()


def write_inputs(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files that are missing or differ; another comparison may be reading the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            temporary = path.with_name(f".{os.getpid()}-{name}")
            temporary.write_bytes(data)
            temporary.replace(path)
