"""Random Parquet, Arrow, ``.npz`` and IDX files."""

from __future__ import annotations

import io
from datetime import datetime
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import feather, ipc, parquet

from tests.fuzz.rows import Input, Table, make_table

__all__ = ["arrow_input", "idx_input", "npz_input"]


# -- Parquet and Arrow ----------------------------------------------------------------------------


def arrow_input(dice: Random) -> Input:
    """Draw a Parquet file, an Arrow file or an Arrow stream."""
    table = make_table(dice)
    options: dict[str, Any] = {}
    columns = {name: _column(dice, table, name, kind) for name, kind in table.kinds.items()}
    columns["id"] = pa.array([record["id"] for record in table.records])
    labels = [None if (y := record["y"]) is None else f"l{y}" for record in table.records]
    columns["y"] = _text(dice, labels)
    names = list(columns)
    dice.shuffle(names)
    rows = list(zip((r["id"] for r in table.records), labels, strict=True))
    bad = 0
    if dice.random() < 0.4:
        names.append("w")
        options["weight"] = "w"
        wrong = [i > 0 and dice.random() < 0.3 for i in range(len(rows))]
        columns["w"] = pa.array([-1.0 if each else 0.5 for each in wrong])
        bad = sum(wrong)
        rows = [row for row, each in zip(rows, wrong, strict=True) if not each]
    form = dice.choice(("parquet", "arrow file", "arrow stream"))
    data = _stored(dice, pa.table({name: columns[name] for name in names}), form)
    suffix = {"parquet": "parquet", "arrow file": "arrow", "arrow stream": "arrows"}[form]
    return Input(form, "arrow", {f"rows.{suffix}": data}, options, rows, bad)


def _column(dice: Random, table: Table, name: str, kind: str) -> Any:
    values = [record[name] for record in table.records]
    types = {"whole": pa.int64(), "boolean": pa.bool_(), "mixed": pa.string()}
    if kind == "number":
        return pa.array(values, dice.choice((pa.float64(), pa.float32())))
    if kind == "date":
        times = [None if v is None else datetime.fromisoformat(v) for v in values]
        zone = dice.choice((None, "UTC", "Asia/Tokyo"))
        return pa.array(times, pa.timestamp(dice.choice(("s", "ms", "us", "ns")), zone))
    if kind == "empty":
        nested = [{"a": 1}] * len(values)
        return pa.array(dice.choice((values, nested, [b"\0\xff"] * len(values))))
    if kind == "mixed":
        values = [None if v is None else str(v) for v in values]
    return pa.array(values, types[kind]) if kind in types else _text(dice, values)


def _text(dice: Random, values: list[str | None]) -> Any:
    column = pa.array(values, dice.choice((pa.string(), pa.large_string())))
    return column.dictionary_encode() if dice.random() < 0.3 else column


def _stored(dice: Random, table: Any, form: str) -> bytes:
    sink, rows = io.BytesIO(), dice.randint(1, 12)
    if form == "parquet":
        codec = dice.choice(("none", "snappy", "zstd", "gzip"))
        parquet.write_table(table, sink, row_group_size=rows, compression=codec)
    elif form == "arrow file":
        codec = dice.choice(("uncompressed", "lz4", "zstd"))
        feather.write_feather(table, sink, chunksize=rows, compression=codec)
    else:
        with ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


# -- arrays ---------------------------------------------------------------------------------------


def npz_input(dice: Random) -> Input:
    """Draw an ``.npz`` file."""
    rng = np.random.default_rng(dice.randrange(1 << 32))
    n = dice.randint(1, 30)
    shape = dice.choice(((1,), (3,), (2, 2), (1, 2, 2)))
    kind = dice.choice(("f4", "f8", "u1", "i8", "?", "f2"))
    arrays: dict[str, Any] = {"x": (9 * rng.random((n, *shape))).astype(kind)}
    labels: list[Any] = dice.choice(
        (rng.integers(-1, 4, n).tolist(), [dice.choice(("cat", "dog")) for _ in range(n)])
    )
    arrays["y"] = np.array(labels)
    arrays["id"] = np.array([f"r{i}" for i in range(n)])
    if dice.random() < 0.4:
        arrays["experience"] = rng.integers(0, 3, n)
    if dice.random() < 0.4:
        arrays["time"] = rng.random(n)
    if dice.random() < 0.2:
        arrays["other"] = rng.random(dice.randint(0, 4))
    sink = io.BytesIO()
    (np.savez_compressed if dice.random() < 0.3 else np.savez)(sink, **arrays)
    rows = [(f"r{i}", None if y == -1 else y) for i, y in enumerate(labels)]
    return Input("npz", "npz", {"rows.npz": sink.getvalue()}, {}, rows, 0)


def idx_input(dice: Random) -> Input:
    """Draw an IDX file and the one with its labels."""
    rng = np.random.default_rng(dice.randrange(1 << 32))
    n = dice.randint(1, 30)
    codes = {8: ">u1", 9: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
    code = dice.choice(list(codes))
    images = rng.integers(0, 100, (n, 2, 3)).astype(codes[code])
    labels = rng.integers(0, 5, n).astype(">u1")
    files = {
        "a-images-idx3-ubyte": _idx(code, images),
        "a-labels-idx1-ubyte": _idx(8, labels),
    }
    rows = [("", int(y)) for y in labels]
    return Input("idx", "idx", files, {}, rows, 0)


def _idx(code: int, array: Any) -> bytes:
    shape = np.array(array.shape, ">u4").tobytes()
    return bytes((0, 0, code, array.ndim)) + shape + bytes(array.tobytes())
