"""Read an input by every way there is, and compare what comes of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from random import Random
from typing import Any

from torch.optim import SGD

from streamreplay import Pipeline, Prequential, TorchLearner, linear
from streamreplay.batch import Batch
from streamreplay.errors import StreamReplayError
from streamreplay.features.packed import is_table, widened
from streamreplay.features.schema import Schema
from streamreplay.ingest import ArrowSource, CsvSource, JsonlSource, open_idx, open_npz
from streamreplay.ingest.connect import byte_stream
from streamreplay.ingest.decode import arrow_cells, struct_records
from streamreplay.run import RunOptions, choose_job, run_job
from streamreplay.stage import Source
from tests.fuzz.folders import check_folder
from tests.fuzz.rows import Input

__all__ = ["check", "write"]

MAKERS: dict[str, Callable[..., Any]] = {
    "csv": CsvSource,
    "jsonl": JsonlSource,
    "arrow": ArrowSource,
    "npz": open_npz,
    "idx": open_idx,
}
FORMATS = {"arrow": "auto"}  # of a job, where it is not the source's name
LEARNED, RUN = 0.04, 0.004
"""The shares of inputs that are learned from, and that are run over with a folder."""


@dataclass
class Outcome:
    """What came of an input: rows, what was put aside, and the error that ended it, if any."""

    aside: list[dict[str, Any]] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    error: str = ""

    @cached_property
    def rows(self) -> list[tuple[Any, ...]]:
        """The id, the label and all else of each row; read it when all batches have come."""
        return [row for batch in self.batches for row in _rows(batch, self.batches[-1])]

    @property
    def position(self) -> int:
        return sum(map(len, self.batches))


def write(made: Input, folder: Path) -> Path:
    """Write the files of an input; return the one that is read."""
    for name, data in made.files.items():
        (folder / name).write_bytes(data)
    return folder / next(iter(made.files))


def check(made: Input, dice: Random, folder: Path) -> int:
    """Check all that must be true of an input; return how many records came."""
    if made.source == "folder":
        return check_folder(made, dice, folder)
    path = write(made, folder)
    size = dice.choice((1, 3, 32))
    other = dice.choice(WAYS)
    if other is in_bulk:  # it begins where the kinds of columns are settled
        made.infer_rows = 3
    whole = read(made, path, size)
    compare(made, whole)
    if other is not piped or _may_be_piped(made):
        again = other(made, path, size, dice)
        _equal(whole, again, other.__name__)
    share = dice.random()
    if share < RUN:
        run(made, path, folder / "out", whole)
    elif share < LEARNED:
        learn(made, path, size, whole)
    return len(whole.rows) + len(whole.aside)


# -- ways to read ---------------------------------------------------------------------------------


def read(made: Input, path: Any, size: int) -> Outcome:
    """Read an input from its start to its end."""
    outcome = Outcome()
    with _refused(outcome):
        _read_on(opened(made, path, size, outcome), outcome)
    return outcome


def opened(made: Input, path: Any, size: int, outcome: Outcome) -> Source:
    options = dict(made.options)
    if made.source in ("csv", "jsonl", "arrow"):
        options["on_dead"] = outcome.aside.append
        options["schema"] = Schema(infer_rows=made.infer_rows)
    source: Source = MAKERS[made.source](path, batch_size=size, **options)
    return source


def _read_on(source: Source, outcome: Outcome) -> None:
    for batch in source:
        _take(source, batch, outcome)
    assert source.put_aside.count == len(outcome.aside), "count of those put aside"
    assert sum(source.put_aside.reasons.values()) == len(outcome.aside), "sum of reasons"


def _take(source: Source, batch: Batch, outcome: Outcome) -> None:
    outcome.batches.append(batch)
    assert source.position == outcome.position, "position"
    assert source.put_aside.count == len(outcome.aside), "count of those put aside"


@contextmanager
def _refused(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except StreamReplayError as error:
        # where a compressed stream breaks is known to a block
        text = re.sub(r"(at or after byte) \d+", r"\1 N", str(error))
        outcome.error = f"{type(error).__name__}: {text}"


def other_size(made: Input, path: Path, size: int, _: Random) -> Outcome:
    """Read it in other batches."""
    return read(made, path, 1 + size % 5)


def small_blocks(made: Input, path: Path, size: int, dice: Random) -> Outcome:
    """Read it a few bytes at a time."""
    before = byte_stream.BLOCK
    byte_stream.BLOCK = dice.choice((1, 2, 3, 7, 64))
    try:
        return read(made, path, size)
    finally:
        byte_stream.BLOCK = before


def in_bulk(made: Input, path: Path, size: int, dice: Random) -> Outcome:
    """Read few lines at once as many are read."""
    before = arrow_cells.ENOUGH, struct_records.ENOUGH, byte_stream.BLOCK
    arrow_cells.ENOUGH = struct_records.ENOUGH = 2
    byte_stream.BLOCK = dice.choice((64, 200, 600))
    try:
        return read(made, path, size)
    finally:
        arrow_cells.ENOUGH, struct_records.ENOUGH, byte_stream.BLOCK = before


def resumed(made: Input, path: Path, size: int, dice: Random) -> Outcome:
    """Stop after a batch, and go on from the state with another source, several times."""
    outcome = Outcome()
    every = dice.randint(1, 4)
    pauses = dice.random() < 0.3  # before the rows that only the end makes a batch
    with _refused(outcome):
        source = opened(made, path, size, outcome)
        while True:
            source.whole_batches = pauses
            found = 0
            for batch in source:
                found += 1
                _take(source, batch, outcome)
                if found == every:
                    break
            if found < every and not pauses:
                break
            pauses = pauses and found == every
            state = source.state_dict()
            source = opened(made, path, size, outcome)
            source.load_state_dict(state)
    return outcome


def piped(made: Input, path: Path, size: int, _: Random) -> Outcome:
    """Read it from standard input."""
    reader, writer = os.pipe()
    os.write(writer, path.read_bytes())
    os.close(writer)
    kept = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)
    try:
        outcome = read(made, "-", size)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    for letter in outcome.aside:
        letter["source"] = path.name
    outcome.error = outcome.error.replace("standard input", path.name)
    return outcome


def _may_be_piped(made: Input) -> bool:
    streams = made.source in ("csv", "jsonl") or made.form.startswith("arrow stream")
    return streams and len(next(iter(made.files.values()))) < 60_000


WAYS = (other_size, small_blocks, in_bulk, resumed, piped)


def _rows(batch: Batch, last: Batch) -> Iterator[tuple[Any, ...]]:
    columns = {name: column for name, column in batch.columns().items() if name != "id"}
    if is_table(last.x):  # it may have more columns
        columns["x"] = widened(batch.x, last.x.dtype)
    ids = [""] * len(batch) if batch.id is None else batch.id.tolist()
    names = batch.labels.names if batch.labels is not None else []
    for i, y in enumerate(batch.y.tolist()):
        rest = tuple((name, column[i].tobytes()) for name, column in columns.items())
        yield ids[i], None if y < 0 else names[y], rest


# -- what must be so ------------------------------------------------------------------------------


def compare(made: Input, found: Outcome) -> None:
    """Compare what came of an input with what was written into it."""
    if found.error and not made.may_fail:
        none_good = not made.rows and found.error.startswith("NoUsableRowError")
        assert none_good, f"refused: {found.error}"
    if made.rows is None:
        return
    rows = [row[:2] for row in found.rows]
    if not made.changed:
        assert rows == made.rows, f"rows {rows}, expected {made.rows}"
    left = iter(rows)
    lost = [row for row in made.rows if not any(row == other for other in left)]
    assert not lost, f"good records are lost: {lost}"
    if made.bad is None:
        return
    came, wrote = len(rows) + len(found.aside), len(made.rows) + made.bad
    why = [letter["reason"] for letter in found.aside]
    # a changed record in an array may become several
    several = made.changed and not made.form.startswith(("csv", "json lines"))
    most = came if several else wrote + made.changed
    assert wrote <= came <= most, f"{came} records of {wrote}: {why}"


def _equal(whole: Outcome, other: Outcome, way: str) -> None:
    if "broken compressed data" in whole.error + other.error:
        assert whole.error, f"{way}: {other.error!r}, expected no error"
        assert other.error, f"{way}: no error, expected {whole.error!r}"
        return  # how much comes before it depends on the blocks
    assert other.error == whole.error, f"{way}: {other.error!r}, expected {whole.error!r}"
    assert other.aside == whole.aside, f"{way}: put aside {other.aside}, expected {whole.aside}"
    for i, (found, expected) in enumerate(zip(other.rows, whole.rows, strict=False)):
        assert found == expected, f"{way}: row {i} is {found}, expected {expected}"
    assert len(other.rows) == len(whole.rows), f"{way}: {len(other.rows)} rows"


def learn(made: Input, path: Path, size: int, whole: Outcome) -> None:
    """Learn from an input, and check that each row is counted once."""
    aside: list[Any] = []
    found = Outcome(aside)
    with _refused(found):
        source: Any = opened(made, path, size, found)
        pipeline = Pipeline(
            source,
            learner=TorchLearner(linear(), partial(SGD, lr=0.01)),
            evaluator=Prequential(report_every=9),
        )
        for report in pipeline:
            counts = pipeline.rows
            assert counts.rows_in == source.position + len(aside), counts
            assert counts.pending == 0, (counts, report)
        counts = pipeline.rows
        labelled = sum(row[1] is not None for row in whole.rows)
        assert counts.labelled == labelled, counts
        assert counts.predicted_only == len(whole.rows) - labelled, counts
        assert counts.put_aside == len(whole.aside), counts
        assert (counts.pending, counts.withheld) == (0, 0), counts
    assert found.error == whole.error, f"learn: {found.error}, expected {whole.error}"


def run(made: Input, path: Path, out: Path, whole: Outcome) -> None:
    """Run over an input with a folder, and check its logs and the sum in them."""
    overrides = [f"source.{key}={json.dumps(value)}" for key, value in made.options.items()]
    overrides += [
        f"source.path={json.dumps(str(path))}",
        f"source.format={FORMATS.get(made.source, made.source)}",
        f"features.infer_rows={made.infer_rows}",
        *("learner.module=linear", "run.emit=none", "run.save_predictions=true"),
        *("source.batch_size=4", "run.checkpoint_every=8", "buffer.max_size=9"),
    ]
    found, codes = Outcome(), []
    with _refused(found), _silenced():
        job = choose_job(None, overrides, out, resume=False)
        codes += [run_job(job, RunOptions(out, quiet=True))]
    assert found.error == whole.error, f"run: {found.error!r}, expected {whole.error!r}"
    if found.error:
        return
    again = RunOptions(out, resume=True, quiet=True)
    with _silenced():
        codes += [run_job(choose_job(None, [], out, resume=True), again)]
    assert codes in ([0, 0], [3, 3]), codes
    predicted = _lines(out / "predictions.jsonl")
    ids = [line.get("id") or "" for line in predicted]
    assert ids == [row[0] for row in whole.rows], f"predicted {ids}"
    dead = _lines(out / "dead_letters.jsonl")
    assert len(dead) == len(whole.aside), dead
    sums = [line for line in _lines(out / "metrics.jsonl") if line["kind"] == "rows"]
    if not sums:
        assert not [*whole.rows, *whole.aside], "no record of kind rows"
        return
    last = sums[-1]
    parts = ("learned", "predicted_only", "withheld", "pending", "put_aside", "skipped")
    assert last["rows_in"] == sum(last[part] for part in parts), last
    assert last["rows_in"] == len(whole.rows) + len(whole.aside), last
    assert last["pending"] == 0, last


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep what a run says from the terminal."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
