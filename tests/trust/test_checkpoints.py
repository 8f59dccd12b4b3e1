"""Crafted checkpoints: each is refused in words, by whatever command reads it."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamreplay.checkpoint.folder import load_checkpoint
from tests.fuzz.folders import (
    TAKEN_AWAY,
    check_done,
    crafted,
    finished,
    replaced,
    seal,
    value_at,
)
from tests.trust.drive import Done, command

STAGES = {
    "classes, late": ("source", "late", "buffer", "mixer", "learner", "verification", "evaluator"),
    "classes, probed": ("probe", "holdout", "evaluator"),
    "classes, watched": ("drift", "source"),
    "several": ("learners",),
    "numbers, tested": ("learner", "buffer"),
}
PAIRS = [(job, stage) for job, stages in STAGES.items() for stage in stages]
WRONG: tuple[Any, ...] = (
    None,
    7,
    -1,
    10**400,
    float("nan"),
    "x",
    [],
    [[]],
    {},
    np.zeros(3),
    torch.zeros(2),
)


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies the folder of a finished run."""

    def copy(job: str) -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return Path(shutil.copytree(finished(job) / "run", tmp_path / "run"))

    return copy


def resume(run: Path) -> Done:
    return command("run", "--resume", "--out", run, "--quiet", "--set", "run.emit=none")


def read_all(run: Path, job: str) -> None:
    """Let every command that reads a checkpoint read it: it works, or says why not."""
    rows = finished(job) / "rows.jsonl"
    for given in (
        ("inspect", run),
        ("predict", run, rows, "--quiet"),
        ("export", run, "--format", "csv", "--to", run.parent / "tables"),
        ("export-model", run, run.parent / "model"),
    ):
        check_done(command(*given), given)


def first_part(state: Any, stage: str) -> tuple[str, ...]:
    """Return the path of the first value in the state of a stage that is no kind."""
    inner = value_at(state, ("pipeline", stage))
    return ("pipeline", stage, next((key for key in inner if key != "kind"), "kind"))


@pytest.mark.parametrize(("job", "stage"), PAIRS, ids=str)
def test_a_state_that_is_none_is_refused(
    job: str, stage: str, run_of: Callable[[str], Path]
) -> None:
    for wrong in WRONG:
        run = run_of(job)
        crafted(run, partial(replaced, path=("pipeline", stage), value=wrong))
        done = resume(run)
        assert done.refused, (wrong, done)
        assert stage in done.err
        check_done(command("inspect", run), ("inspect", wrong))


@pytest.mark.parametrize(("job", "stage"), PAIRS, ids=str)
def test_missing_and_additional_keys_are_refused(
    job: str, stage: str, run_of: Callable[[str], Path]
) -> None:
    def without(state: Any) -> Any:
        return replaced(state, first_part(state, stage), TAKEN_AWAY)

    def with_more(state: Any) -> Any:
        inner = value_at(state, ("pipeline", stage))
        return replaced(state, ("pipeline", stage), {**inner, "more": 1})

    for change in (without, with_more):
        run = run_of(job)
        crafted(run, change)
        done = resume(run)
        assert done.refused, done
        assert f"error: {stage}." in done.err or f"{stage}: " in done.err
        read_all(run, job)


NUMBERS = [
    ("pipeline", "position"),
    ("pipeline", "rows", "learned"),
    ("pipeline", "source", "rows"),
    ("pipeline", "source", "bytes"),
    ("pipeline", "buffer", "reservoir", "seen"),
    ("pipeline", "evaluator", "withheld"),
    ("rejected", "bytes"),
    ("logs", "metrics.jsonl", "size"),
    ("logs", "metrics.jsonl", "rotated"),
]


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_numbers_that_count_nothing_are_refused(
    path: tuple[str, ...], run_of: Callable[[str], Path]
) -> None:
    for wrong in (-1000, 10**400, float("nan"), "7", None):
        run = run_of("classes")
        crafted(run, partial(replaced, path=path, value=wrong))
        assert resume(run).refused, wrong
        read_all(run, "classes")


def test_shapes_and_types_of_weights_and_rows_are_checked(run_of: Callable[[str], Path]) -> None:
    weights = ("pipeline", "learner", "network", "module", "0.weight")
    moments = ("pipeline", "learner", "network", "optimizer", "state", 0, "exp_avg")
    rows = ("pipeline", "buffer", "rows", "columns", "x")
    for path in (weights, moments, rows):
        for shape in ((-1,), (1, 4, 2), (2, 4)):
            run = run_of("numbers, tested")
            crafted(run, partial(reshaped, path=path, shape=shape))
            done = resume(run)
            assert done.refused, (path, done)
            read_all(run, "numbers, tested")


def reshaped(state: Any, path: Any, shape: tuple[int, ...]) -> Any:
    """Give an array or a tensor another shape, of its first eight numbers."""
    return replaced(state, path, value_at(state, path).reshape(-1)[:8].reshape(shape))


def one_checkpoint(run: Path) -> Path:
    """Leave one checkpoint of a run; return its folder."""
    first, *others = sorted((run / "checkpoints").iterdir())
    for each in others:
        shutil.rmtree(each)
    return first


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors", "manifest.json"])
def test_cut_and_nested_files_are_refused(name: str, run_of: Callable[[str], Path]) -> None:
    contents: list[Callable[[bytes], bytes]] = [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"[" * 100_000,
        lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        lambda _: b"[]",
        lambda _: b'{"$int": "zz"}',
        lambda _: b"9" * 5000,
        lambda data: b"\xff" * 8 + data[8:],  # the length of the head of the arrays
    ]
    for change in contents:
        run = run_of("classes")
        path = one_checkpoint(run) / name
        path.write_bytes(change(path.read_bytes()))
        if name != "manifest.json":
            seal(path.parent)
        for done in (resume(run), command("inspect", run), command("predict", run, "x.jsonl")):
            assert done.refused, done
            assert "ckpt-" in done.err


MANIFESTS: list[dict[str, Any]] = [
    {"format": "other"},
    {"version": "4"},
    {"version": 99},
    {"version": 10**30},
    {"position": -1},
    {"position": 10**18},
    {"position": "114"},
    {"position": 115},
    {"library": 7},
    {"files": {}},
    {"files": {"state.json": {"bytes": 1, "sha256": "0"}}},
    {"files": None},
]


@pytest.mark.parametrize("change", MANIFESTS, ids=json.dumps)
def test_wrong_manifests_are_refused(change: dict[str, Any], run_of: Callable[[str], Path]) -> None:
    run = run_of("classes")
    seal(one_checkpoint(run), lambda manifest: {**manifest, **change})
    for done in (resume(run), command("inspect", run), command("predict", run, "x.jsonl")):
        assert done.refused, done
        assert "manifest.json" in done.err


def test_what_is_not_crafted_goes_on(run_of: Callable[[str], Path]) -> None:
    run = run_of("classes")
    crafted(run, lambda state: state)
    assert resume(run).code == 0
    state, _ = load_checkpoint(max((run / "checkpoints").iterdir()))
    assert state["finished"]
