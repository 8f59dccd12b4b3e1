import itertools
import json
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from streamreplay.checkpoint import (
    Checkpoint,
    kept_positions,
    latest_checkpoint,
    load_checkpoint,
    remove_ended,
    save_checkpoint,
)
from streamreplay.errors import CheckpointError, CorruptCheckpointError

FILES = ("arrays.safetensors", "state.json", "manifest.json")
TORCH_DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
)
NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ARRAYS = st.one_of(
    hnp.arrays(
        st.sampled_from(NUMBERS),
        SHAPES,
    ),
    hnp.arrays(st.sampled_from(["<U1", "<U7"]), SHAPES),
)
TENSORS = st.builds(
    lambda shape, dtype: (torch.arange(math.prod(shape)) % 3).reshape(shape).to(dtype),
    SHAPES,
    st.sampled_from(TORCH_DTYPES),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**200),
    st.floats(),
    st.text(),
    ARRAYS,
    TENSORS,
)
KEYS = st.one_of(st.text(max_size=5), st.sampled_from(["$int", "a.b", "__metadata__"]))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(KEYS, st.integers()), inner, max_size=3),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    match a:
        case np.ndarray():
            equal = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        case torch.Tensor():
            equal = a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
        case dict():
            equal = list(a) == list(b) and all(same(a[key], b[key]) for key in a)
        case list():
            equal = len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
        case float():
            equal = repr(a) == repr(b)
        case _:
            equal = a == b
    return bool(equal)


def state_of(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "buffer": {"x": rng.random((20, 3)), "rng": dict(rng.bit_generator.state)},
        "learner": {"w": torch.full((2, 2), float(seed))},
        "names": ["cat", "dog"],
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def latest(folder: Path) -> Checkpoint:
    found = latest_checkpoint(folder)
    assert found is not None
    return found


@given(state=st.dictionaries(st.one_of(KEYS, st.integers()), TREES, max_size=4))
@settings(deadline=None)
def test_a_state_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, state: dict[Any, Any]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    loaded, manifest = load_checkpoint(save_checkpoint(folder, state, position=7))
    assert same(state, loaded)
    assert manifest["position"] == 7


def test_awkward_leaves_come_back(tmp_path: Path) -> None:
    state = {
        "tuple": (1, 2.5),
        "minus zero": -0.0,
        "transposed": np.arange(6).reshape(2, 3).T,
        "big endian": np.array([1.5, 2.5], ">f8"),
        "words": np.array([["é", ""], ["\U0001f600", "abc"]]),
        "no width": np.zeros(2, "<U0"),
        "0-d word": np.array("abc"),
        "nested": {1: {2: np.array(1.5, np.float32)}},
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "sliced": torch.arange(6).reshape(2, 3)[:, ::2],
        "scalar": np.float64(1.5),
    }
    loaded, _ = load_checkpoint(save_checkpoint(tmp_path, state, position=0))
    assert loaded["tuple"] == [1, 2.5]
    assert math.copysign(1.0, loaded["minus zero"]) == -1.0
    assert loaded["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert loaded["big endian"].tolist() == [1.5, 2.5]
    assert loaded["words"].tolist() == [["é", ""], ["\U0001f600", "abc"]]
    assert loaded["no width"].tolist() == ["", ""]
    assert loaded["0-d word"] == "abc"
    assert loaded["nested"][1][2].shape == ()
    assert loaded["parameter"].tolist() == [1.0, 1.0]
    assert loaded["sliced"].tolist() == [[0, 2], [3, 5]]
    assert loaded["scalar"] == 1.5
    loaded["transposed"][0] = 9  # what comes back can be written to


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": [1, {2}]}}, "a.b.1: set cannot be part of a state"),
        ({"a": {"b": np.array([None])}}, "a.b: an array of object cannot be part of a state"),
        ({"a": {"b": np.int64(3)}}, "a.b: int64 cannot be part of a state"),
        ({"a": {1.5: 2}}, "a: keys must be str or int, got 1.5"),
        ({"a": {True: 2}}, "a: keys must be str or int, got True"),
        ({"a": torch.zeros(1, dtype=torch.complex64)}, "a: a torch.strided tensor of complex64"),
        ({"a": torch.zeros(1).to_sparse()}, "a: a torch.sparse_coo tensor of float32"),
        ({"a": b"bytes"}, "a: bytes cannot be part of a state"),
    ],
)
def test_other_leaves_are_named(tmp_path: Path, state: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as error:
        save_checkpoint(tmp_path, state, position=0)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_same_state_same_bytes(tmp_path: Path) -> None:
    first = contents(save_checkpoint(tmp_path / "a", state_of(1), position=5))
    second = contents(save_checkpoint(tmp_path / "b", state_of(1), position=5))
    assert first == second
    assert sorted(first) == sorted(FILES)


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="position must be at least 0, got -1"):
        save_checkpoint(tmp_path, {}, position=-1)
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        save_checkpoint(tmp_path, {}, position=0, keep=0)


def test_keeps_the_newest(tmp_path: Path) -> None:
    for position in (10, 20, 30, 40):
        save_checkpoint(tmp_path, state_of(position), position=position, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ckpt-000000000030", "ckpt-000000000040"]


def test_keep_counts_from_the_one_written(tmp_path: Path) -> None:
    """After a fall back, damaged newer ones must not push the fresh one out."""
    for position in (10, 40):
        save_checkpoint(tmp_path, state_of(position), position=position, keep=1)
    save_checkpoint(tmp_path, state_of(20), position=20, keep=1)
    assert (tmp_path / "ckpt-000000000020").is_dir()


def test_replaces_one_of_the_same_position(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state_of(1), position=10)
    save_checkpoint(tmp_path, state_of(2), position=10)
    assert [p.name for p in tmp_path.iterdir()] == ["ckpt-000000000010"]
    assert latest(tmp_path).state["learner"]["w"][0, 0] == 2


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["flip", "cut", "grow", "remove", "empty"])
def test_damage_is_noticed_and_named(tmp_path: Path, name: str, how: str) -> None:
    path = save_checkpoint(tmp_path, state_of(1), position=10)
    good = (path / name).read_bytes()
    rng = np.random.default_rng(len(good))
    for place in sorted({0, len(good) - 1, *rng.integers(0, len(good), 30).tolist()}):
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        damaged = {"flip": bytes(bad), "cut": good[:place], "grow": good + b"\n", "empty": b""}
        if how == "remove":
            (path / name).unlink(missing_ok=True)
        else:
            (path / name).write_bytes(damaged[how])
        with pytest.raises(CorruptCheckpointError, match=name):
            load_checkpoint(path)
    (path / name).write_bytes(good)
    load_checkpoint(path)


def test_falls_back_over_damaged_ones_and_says_so(tmp_path: Path) -> None:
    paths = [save_checkpoint(tmp_path, state_of(p), position=p) for p in (10, 20, 30)]
    (paths[2] / "state.json").write_text("{}")
    (paths[1] / "arrays.safetensors").unlink()
    found = latest(tmp_path)
    assert (found.path, found.position) == (paths[0], 10)
    assert len(found.skipped) == 2
    assert "ckpt-000000000030/state.json: has 2 bytes" in found.skipped[0]
    assert "ckpt-000000000020/arrays.safetensors: is missing" in found.skipped[1]
    (paths[0] / "manifest.json").write_text("{}")
    with pytest.raises(CorruptCheckpointError, match=r"no checkpoint is whole: .*000030.*000010"):
        latest_checkpoint(tmp_path)


def test_a_moved_checkpoint_is_of_another_position(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, {}, position=10)
    path.rename(tmp_path / "ckpt-000000000011")
    with pytest.raises(CorruptCheckpointError, match=r"manifest.json: is of position 10"):
        load_checkpoint(tmp_path / "ckpt-000000000011")
    (tmp_path / "ckpt-000000000011").rename(tmp_path / "best")
    assert load_checkpoint(tmp_path / "best")[1]["position"] == 10


def test_there_may_be_none(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "nowhere") is None
    assert latest_checkpoint(tmp_path) is None
    with pytest.raises(CheckpointError, match="there is no checkpoint folder here"):
        load_checkpoint(tmp_path / "nowhere")


def test_a_newer_format_is_not_fallen_back_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, {}, position=10)
    monkeypatch.setattr("streamreplay.checkpoint.folder._VERSION", 5)
    save_checkpoint(tmp_path, {}, position=20)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format version 5, this streamreplay") as error:
        latest_checkpoint(tmp_path)
    assert not isinstance(error.value, CorruptCheckpointError)


class Crash(BaseException):
    """What no handler catches, as SIGKILL."""


@pytest.mark.parametrize("same_position", [False, True])
def test_dying_at_any_step_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_position: bool
) -> None:
    """Crash before every file operation in turn; the old or the new state must be found."""
    for step in itertools.count():
        folder = tmp_path / str(step)
        save_checkpoint(folder, state_of(1), position=10, keep=1)
        left = iter(range(step))
        with monkeypatch.context() as patch:
            for name in ("mkdir", "rename", "write_bytes"):
                patch.setattr(Path, name, crashing(getattr(Path, name), left))
            patch.setattr(os, "fsync", crashing(os.fsync, left))
            patch.setattr("shutil.rmtree", crashing(shutil.rmtree, left))
            position = 10 if same_position else 20
            try:
                save_checkpoint(folder, state_of(2), position=position, keep=1)
            except Crash:
                done = False
            else:
                done = True
        found = latest(folder)
        assert found.skipped == ()
        weight = found.state["learner"]["w"][0, 0].item()
        assert weight in (1.0, 2.0)
        if done:
            assert weight == 2.0
            assert step > 8
            return
        save_checkpoint(folder, state_of(3), position=30, keep=1)
        assert [p.name for p in folder.iterdir()] == ["ckpt-000000000030"]


def crashing(operation: Any, left: Any) -> Any:
    def operate(*args: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise Crash
        return operation(*args, **options)

    return operate


def test_leftovers_of_the_dead_go_and_of_the_living_stay(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    dead = tmp_path / f".tmp-{child.pid}-ckpt-000000000010"
    living = tmp_path / f".tmp-{os.getppid()}-ckpt-000000000010"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "state.json").write_text("{")
    save_checkpoint(tmp_path, {}, position=20)
    assert not dead.exists()
    assert living.exists()


def test_a_refusing_disk_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="ckpt-000000000000: cannot be written: "):
        save_checkpoint(tmp_path / "file", {}, position=0)


def test_nothing_in_it_needs_us_to_be_read(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, state_of(4), position=0)
    assert load_file(path / "arrays.safetensors")["learner.w"].tolist() == [[4.0, 4.0], [4.0, 4.0]]
    assert json.loads((path / "state.json").read_text())["names"] == ["cat", "dog"]


def test_the_state_of_an_ended_stream_is_kept_apart(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"a": 1}, position=10, keep=2)
    save_checkpoint(tmp_path, {"a": 2}, position=20, keep=2)
    end = save_checkpoint(tmp_path, {"a": 3}, position=20, keep=2, ended=True)
    assert end.name == "ckpt-000000000020.end"
    names = ["ckpt-000000000010", "ckpt-000000000020"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, end.name]
    assert kept_positions(tmp_path) == [20, 10]

    def found(*, ended: bool) -> Any:
        latest = latest_checkpoint(tmp_path, ended=ended)
        assert latest is not None
        return latest.state["a"]

    assert (found(ended=True), found(ended=False)) == (3, 2)
    save_checkpoint(tmp_path, {"a": 4}, position=20, keep=2, ended=True)
    assert found(ended=True) == 4
    save_checkpoint(tmp_path, {"a": 5}, position=21, keep=2, ended=True)
    assert (found(ended=True), found(ended=False)) == (5, 2)
    save_checkpoint(tmp_path, {"a": 6}, position=30, keep=2)
    names = ["ckpt-000000000020", "ckpt-000000000030"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    save_checkpoint(tmp_path, {"a": 7}, position=31, keep=2, ended=True)
    remove_ended(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    remove_ended(tmp_path / "nowhere")
