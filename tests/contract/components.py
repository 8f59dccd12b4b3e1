"""Every source, buffer, stage and learner that must keep the contract: a new one costs one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from pyarrow import feather, ipc, parquet
from river import compose as river_compose
from river import drift as river_drift
from river import forest, linear_model, multioutput, preprocessing
from torch import nn
from torch.optim import SGD, Adam
from torch.utils.data import IterableDataset

from streamreplay.batch import Batch, GroupBy
from streamreplay.branches import Branches
from streamreplay.buffers import (
    BUFFER_KINDS,
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
)
from streamreplay.buffers.selection import (
    ClosestToCenterSelectionStrategy,
    GSSGreedySelectionStrategy,
    HerdingSelectionStrategy,
    LossAwareSelectionStrategy,
)
from streamreplay.evaluation import Detector, DriftMonitor, Holdout, Inventory, Prequential, Probe
from streamreplay.features import Schema
from streamreplay.ingest import (
    ArraySource,
    ArrowSource,
    CsvSource,
    DelayedLabels,
    Experiences,
    JsonlSource,
    LateLabels,
    hold_out,
    open_dataset,
    open_idx,
    open_npz,
    split_by_class,
)
from streamreplay.late import Late
from streamreplay.learners import (
    Backbone,
    ModuleFactory,
    RiverLearner,
    TorchLearner,
    Verification,
    cnn,
    linear,
    mlp,
)
from streamreplay.learners.neural.augment import compose, mixup, noise
from streamreplay.learners.neural.schedules import inverse_sqrt, warmup
from streamreplay.learners.neural.training import Training
from streamreplay.memory import FixedMemory
from streamreplay.mixing import Mixer
from streamreplay.records import LateRows, Rehearsal, Report, Scored
from streamreplay.stage import Source
from streamreplay.state import State

__all__ = [
    "BUFFERS",
    "SOURCES",
    "STAGES",
    "AnyStage",
    "BufferCase",
    "StageCase",
    "fixed_backbone",
    "rows",
]

drift: Any = river_drift  # its constructors have no types

ROWS = 23  # a prime: no batch size divides it
CLASSES = 4
FEATURES = 3

_Record = TypeVar("_Record", Batch, Rehearsal, Scored, Report)


class AnyStage(Protocol):
    """A stage with state, whatever it takes and yields."""

    def __call__(self, stream: Iterable[Any], /) -> Iterator[Any]: ...
    def state_dict(self) -> State: ...
    def load_state_dict(self, state: State) -> None: ...


# -- sources: name -> (folder, batch size) -> source ---------------------------------------------


def _columns(seed: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Draw features, string labels of which new ones come late, and an experience column."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
    y = np.array(["dog", "cat", "emu", "yak"])[rng.integers(0, 1 + np.arange(ROWS) // 6)]
    return x, y, np.arange(ROWS) // 9


def _jsonl(folder: Path, batch_size: int) -> JsonlSource:
    x, y, experience = _columns()
    path = folder / "rows.jsonl"
    lines = [
        json.dumps({"x": a.tolist(), "y": b, "experience": int(c), "id": f"row {i}"})
        for i, (a, b, c) in enumerate(zip(x, y, experience, strict=True))
    ]
    lines.insert(5, '{"x": [1, 2]')  # broken
    lines.insert(11, "")
    path.write_text("\n".join(lines))
    return JsonlSource(path, batch_size=batch_size)


def _json_array(folder: Path, batch_size: int) -> JsonlSource:
    lines = Path(str(_jsonl(folder, batch_size).path)).read_text().splitlines()
    path = folder / "rows.json"
    path.write_text("[" + ",\n".join(lines) + "]\n")
    return JsonlSource(path, batch_size=batch_size)


def _csv(folder: Path, batch_size: int) -> CsvSource:
    x, y, experience = _columns()
    path = folder / "rows.csv.gz"
    lines = ["a,b,c,kind,experience"]
    lines += [f"{a[0]},{a[1]},{a[2]},{b},{c}" for a, b, c in zip(x, y, experience, strict=True)]
    lines.insert(8, "1,2,broken,dog,0")
    path.write_bytes(gzip.compress("\r\n".join(lines).encode()))
    return CsvSource(path, label="kind", batch_size=batch_size)


def _files(folder: Path, batch_size: int) -> CsvSource:
    source = _csv(folder, batch_size)
    head, *lines = gzip.decompress(Path(str(source.path)).read_bytes()).decode().split("\r\n")
    (folder / "days").mkdir(exist_ok=True)
    for day, begin in enumerate(range(0, len(lines), 9)):
        text = "\n".join([head, *lines[begin : begin + 9]])
        (folder / "days" / f"{day}.csv").write_text(text)
    return CsvSource(folder / "days", label="kind", batch_size=batch_size)


def _table(folder: Path, batch_size: int) -> CsvSource:
    """Write categories, one of which comes late, gaps, times, texts and a value that fits none."""
    path = folder / "table.csv"
    lines = ["size,colour,when,note,kind,experience"]
    for i, (a, b, c) in enumerate(zip(*_columns(), strict=True)):
        size = ("", "?", f"{a[0]}")[min(i % 5, 2)]
        colour = ("red", "blue", "NA", "green")[i % (3 + i // 15)]
        when = "" if i % 7 == 2 else f"2024-03-{1 + i:02}T08:00:00"
        lines.append(f"{size},{colour},{when},pump {i % 4} broke down again,{b},{c}")
    lines[17] = lines[17].replace(lines[17].split(",")[0], "large", 1)  # no number
    path.write_text("\n".join(lines))
    return CsvSource(path, label="kind", batch_size=batch_size)


def _arrow(folder: Path, batch_size: int, *, kind: str) -> ArrowSource:
    x, y, experience = _columns()
    table = pa.table({"x": list(x), "y": y, "experience": experience, "id": np.arange(ROWS)})
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=7)
    elif kind == "arrow":
        feather.write_feather(table, path, chunksize=7)
    else:
        with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return ArrowSource(path, batch_size=batch_size)


def _table_of_types(folder: Path, batch_size: int) -> ArrowSource:
    """Write columns of many types, with gaps, and rows that cannot be used."""
    x, y, experience = _columns()
    when = pa.array(1_700_000_000 + 3600 * np.arange(ROWS), pa.timestamp("s", "Europe/Berlin"))
    columns = {
        "size": [None if i % 5 == 1 else float(a) for i, a in enumerate(x[:, 0])],
        "count": pa.array([None if i % 6 == 1 else i for i in range(ROWS)], pa.uint8()),
        "colour": pa.array(["red", "blue", None, "green"] * 5 + ["red", "new", "blue"]).cast(
            pa.dictionary(pa.int8(), pa.string())
        ),
        "when": when,
        "price": pa.array(np.arange(ROWS)).cast(pa.decimal128(30, 2)),
        "part": experience,
        "w": [-1.0, *[2.0] * (ROWS - 3), -1.0, 0.5],
        "nested": [{"a": 1}] * ROWS,
        "kind": y,
    }
    path = folder / "table.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=5)
    return ArrowSource(path, label="kind", experience="part", weight="w", batch_size=batch_size)


def _idx(folder: Path, batch_size: int) -> ArraySource:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (ROWS, 2, 2), np.uint8)
    labels = rng.integers(0, CLASSES, ROWS).astype(np.uint8)
    path = folder / "t-images-idx3-ubyte.gz"
    for name, array in ((path.name, images), ("t-labels-idx1-ubyte.gz", labels)):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / name).write_bytes(gzip.compress(head + array.tobytes()))
    return open_idx(path, batch_size=batch_size)


def _npz(folder: Path, batch_size: int) -> ArraySource:
    x, y, experience = _columns()
    np.savez(folder / "rows.npz", x=x, y=y, experience=experience, time=np.arange(ROWS) / 2)
    return open_npz(folder / "rows.npz", batch_size=batch_size)


def _arrays(_: Path, batch_size: int) -> ArraySource:
    x, y, experience = _columns()
    return ArraySource(x, y, experience=experience, id=np.arange(ROWS), batch_size=batch_size)


def _goals(_: Path, batch_size: int) -> ArraySource:
    x, _y, experience = _columns()
    target = np.where(np.arange(ROWS)[:, None] % 7 == 3, np.nan, x[:, :2])
    return ArraySource(
        x, target=target, weight=np.arange(ROWS), experience=experience, batch_size=batch_size
    )


def _jsonl_goals(folder: Path, batch_size: int) -> JsonlSource:
    x, y, experience = _columns()
    path = folder / "goals.jsonl"
    lines = [
        json.dumps({"x": a.tolist(), "y": [b] * (i % 3), "w": i, "experience": int(c)})
        for i, (a, b, c) in enumerate(zip(x, y.tolist(), experience, strict=True))
    ]
    lines[4] = '{"x": [1, 2, 3], "w": 1}'
    lines.insert(9, '{"x": [1, 2, 3], "y": ["gnu"]}')  # not declared
    path.write_text("\n".join(lines))
    labels = ["dog", "cat", "emu", "yak"]
    return JsonlSource(path, label="y", multilabel=labels, weight="w", batch_size=batch_size)


def _csv_goals(folder: Path, batch_size: int) -> CsvSource:
    x, _y, experience = _columns()
    path = folder / "goals.csv"
    lines = ["a,b,c,experience"]
    lines += [f"{a[0]},{a[1]},{a[2]},{b}" for a, b in zip(x, experience, strict=True)]
    lines[6] = "1,2,,0"
    lines.insert(8, "1,2,broken,0")
    path.write_text("\n".join(lines))
    return CsvSource(path, target="c", batch_size=batch_size)


def _split(folder: Path, batch_size: int) -> ArraySource:
    return split_by_class(_arrays(folder, batch_size), 2, seed=3, return_task_id=True)


def _held_out(folder: Path, batch_size: int) -> ArraySource:
    return hold_out(_arrays(folder, batch_size), 0.3, seed=3)[0]


def _limited(_: Path, batch_size: int) -> ArraySource:
    x, y, _experience = _columns()
    return ArraySource(x, y, batch_size=batch_size, limit=17)


def _unlabelled(_: Path, batch_size: int) -> ArraySource:
    return ArraySource(_columns()[0], batch_size=batch_size)


def _empty(_: Path, batch_size: int) -> ArraySource:
    return ArraySource(np.empty((0, FEATURES), np.float32), [], batch_size=batch_size)


def _empty_file(folder: Path, batch_size: int) -> JsonlSource:
    (folder / "empty.jsonl").write_bytes(b"")
    return JsonlSource(folder / "empty.jsonl", batch_size=batch_size)


class _Counted(IterableDataset[Any]):
    """An iterable dataset that knows where it is."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows, self.next = rows, 0

    def __iter__(self) -> Iterator[Any]:
        while self.next < len(self.rows):
            self.next += 1
            yield self.rows[self.next - 1]

    def state_dict(self) -> State:
        return {"next": self.next}

    def load_state_dict(self, state: State) -> None:
        self.next = state["next"]


class _Plain(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from _items()


def _items() -> list[Any]:
    x, y, _experience = _columns()
    return [(torch.from_numpy(a), b) for a, b in zip(x, y, strict=True)]


def _dataset(_: Path, batch_size: int, *, kind: str) -> Source:
    made: dict[str, Any] = {"map": _items(), "iterable": _Plain(), "stateful": _Counted(_items())}
    return open_dataset(made[kind], batch_size=batch_size)


SOURCES: dict[str, Callable[[Path, int], Source]] = {
    "arrays": _arrays,
    "limited": _limited,
    "unlabelled": _unlabelled,
    "split_by_class": _split,
    "hold_out": _held_out,
    "npz": _npz,
    "idx.gz": _idx,
    "jsonl": _jsonl,
    "json array": _json_array,
    "csv.gz": _csv,
    "csv(files)": _files,
    "table.csv": _table,
    "parquet": partial(_arrow, kind="parquet"),
    "arrow": partial(_arrow, kind="arrow"),
    "arrows": partial(_arrow, kind="arrows"),
    "table.parquet": _table_of_types,
    "dataset": partial(_dataset, kind="map"),
    "dataset(iterable)": partial(_dataset, kind="iterable"),
    "dataset(stateful)": partial(_dataset, kind="stateful"),
    "goals": _goals,
    "goals.jsonl": _jsonl_goals,
    "goals.csv": _csv_goals,
    "empty": _empty,
    "empty.jsonl": _empty_file,
}

# -- buffers: name -> (max_size, seed) -> buffer --------------------------------------------------


@dataclass(frozen=True)
class BufferCase:
    """A buffer, and which of the promises its policy can make."""

    make: Callable[[int, int], ExemplarsBuffer]
    """Given max_size and seed."""
    any_cut: bool = True
    """Whether any cut into batches gives the same exemplars."""
    random: bool = True
    """Whether another seed gives other exemplars."""
    ranks: bool = False
    """Whether another seed gives another order of exemplars, though all rows are kept."""
    uses_all: bool = True
    """Whether it is as full as rows allow."""

    def __call__(self, max_size: int, seed: int) -> ExemplarsBuffer:
        return self.make(max_size, seed)


def _pixels(x: NDArray[Any]) -> NDArray[Any]:
    return x


def _losses(batch: Batch) -> NDArray[Any]:
    losses: NDArray[Any] = np.abs(batch.x).sum(1)
    return losses


def _gradients(batch: Batch) -> NDArray[Any]:
    return batch.x * (batch.y[:, None] + 1)


def _ranked(strategy: Callable[[int], Any], by: GroupBy | None, **flags: bool) -> BufferCase:
    return BufferCase(
        lambda size, seed: ParametricBuffer(size, by, strategy(seed), seed), any_cut=False, **flags
    )


def _kind(name: str) -> BufferCase:
    make = BUFFER_KINDS[name]
    policy = make(1)._policy
    random = policy.by is not None or getattr(policy.selection, "draws", True)
    return BufferCase(lambda size, seed: make(size, seed=seed), random=random)


BUFFERS: dict[str, BufferCase] = {
    **{name.replace("_", "-"): _kind(name) for name in BUFFER_KINDS if name != "parametric"},
    "class-balanced(fixed)": BufferCase(
        lambda size, seed: ClassBalancedBuffer(
            size, seed, adaptive_size=False, total_num_classes=3
        ),
        uses_all=False,
    ),
    "parametric": BufferCase(lambda size, seed: ParametricBuffer(size, "task", seed=seed)),
    "loss-aware": BufferCase(
        lambda size, seed: ParametricBuffer(
            size, "class", LossAwareSelectionStrategy(_losses), seed
        )
    ),
    "herding": _ranked(lambda _: HerdingSelectionStrategy(_pixels), None, random=False),
    "closest": _ranked(lambda _: ClosestToCenterSelectionStrategy(_pixels), None, random=False),
    "gss": _ranked(
        lambda seed: GSSGreedySelectionStrategy(_gradients, 8, 3, seed), "task", ranks=True
    ),
    "decayed": BufferCase(lambda size, seed: DecayedReservoirBuffer(size, 9, seed)),
    "reservoir(ttl)": BufferCase(
        lambda size, seed: ReservoirSamplingBuffer(size, seed, ttl=12), uses_all=False
    ),
    "class-balanced(ttl)": BufferCase(
        lambda size, seed: ClassBalancedBuffer(size, seed, ttl=12), uses_all=False
    ),
    "reservoir(mapped)": BufferCase(
        lambda size, seed: ReservoirSamplingBuffer(size, seed, storage=gettempdir())
    ),
}

# -- stages ---------------------------------------------------------------------------------------


@cache
def rows(size: int = 4) -> tuple[Batch, ...]:
    """Cut one fixed stream of 36 rows into batches, which end where an experience does.

    Some rows have no label; one class comes late, one vanishes.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 36) + (np.arange(36) >= 18)
    x = rng.standard_normal((36, FEATURES)) + y[:, None]
    y[rng.random(36) < 0.15] = -1
    experience = np.arange(36) // 12
    whole = Batch.from_arrays(x, y, experience=experience, task=experience % 2, id=np.arange(36))
    batches = []
    for start in range(0, 36, 12):
        part = whole.take(slice(start, start + 12))
        batches += [part.take(slice(i, i + size)) for i in range(0, 12, size)]
    return _read_only(batches)


@cache
def _tables(size: int) -> tuple[Batch, ...]:
    """Put rows of a table in the place of those of `rows`: a category comes late, times are gone.

    A column comes in the middle of the stream.
    """
    schema = Schema(kinds={"note": "text"}, text_width=16)
    batches = []
    for batch in rows(size):
        t = batch.t.tolist()
        columns: dict[str, list[Any]] = {
            "size": [
                None if i % 5 == 2 else a for i, a in zip(t, batch.x[:, 0].tolist(), strict=True)
            ],
            "colour": [("red", "blue", None, "green")[i % (3 + i // 18)] for i in t],
            "when": [None if i % 7 == 2 else f"2024-03-{1 + i % 28:02}T08:00:00" for i in t],
            "note": [f"pump {i % 4} broke down again" for i in t],
        }
        if t[0] >= 12:
            columns["late"] = [i % 3 for i in t]
        if not schema.columns:
            schema.begin(columns)
        batches.append(replace(batch, x=schema.pack(schema.read(columns, len(t))), schema=schema))
    return _read_only(batches)


@cache
def _goals_of(size: int, *, labels: bool = False) -> tuple[Batch, ...]:
    """Put numbers, or labels, in the place of the classes of `rows`, and weights beside them."""
    batches = []
    for batch in rows(size):
        target: NDArray[Any] = batch.x[:, :2].astype(np.float64) + batch.y[:, None]
        known = np.minimum(batch.y, 0)
        target = target > 0.5 if labels else np.where(known[:, None] < 0, np.nan, 50 * target)
        weight = (batch.t % 4).astype(np.float32)
        batches.append(replace(batch, y=known, target=target, weight=weight))
    return _read_only(batches)


@cache
def _mixed_goals(size: int, *, labels: bool = False) -> tuple[Rehearsal, ...]:
    buffer, mixer = ReservoirSamplingBuffer(10), Mixer(3, steps=2, seed=7)
    stream = list(_goals_of(size, labels=labels))
    known = stream[0].take(stream[0].y == 0)
    stream.insert(len(stream) // 2, replace(known, held_out="test"))
    records = []
    for record in mixer(buffer(stream)):
        stored = record.memory.stored  # it changes at the next pull
        memory = FixedMemory(stored.take(np.arange(len(stored))))
        records.append(Rehearsal(record.incoming, memory, rows=record.rows, group=record.group))
    return _read_only(records)


@cache
def _mixed_goals_unweighted(size: int, *, labels: bool = False) -> tuple[Rehearsal, ...]:
    """For models that take no weights."""
    records = [
        replace(
            record,
            incoming=replace(record.incoming, weight=None),
            memory=FixedMemory(replace(record.memory.stored, weight=None)),
        )
        for record in _mixed_goals(size, labels=labels)
    ]
    return _read_only(records)


@cache
def _scored_goals(size: int, *, labels: bool = False) -> tuple[Scored, ...]:
    """Score such a stream by lot, with rounds of held-out rows at the ends of experiences."""
    rng = np.random.default_rng(4)
    test = Batch.concat(list(_goals_of(12, labels=labels)))
    test = test.take(test.y == 0).take(slice(0, 8))
    scored = []
    for batch in Holdout(test, chunk=4)(_probe()(_goals_of(size, labels=labels))):
        n = len(batch)
        loss = np.where(batch.y < 0, np.nan, rng.random(n)).astype(np.float32)
        said: NDArray[Any] = rng.standard_normal((n, 2))
        said[rng.random(n) < 0.1] = np.nan
        probability = np.full(n, np.nan, np.float32)
        scored.append(Scored(batch, said > 0 if labels else said, probability, loss, n % 3))
    return _read_only(scored)


@cache
def _reports_of_goals(size: int, *, labels: bool = False) -> tuple[Report, ...]:
    return _read_only(Prequential(report_every=7)(_scored_goals(size, labels=labels)))


@cache
def _timed(size: int) -> tuple[Batch, ...]:
    """Give rows times that run on unevenly, with some missing and some late."""
    batches = []
    for batch in rows(size):
        time = (batch.t**1.3).astype(np.float64)
        time[batch.t % 5 == 2] = np.nan
        time[batch.t % 11 == 0] -= 6
        batches.append(replace(batch, time=time))
    return _read_only(batches)


@cache
def _labelled_late(size: int) -> tuple[Batch, ...]:
    """Show an experience without labels, then its labels without features, then another one."""
    n = 12 // size
    bare = [replace(batch, y=np.full(len(batch), -1)) for batch in rows(size)[:n]]
    late = [replace(batch, x=np.zeros_like(batch.x)) for batch in rows(size)[:n]]
    mixed = [*bare, *late, *rows(size)[n : 2 * n]]
    return _read_only([batch.numbered(i * size) for i, batch in enumerate(mixed)])


@cache
def _in_late_batches(size: int, *, delay: int = 0) -> tuple[Batch, ...]:
    """Show rows in the batches in which they are learned late."""
    if delay:
        return _read_only(DelayedLabels(delay)(rows(size)))
    return _read_only(LateLabels(9)(_labelled_late(size)))


@cache
def _scored_late(size: int, *, delay: int = 0) -> tuple[Scored, ...]:
    learner = TorchLearner(linear(), _SGD)
    return _read_only(learner(_in_late_batches(size, delay=delay)))


@cache
def _verified(size: int) -> tuple[Scored, ...]:
    return _read_only(Verification()(_scored_late(size)))


def _test_set() -> Batch:
    x = np.random.default_rng(9).standard_normal((6, FEATURES))
    return Batch.from_arrays(x, [0, 1, 2, 3, 0, 1], experience=[0, 0, 1, 1, 2, 2])


@cache
def _probed(size: int, *, goals: bool = False) -> tuple[Batch, ...]:
    """Withhold some rows, and ask for them now and then."""
    return _read_only(_probe()(_goals_of(size) if goals else rows(size)))


def _probe() -> Probe:
    return Probe(0.4, max_size=6, every=10, chunk=4)


@cache
def _rehearsals(size: int, *, tables: bool = False) -> tuple[Rehearsal, ...]:
    """Put each batch beside the labelled ones of the 10 rows before it, and one held-out batch."""
    stream = _tables(size) if tables else rows(size)
    records = []
    past = stream[0].take(slice(0, 0))
    for batch in stream:
        buffer = ReservoirSamplingBuffer(10)
        buffer.update(past.take(slice(-10, None)))
        records.append(next(buffer([batch])))
        past = Batch.concat([past, batch])
    middle = records[len(records) // 2]
    held_out = replace(middle, incoming=replace(stream[0], held_out="test"))
    records.insert(len(records) // 2, held_out)
    return _read_only(records)


@cache
def _mixed(size: int, *, tables: bool = False) -> tuple[Rehearsal, ...]:
    return _read_only(Mixer(3, steps=2, seed=7)(_rehearsals(size, tables=tables)))


def _metrics() -> list[Any]:
    """Make one metric of River for each way in which they are fed."""
    kinds: Any = import_module("river.metrics")
    return [kinds.CohenKappa(), kinds.F1(), kinds.ROCAUC(), kinds.LogLoss(), kinds.RollingROCAUC()]


@cache
def _scored(size: int, *, tables: bool = False) -> tuple[Scored, ...]:
    """Score the stream by lot, with rounds of held-out rows at the ends of experiences."""
    rng = np.random.default_rng(4)
    scored = []
    stream: Iterable[Batch] = _probe()(_tables(size) if tables else rows(size))
    for batch in stream if tables else Holdout(_test_set(), chunk=4)(stream):
        n = len(batch)
        loss = np.where(batch.y < 0, np.nan, rng.random(n)).astype(np.float32)
        probability = rng.random(n).astype(np.float32)
        squares = None if n % 4 == 3 else rng.random(n).astype(np.float32)
        said = rng.integers(0, CLASSES, n)
        scored.append(Scored(batch, said, probability, loss, n % 3, square_sum=squares))
    return _read_only(scored)


@cache
def _reports(size: int, *, tables: bool = False) -> tuple[Report, ...]:
    """Report on such a stream, with records at other rows than where anything drifts."""
    return _read_only(Prequential(report_every=7)(_scored(size, tables=tables)))


def _monitor(*, labels: bool = False, feature: str = "1") -> DriftMonitor:
    """Watch with detectors that are so quick to judge that each fires a few times in 36 rows."""
    kswin = drift.KSWIN(alpha=0.5, window_size=6, stat_size=3, seed=1)
    named = [
        Detector(drift.ADWIN(clock=1, min_window_length=2, grace_period=3, delta=0.9), "loss"),
        Detector(drift.binary.DDM(3, 0.5, 1.0), cooldown=2),
        Detector(drift.PageHinkley(2, threshold=0.5), "features", actions={"look": _look}),
        Detector(kswin, f"feature:{feature}", warning_actions={}),
        Detector(drift.binary.HDDMW(0.9, 0.95), "labels"),
    ]
    return DriftMonitor(named[3:] if labels else named)


def _look(record: dict[str, Any]) -> None:
    assert record["actions"] == ["look"]


def _read_only(records: Iterable[_Record]) -> tuple[_Record, ...]:
    """Make any attempt to write to a record an error."""
    frozen = tuple(records)
    for record in frozen:
        _freeze(record)
    return frozen


def _freeze(part: Any) -> None:
    if isinstance(part, np.ndarray):
        part.flags.writeable = False
    elif isinstance(part, Batch | Late | Rehearsal | Scored | LateRows | Report):
        for field in fields(part):
            _freeze(getattr(part, field.name))


def _noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 4), nn.Dropout(0.3), nn.Linear(4, classes))


def _on_lines(factory: ModuleFactory) -> ModuleFactory:
    """Take rows for images of one line."""

    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (1, *shape)), factory((1, *shape), classes))

    return build


def fixed_backbone(features: int, seed: int = 0) -> Backbone:
    """Give features that are the same for any seed: a run goes on only with the same weights."""
    skip: Any = nn.utils.skip_init
    layer = skip(nn.Linear, features, 5)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.arange(p.numel()).reshape(p.shape).sin())
    module = nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(5), nn.Dropout(0.5))
    return Backbone(module, seed=seed)


def _river(model: Any) -> RiverLearner:
    return RiverLearner(model, allow_pickle=True, trusted=True)


def _branches(seed: int, *, shared: bool) -> Branches:
    """Compare a noisy module with a forest, which report at other rows."""
    buffer = ClassBalancedBuffer(8, seed)
    own = {} if shared else {"buffer": buffer}
    return Branches(
        {
            "noisy": {
                **own,
                "mixer": Mixer(4, seed=seed),
                "learner": TorchLearner(_noisy, _ADAM, seed=seed),
                "evaluator": Prequential(report_every=7, window=9),
                **({} if shared else {"inventory": Inventory(buffer.describe)}),
            },
            "river": {
                "learner": _river(forest.AMFClassifier(n_estimators=2, seed=seed)),
                "evaluator": Prequential(report_every=5),
            },
        }
    )


@dataclass(frozen=True)
class StageCase:
    """A stage, and a stream for it."""

    make: Callable[[int], AnyStage]
    """Given a seed."""
    inputs: Callable[[int], Sequence[Any]]
    """Given how many rows a batch has; nothing in it can be written to."""
    random: bool = True
    """Whether another seed gives another result."""


_SGD = partial(SGD, lr=0.05, momentum=0.9)
_ADAM = partial(Adam, lr=0.01)
_LEVERS = Training(
    augment=compose(noise(0.3), mixup()),
    schedule=warmup(5, inverse_sqrt(9)),
    schedule_restarts=True,
)


def _learner_of_tables(method: str, seed: int) -> TorchLearner:
    return TorchLearner(mlp([4]), _ADAM, method=method, seed=seed)


STAGES: dict[str, StageCase] = {
    **{
        f"{name}({size})": StageCase(
            partial(case.make, size),
            rows,
            random=(case.random and 0 < size < 36) or (case.ranks and size > 0),
        )
        for name, case in BUFFERS.items()
        for size in (0, 1, 10, 100)
    },
    **{
        f"{name} of a table": StageCase(
            partial(BUFFERS[name].make, 10), _tables, random=BUFFERS[name].random
        )
        for name in ("reservoir", "class-balanced", "reservoir(ttl)", "reservoir(mapped)")
    },
    "late labels": StageCase(lambda _: LateLabels(3), _labelled_late, random=False),
    "delayed labels": StageCase(lambda _: DelayedLabels(5), rows, random=False),
    "delayed labels of a table": StageCase(lambda _: DelayedLabels(5), _tables, random=False),
    "er of late labels": StageCase(
        lambda seed: TorchLearner(mlp([4]), _ADAM, seed=seed), _in_late_batches
    ),
    "verification": StageCase(lambda _: Verification(), _scored_late, random=False),
    "verification of a delay": StageCase(
        lambda _: Verification(), partial(_scored_late, delay=5), random=False
    ),
    "prequential of late labels": StageCase(
        lambda _: Prequential(report_every=7, window=9), _verified, random=False
    ),
    "probe of late labels": StageCase(lambda _: _probe(), _in_late_batches, random=False),
    "mixer": StageCase(lambda seed: Mixer(4, seed=seed), _rehearsals),
    "mixer(steps)": StageCase(lambda seed: Mixer(4, steps=3, seed=seed), _rehearsals),
    "mixer(class)": StageCase(lambda seed: Mixer(4, "class", seed=seed), _rehearsals),
    "mixer(task)": StageCase(
        lambda seed: Mixer(5, "task", replacement=True, seed=seed), _rehearsals
    ),
    "mixer(experience)": StageCase(lambda seed: Mixer(5, "experience", seed=seed), _rehearsals),
    "mixer(0)": StageCase(lambda seed: Mixer(0, seed=seed), _rehearsals, random=False),
    "linear": StageCase(lambda seed: TorchLearner(linear(), _SGD, seed=seed), _mixed),
    "mlp": StageCase(lambda seed: TorchLearner(mlp([4]), _SGD, seed=seed), _mixed),
    "mlp-adam": StageCase(lambda seed: TorchLearner(mlp([4]), _ADAM, seed=seed), _mixed),
    "cosine": StageCase(
        lambda seed: TorchLearner(mlp([4], head="cosine"), _ADAM, seed=seed), _mixed
    ),
    "weight_norm": StageCase(
        lambda seed: TorchLearner(mlp([4], head="weight_norm"), _SGD, seed=seed), _mixed
    ),
    "cnn": StageCase(lambda seed: TorchLearner(_on_lines(cnn([4, 4])), _SGD, seed=seed), _mixed),
    "mixer of a table": StageCase(
        lambda seed: Mixer(4, "class", seed=seed), partial(_rehearsals, tables=True)
    ),
    **{
        f"{method} of a table": StageCase(
            partial(_learner_of_tables, method), partial(_mixed, tables=True)
        )
        for method in ("er", "er-slda", "a-gem")
    },
    "river of a table": StageCase(
        lambda _: _river(
            river_compose.SelectType(str, float)
            | preprocessing.FeatureHasher(16, seed=1)
            | linear_model.SoftmaxRegression()
        ),
        partial(_mixed, tables=True),
        random=False,
    ),
    "prequential of a table": StageCase(
        lambda _: Prequential(report_every=7, window=9),
        partial(_scored, tables=True),
        random=False,
    ),
    "probe of a table": StageCase(lambda _: _probe(), _tables, random=False),
    "drift of a table": StageCase(
        lambda _: _monitor(feature="size"), partial(_reports, tables=True), random=False
    ),
    "backbone": StageCase(lambda seed: fixed_backbone(FEATURES, seed), rows, random=False),
    "noisy": StageCase(lambda seed: TorchLearner(_noisy, _ADAM, seed=seed), _mixed),
    "levers": StageCase(
        lambda seed: TorchLearner(linear(), _SGD, training=_LEVERS, seed=seed), _mixed
    ),
    "numbers": StageCase(lambda seed: TorchLearner(mlp([4]), _ADAM, seed=seed), _mixed_goals),
    "numbers(huber)": StageCase(
        lambda seed: TorchLearner(
            _noisy, _ADAM, method="der++", training=Training(huber=1.0, ema=0.9), seed=seed
        ),
        _mixed_goals,
    ),
    "labels": StageCase(
        lambda seed: TorchLearner(mlp([4]), _ADAM, method="a-gem", seed=seed),
        partial(_mixed_goals, labels=True),
    ),
    "numbers on batches": StageCase(
        lambda seed: TorchLearner(linear(), _SGD, seed=seed), _goals_of
    ),
    "reservoir of numbers": StageCase(partial(ReservoirSamplingBuffer, 10), _goals_of),
    "reservoir of labels(mapped)": StageCase(
        lambda seed: ReservoirSamplingBuffer(10, seed, storage=gettempdir()),
        partial(_goals_of, labels=True),
    ),
    "on batches": StageCase(lambda seed: TorchLearner(linear(), _SGD, seed=seed), rows),
    "river": StageCase(
        lambda _: _river(preprocessing.StandardScaler() | linear_model.SoftmaxRegression()),
        _mixed,
        random=False,
    ),
    "river(seed)": StageCase(
        lambda seed: _river(forest.AMFClassifier(n_estimators=2, seed=seed)), _mixed
    ),
    "river numbers": StageCase(
        lambda _: _river(
            preprocessing.StandardScaler()
            | multioutput.RegressorChain(linear_model.LinearRegression())
        ),
        _mixed_goals_unweighted,
        random=False,
    ),
    "river labels": StageCase(
        lambda _: _river(multioutput.ClassifierChain(linear_model.LogisticRegression())),
        partial(_mixed_goals_unweighted, labels=True),
        random=False,
    ),
    "river on batches": StageCase(
        lambda _: _river(linear_model.SoftmaxRegression()), rows, random=False
    ),
    "branches": StageCase(partial(_branches, shared=False), rows),
    "branches(shared)": StageCase(partial(_branches, shared=True), _rehearsals),
    "prequential": StageCase(
        lambda _: Prequential(report_every=7, window=9), _scored, random=False
    ),
    "prequential(metrics)": StageCase(
        lambda _: Prequential(report_every=7, window=9, metrics=_metrics()), _scored, random=False
    ),
    "prequential(numbers)": StageCase(
        lambda _: Prequential(report_every=7, window=9), _scored_goals, random=False
    ),
    "prequential(labels)": StageCase(
        lambda _: Prequential(report_every=7, window=9),
        partial(_scored_goals, labels=True),
        random=False,
    ),
    "prequential(1)": StageCase(
        lambda _: Prequential(report_every=1, window=1, fading=1.0), _scored, random=False
    ),
    "probe": StageCase(lambda _: Probe(0.4, max_size=9, budget=4.0), rows, random=False),
    "probe(every)": StageCase(lambda _: _probe(), rows, random=False),
    "probe(none)": StageCase(
        lambda _: Probe(0.9, max_size=4, by="none", every=3), _goals_of, random=False
    ),
    "reservoir of the rest": StageCase(partial(ReservoirSamplingBuffer, 10), _probed),
    "mlp on the rest": StageCase(
        lambda seed: TorchLearner(mlp([4]), _ADAM, method="er-slda", seed=seed), _probed
    ),
    "noisy on the rest": StageCase(
        lambda seed: TorchLearner(_noisy, _ADAM, seed=seed), partial(_probed, goals=True)
    ),
    "river on the rest": StageCase(
        lambda _: _river(linear_model.SoftmaxRegression()), _probed, random=False
    ),
    "drift": StageCase(lambda _: _monitor(), _reports, random=False),
    "drift(labels)": StageCase(
        lambda _: _monitor(labels=True), partial(_reports_of_goals, labels=True), random=False
    ),
    "experiences": StageCase(lambda _: Experiences(), rows, random=False),
    "experiences(rows)": StageCase(lambda _: Experiences(rows=7), rows, random=False),
    "experiences(seconds)": StageCase(lambda _: Experiences(seconds=2.5), _timed, random=False),
    "holdout": StageCase(lambda _: Holdout(_test_set()), rows, random=False),
    "holdout(every)": StageCase(
        lambda _: Holdout(_test_set(), every=5, chunk=4), rows, random=False
    ),
}
