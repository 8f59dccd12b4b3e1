"""Run folders with a changed log, state or manifest, and what every command must do with them."""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from streamreplay.checkpoint.folder import load_checkpoint, save_checkpoint
from streamreplay.config import load_job
from streamreplay.run import RunOptions, run_job
from tests.fuzz.changes import changed
from tests.fuzz.rows import Input
from tests.run.jobs import JOBS, settings_of
from tests.trust.drive import Done, command, contents

__all__ = [
    "TAKEN_AWAY",
    "check_done",
    "check_folder",
    "crafted",
    "finished",
    "folder_input",
    "replaced",
    "seal",
    "spots",
    "value_at",
]

LOGS = ("metrics.jsonl", "predictions.jsonl", "dead_letters.jsonl", "timings.jsonl", "events.log")
TAKEN_AWAY = object()
"""Stands for a key or an entry that is not there any more."""
PATIENCE = 20  # seconds

Spot = tuple[int | str, ...]
"""The path of a value in a tree of dicts and lists."""


@cache
def finished(name: str) -> Path:
    """Return a folder with the rows of a job, and a small run over them that has ended."""
    folder = Path(tempfile.mkdtemp(prefix="finished-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    job = load_job(None, [*settings_of(name, folder), "run.checkpoint_every=100"])
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        assert run_job(job, RunOptions(folder / "run", quiet=True)) == 0
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    return folder


# -- changing a tree ------------------------------------------------------------------------------


def spots(tree: Any, path: Spot = ()) -> Iterator[Spot]:
    """Yield the path of every value in a tree but its root."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from spots(value, (*path, key))


def value_at(tree: Any, path: Spot) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def replaced(tree: Any, path: Spot, value: Any) -> Any:
    """Return a copy of a tree with another value at a place, or with none."""
    tree = copy.deepcopy(tree)
    inside = value_at(tree, path[:-1])
    if value is TAKEN_AWAY:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return tree


def other_value(dice: Random, value: Any) -> Any:
    """Draw something that is wrong in the place of a value, or may be."""
    if isinstance(value, np.ndarray | torch.Tensor) and dice.random() < 0.7:
        return other_array(dice, value)
    if isinstance(value, dict) and dice.random() < 0.4:
        return {**value, dice.choice(("extra", "0", "kind")): dice.choice((0, None, {}))}
    if isinstance(value, list) and dice.random() < 0.4:
        return dice.choice((value[:-1], [*value, *value], [*value, None], value * 3))
    if isinstance(value, int) and dice.random() < 0.4:
        return value + dice.choice((-1, 1, 1000, -1000))
    numbers = (0, -1, 1, 2**31, 2**63, -(2**70), 10**400, 0.5, 1e300)
    words = ("", "0", "no\x1b[2J\n", "\ud800", "a" * 100_000)
    nothing: tuple[Any, ...] = (
        TAKEN_AWAY,
        None,
        True,
        [],
        {},
        nested(200),
        [None],
        {"kind": 3},
        {7: 7},
    )
    arrays = (np.zeros(0), np.zeros((3, 3), "i8"), torch.zeros(2), np.array(["a"]))
    kinds = (numbers, words, (float("nan"), float("inf")), nothing, arrays)
    return dice.choice(dice.choice(kinds))


def nested(depth: int) -> Any:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]
    return deep


def other_array(dice: Random, value: Any) -> Any:  # noqa: PLR0911 - a change each
    if isinstance(value, torch.Tensor):
        if value.dtype == torch.bfloat16:
            return value[:0]
        return torch.from_numpy(np.ascontiguousarray(other_array(dice, value.numpy())))
    kind = dice.randrange(6)
    if kind == 0 and value.ndim:
        return value[:-1].copy()
    if kind == 1 and value.ndim:
        return np.concatenate([value, value])
    if kind == 2:
        return value.reshape(1, *value.shape).copy()
    if kind == 3 and value.dtype.names is None and value.dtype.kind != "U":
        return value.astype(dice.choice(("f4", "f8", "i8", "u1", "?")))
    if value.dtype.kind in "iuf" and value.size:
        value = value.copy()
        wrong: tuple[float, ...] = (-1, 0, 1, 100)
        if value.dtype.kind == "f":
            wrong = (float("nan"), float("inf"), -1.0, 1e30)
        elif value.dtype.kind == "i":
            wrong = (*wrong, np.iinfo(value.dtype).min, np.iinfo(value.dtype).max)
        flat = value.reshape(-1)
        flat[dice.randrange(flat.size) :] = dice.choice(wrong)
        return value
    return np.zeros_like(value)


# -- changing a run folder ------------------------------------------------------------------------


def crafted(run: Path, change: Callable[[Any], Any], *, ended: bool = False) -> None:
    """Leave one checkpoint of a run, or that and the one of the end, with a changed state."""
    folder = run / "checkpoints"
    kept = [sorted(folder.iterdir())[place] for place in ((1, -1) if ended else (1,))]
    found = {path: load_checkpoint(path) for path in kept}
    shutil.rmtree(folder)
    for path, (state, manifest) in found.items():
        position, is_end = manifest["position"], path.suffix == ".end"
        save_checkpoint(folder, change(state), position=position, ended=is_end)


def seal(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
    """Give a checkpoint the manifest of the files that it has, changed, with its checksum."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for name, said in manifest["files"].items():
        raw = (folder / name).read_bytes()
        said |= {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    manifest = manifest if change is None else change(manifest)
    bare = {key: value for key, value in manifest.items() if key != "sha256"}
    dumped = json.dumps(bare, separators=(",", ":")).encode()
    whole = {**bare, "sha256": hashlib.sha256(dumped).hexdigest()}
    path.write_bytes(json.dumps(whole, indent=1).encode() + b"\n")


def _change_state(dice: Random, run: Path) -> None:
    seed = dice.randrange(1 << 40)

    def change(state: Any) -> Any:
        again = Random(seed)  # noqa: S311 - the same change of both states
        for _ in range(again.choice((1, 1, 2))):
            where = again.choice([*spots(state)])
            state = replaced(state, where, other_value(again, value_at(state, where)))
        return state

    with suppress(TypeError, RecursionError):  # what no state can hold stays as it was
        crafted(run, change, ended=dice.random() < 0.3)


def _change_files(dice: Random, run: Path) -> None:
    """Change bytes of the files of a checkpoint, sealed again or not, or its manifest."""
    folder = sorted((run / "checkpoints").iterdir())[1]
    for other in set((run / "checkpoints").iterdir()) - {folder}:
        shutil.rmtree(other)
    if dice.random() < 0.4:
        seal(folder, lambda manifest: _changed_tree(dice, manifest))
        return
    path = folder / dice.choice(("state.json", "arrays.safetensors", "manifest.json"))
    data = path.read_bytes()
    if path.name == "state.json" and dice.random() < 0.2:
        at = data.find(b"[", dice.randrange(len(data)))
        data = data[:at] + b"[" * 5000 + b"]" * 5000 + b"," + data[at:]
    path.write_bytes(changed(dice, data))
    if dice.random() < 0.8 and path.name != "manifest.json":
        seal(folder)


def _change_log(dice: Random, run: Path) -> None:
    path = run / dice.choice(LOGS)
    lines = path.read_bytes().splitlines(keepends=True)
    for _ in range(dice.choice((1, 1, 3))):
        at = dice.randrange(len(lines)) if lines else 0
        line = lines[at] if lines else b"{}\n"
        if line.startswith(b"{") and dice.random() < 0.7:
            with suppress(TypeError, ValueError, IndexError, RecursionError):  # or is none any more
                record = _changed_tree(dice, json.loads(line))
                line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        else:
            line = changed(dice, line)
        lines[at : at + 1] = [line] * dice.choice((0, 1, 1, 1, 1, 1, 2))
    path.write_bytes(b"".join(lines))


def _changed_tree(dice: Random, tree: Any) -> Any:
    where = dice.choice([*spots(tree)])
    value = other_value(dice, value_at(tree, where))
    plain = isinstance(value, int | float | str | list | dict | None) or value is TAKEN_AWAY
    return replaced(tree, where, value) if plain else tree


_CHANGES: dict[str, Callable[[Random, Path], None]] = {
    "log": _change_log,
    "state": _change_state,
    "checkpoint": _change_files,
}


def folder_input(dice: Random) -> Input:
    """Draw a run folder with a changed log, state or file of a checkpoint."""
    name, form = dice.choice([*JOBS]), dice.choice([*_CHANGES])
    with tempfile.TemporaryDirectory() as made:
        run = Path(shutil.copytree(finished(name) / "run", Path(made) / "run"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers that do not fit a type
            _CHANGES[form](dice, run)
        files = {
            str(path.relative_to(run)): path.read_bytes()
            for path in sorted(run.rglob("*"))
            if path.is_file()
        }
    rows = finished(name) / "rows.jsonl"
    return Input(f"folder, {form}", "folder", files, {"rows": str(rows)}, None, None, may_fail=True)


# -- what must be true of it ----------------------------------------------------------------------


def check_folder(made: Input, dice: Random, place: Path) -> int:
    """Let every command read a run folder: each works, or says why not, and writes there alone."""
    run = place / "in" / "run"
    for name, data in made.files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(data)
    before, out = contents(place), place / "out"
    out.mkdir()
    commands: list[tuple[object, ...]] = [
        ("tail", run, "--once"),
        ("inspect", run),
        ("predict", run, made.options["rows"], "--quiet"),
        ("compare", run, run, "--resamples", 100),
        ("export", run, "--format", dice.choice(("csv", "parquet")), "--to", out / "tables"),
    ]
    if dice.random() < 0.2:  # these take longer than all others
        commands.append(("export-model", run, out / "model"))
        commands.append(("report", run, "--out", out / "page.html"))
    for each in commands:
        check_done(command(*each, patience=PATIENCE), each)
    shutil.rmtree(out)
    assert contents(place) == before, "a command that reads has written"
    resume = ("run", "--resume", "--out", run, "--quiet", "--set", "run.emit=none")
    check_done(command(*resume, patience=PATIENCE), resume)
    outside = {name: data for name, data in contents(place).items() if not name.startswith("in")}
    assert not outside, f"written outside: {', '.join(outside)}"
    return 1


def check_done(done: Done, given: tuple[object, ...]) -> None:
    """Check that a command has done what it should, or refused it in one line."""
    if done.fault:
        raise AssertionError(f"{given[0]}: {done.fault}")
    assert done.code in (0, 3) or done.refused, (given[0], done.code, done.err[-500:])
    assert not any(letter < " " and letter not in "\n\t" for letter in done.out + done.err), (
        f"{given[0]} sends control characters to the terminal"
    )
