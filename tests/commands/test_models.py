"""Models by name, heads, and latent replay on the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamreplay.checkpoint import latest_checkpoint
from tests.contract.digest import plain

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

Run = Callable[..., tuple[int, str, str]]

NETS = """
import torch
from torch import nn

def backbone(shape):
    weights = torch.arange(48.0).reshape(3, 16).sin() * SIGN
    layer = nn.Linear(16, 3, bias=False)
    layer.load_state_dict({"weight": weights})
    return nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(3), nn.Dropout())

def drawn(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU())

whole = nn.Sequential(nn.Flatten(), nn.ReLU())

def nothing(shape):
    return None

def fails(shape):
    raise KeyError("a")

class Broken(nn.Module):
    def forward(self, x):
        raise KeyError("b")

def broken(shape):
    return Broken()

def learner(shape, n):
    return nn.Linear(3, n)

def frozen(shape, n):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.BatchNorm1d(3))
    return nn.Sequential(backbone.requires_grad_(False), nn.Linear(3, n))

def all_frozen(shape, n):
    return frozen(shape, n).requires_grad_(False)
"""


@pytest.fixture(autouse=True)
def nets(cli: Cli) -> None:
    (cli.folder / "latentnets.py").write_text(NETS.replace("SIGN", "1"))


def arguments(cli: Cli, *settings: str, n: int = 300) -> list[str]:
    images, _ = cli.idx(n)
    args = ["run", "-s", str(images), "--quiet"]
    return args + [part for setting in settings for part in ("--set", setting)]


@pytest.mark.parametrize(
    "settings",
    [
        ["learner.module=cnn"],
        ["learner.module=cnn", "learner.channels=[4, 8]", "learner.norm=none"],
        ["learner.module=cnn", "learner.head=cosine", "learner.method=er-ace"],
        ["learner.module=slim_resnet18", "learner.channels=[2]", "learner.norm=group"],
        ["learner.module=mlp", "learner.head=weight_norm"],
        ["backbone.module=latentnets:backbone", "learner.head=cosine"],
        ["backbone.module=latentnets:whole"],
        ["backbone.module=latentnets:drawn", "learner.module=latentnets:learner"],
        ["backbone.module=latentnets:drawn", "test.share=0.2", "buffer.kind=parametric"],
        ["learner.module=latentnets:frozen"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_resumed_run_learns_the_same(in_process: Run, cli: Cli, settings: list[str]) -> None:
    args = arguments(cli, *settings, "run.save_predictions=true")
    for out, limits in (("whole", [0]), ("parts", [160, 0])):
        for limit in limits:
            more = ["--resume"] if limit != limits[0] else []
            folder = str(cli.folder / out)
            code, _, err = in_process(*args, *more, "--out", folder, "--limit", limit)
            assert code == 0, err
    whole, parts = (cli.folder / out for out in ("whole", "parts"))
    assert learned(parts) == learned(whole)
    predictions = "predictions.jsonl"
    assert (parts / predictions).read_bytes() == (whole / predictions).read_bytes()


def learned(folder: Path) -> object:
    """Return what stages keep, but for what the end of a limited run adds: a log and a test."""
    found = latest_checkpoint(folder / "checkpoints")
    assert found is not None
    stages = found.state["pipeline"]
    stages.get("holdout", {}).pop("spent", None)
    return plain({name: state for name, state in stages.items() if name != "evaluator"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["learner.channels=[4]"], "learner.channels: goes with module cnn or slim_resnet18, got"),
        (["learner.norm=group"], "learner.norm: goes with module cnn or slim_resnet18, got 'mlp'"),
        (
            ["learner.module=cnn", "learner.norm=batch"],
            "learner.norm: with module cnn must be none or group, got 'batch'",
        ),
        (
            ["learner.module=slim_resnet18", "learner.norm=none"],
            "learner.norm: with module slim_resnet18 must be group or batch, got 'none'",
        ),
        (
            ["learner.module=cnn", "learner.channels=[]"],
            "learner.channels: with module cnn must be at least one number, got []",
        ),
        (
            ["learner.module=slim_resnet18", "learner.channels=[2, 4]"],
            "learner.channels: with module slim_resnet18 must be one number, got [2, 4]",
        ),
        (
            ["learner.module=latentnets:learner", "learner.head=cosine"],
            "learner.head: goes with module linear, mlp, cnn, slim_resnet18, got 'latentnets:le",
        ),
        (
            ["learner.module=resnet"],
            "learner.module: must be linear, mlp, cnn, slim_resnet18 or package.module:factory, g",
        ),
        (
            ["learner.module=slim_resnet18"],
            "slim_resnet18 with batch norm needs images larger than 8x8, got 4x4: take norm = gro",
        ),
        (
            ["learner.module=latentnets:all_frozen"],
            "learner.module: 'latentnets:all_frozen' has no parameters to learn",
        ),
        (["backbone.module=cnn"], "backbone.module: must be the path of a module or package.modu"),
        (["backbone.device=cpu"], "command line: backbone.module: is missing"),
        (
            ["backbone.module=latentnets:nothing"],
            "backbone.module: 'latentnets:nothing' must return a torch.nn.Module, got None",
        ),
        (
            ["backbone.module=latentnets:fails"],
            "backbone.module: 'latentnets:fails' cannot be built: KeyError: 'a' (latentnets.py:",
        ),
        (
            ["backbone.module=latentnets:broken", "learner.module=latentnets:learner"],
            "backbone.module: 'latentnets:broken' failed: KeyError: 'b' (latentnets.py:",
        ),
        (
            ["backbone.module=latentnets:broken", "learner.0.method=er", "learner.1.method=er"],
            "backbone.module: 'latentnets:broken' failed: KeyError: 'b' (latentnets.py:",
        ),
        (
            ["backbone.module=latentnets:whole", "backbone.device=cuda:99"],
            "backbone.device: 'cuda:99' cannot be used: ",
        ),
        (
            ["backbone.module=latentnets:whole", "learner.module=cnn"],
            "cnn needs rows that are images, [h, w], [c, h, w] or [h, w, c], got [16]",
        ),
    ],
)  # fmt: skip
def test_mistakes(in_process: Run, cli: Cli, settings: list[str], message: str) -> None:
    code, _, err = in_process(*arguments(cli, *settings))
    assert code == 1
    assert err.startswith(f"streamreplay: error: {message}"), err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "names", "shapes"),
    [
        (["module=cnn", "channels=[4]"], ["1.weight", "2.weight"], [[4, 1, 5, 5], [4]]),
        (
            ["module=cnn", "channels=[4]", "norm=none"],
            ["1.weight", "4.weight"],
            [[4, 1, 5, 5], [4, 16]],
        ),
        (["module=cnn", "head=cosine"], ["1.weight", "11.scale"], [[24, 1, 5, 5], []]),
        (
            ["module=slim_resnet18", "channels=[3]", "norm=group", "head=weight_norm"],
            ["1.weight", "14.gain"],
            [[3, 1, 3, 3], [4]],
        ),
        (["module=mlp", "hidden=[7]", "head=cosine"], ["1.weight", "3.scale"], [[7, 16], []]),
        (["module=linear", "head=weight_norm"], ["1.weight", "1.gain"], [[4, 16], [4]]),
    ],
)  # fmt: skip
def test_keys_reach_the_module(
    in_process: Run, cli: Cli, settings: list[str], names: list[str], shapes: list[list[int]]
) -> None:
    out = cli.folder / "out"
    args = arguments(cli, *(f"learner.{setting}" for setting in settings))
    code, _, err = in_process(*args, "--out", out)
    assert code == 0, err
    found = latest_checkpoint(out / "checkpoints")
    assert found is not None
    weights = found.state["pipeline"]["learner"]["network"]["module"]
    assert [list(weights[name].shape) for name in names] == shapes


def test_a_river_model_behind_a_backbone(in_process: Run, cli: Cli) -> None:
    settings = ["backbone.module=latentnets:drawn", "learner.river='naive_bayes.GaussianNB()'"]
    code, out, err = in_process(*arguments(cli, *settings))
    assert code == 0, err
    assert json.loads(out.splitlines()[-3])["accuracy"] > 0.5


def test_a_run_goes_on_only_with_the_same_backbone(cli: Cli) -> None:
    """Each command is a process of its own, as an imported file is read once."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return cli(*args, "--quiet")

    args = arguments(cli, "backbone.module=latentnets:backbone")[:-3]
    out = str(cli.folder / "out")
    first = run(
        *args, "--set", "backbone.module=latentnets:backbone", "--out", out, "--limit", "64"
    )
    assert first.returncode == 0, first.stderr
    (cli.folder / "latentnets.py").write_text(NETS.replace("SIGN", "-1"))
    again = run("run", "--resume", "--trust", "--out", out, "--limit", "128")
    assert again.returncode == 1
    assert "backbone.weights: the stored features were made with other weights" in again.stderr
    (cli.folder / "latentnets.py").write_text(NETS.replace("SIGN", "1"))
    assert run("run", "--resume", "--trust", "--out", out, "--limit", "128").returncode == 0
