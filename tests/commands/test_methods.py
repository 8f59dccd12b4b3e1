"""Replay methods on the command line: pieces of one's own, their faults, kills and resumes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.commands.test_kill import kill_and_resume

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--set", "learner.hidden=[8]", "--set", "evaluator.report_every=200")

PIECES = """
import numpy as np
import torch
from streamreplay.learners import Method

def focal(step):
    log_p = -torch.nn.functional.cross_entropy(
        step.masked, step.y, ignore_index=-1, reduction="none"
    )
    return ((1 - log_p.exp()) ** 2 * -log_p).mean()

def entropy(step):
    p = torch.softmax(step.masked[: step.n], 1)
    return {"entropy": -(p * p.clamp(min=1e-9).log()).sum(1)}

def unsure(learner, incoming, candidates, k):
    return np.argsort(-np.nan_to_num(candidates.notes["entropy"]))[:k]

def mine():
    return Method(focal, notes=entropy, retrieve=unsure)

def broken(*_):
    raise KeyError("a")

def nonsense(*_):
    return 3

def mine_broken():
    return Method(broken)
"""


LOSS = "learner.loss: must return a tensor without dimensions that depends on step.logits, "
GONE = "cannot be imported: module 'pieces' has no attribute 'gone'"


@pytest.fixture
def pieces(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delitem(sys.modules, "pieces", raising=False)
    monkeypatch.syspath_prepend(cli.folder)
    (cli.folder / "pieces.py").write_text(PIECES)
    return "pieces"


def settings(*items: str) -> list[str]:
    return [part for item in items for part in ("--set", item)]


OWN = (
    "learner.loss=pieces:focal",
    "learner.notes=pieces:entropy",
    "learner.retrieval=pieces:unsure",
)


@pytest.mark.usefixtures("pieces")
def test_pieces_of_one_s_own_are_a_method_of_one_s_own(in_process: Run, cli: Cli) -> None:
    path = cli.csv(300)
    outs = []
    for said in (OWN, ("learner.method=pieces:mine",), ()):
        args = settings(*said, "learner.hidden=[8]")
        code, out, err = in_process("run", "-s", path, *args, "--emit", "predictions", "-q")
        assert code == 0, err
        outs.append(out)
    assert outs[0] == outs[1] != outs[2]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["learner.loss=pieces:broken"],
         "learner.loss: 'pieces:broken' failed: KeyError: 'a' (pieces.py:23)"),
        (["learner.notes=pieces:broken"],
         "learner.notes: 'pieces:broken' failed: KeyError: 'a' (pieces.py:23)"),
        (["learner.retrieval=pieces:broken"],
         "learner.retrieval: 'pieces:broken' failed: KeyError: 'a' (pieces.py:23)"),
        (["learner.method=pieces:mine_broken"],
         "learner.method: 'pieces:mine_broken' failed: KeyError: 'a' (pieces.py:23)"),
        (["learner.method=pieces:broken"],
         "learner.method: 'pieces:broken' cannot be built: KeyError: 'a' (pieces.py:23)"),
        (["learner.loss=pieces:nonsense"],
         LOSS + "got int"),
        (["learner.notes=pieces:nonsense"],
         "learner.notes: must return tensors by name, got int"),
        (["learner.retrieval=pieces:nonsense"],
         "learner.retrieval: must return int64[<= 32], got int64[]"),
        (["learner.loss=pieces:gone"],
         f"learner.loss: 'pieces:gone' {GONE}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_piece_is_one_line(
    in_process: Run, cli: Cli, said: list[str], message: str
) -> None:
    code, _, err = in_process("run", "-s", cli.csv(100), *settings(*said), "-q")
    assert (code, err) == (1, f"streamreplay: error: {message}\n")


@pytest.mark.usefixtures("pieces")
def test_a_piece_is_not_blamed_for_what_another_did(in_process: Run, cli: Cli) -> None:
    own = settings("learner.retrieval=pieces:unsure", "learner.loss=pieces:focal")
    code, _, err = in_process("run", "-s", cli.csv(100), *own, "-q")
    assert code == 1  # nobody notes an entropy
    assert err.startswith("streamreplay: error: learner.retrieval: 'pieces:unsure' failed: TypeE")


def test_a_run_can_be_resumed_by_its_own_method_only(in_process: Run, cli: Cli) -> None:
    path = cli.csv(300)
    job = ("run", "-s", path, *SMALL, "-q", "-o", "out")
    assert in_process(*job, "--set", "learner.method=mkd", "--limit", "96")[0] == 0
    code, _, err = in_process(*job, "--set", "learner.method=er", "--resume", "--limit", "0")
    assert code == 1
    assert err.count("\n") == 1
    assert "learner.method: " in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "said",
    [
        ("learner.method=der++", "buffer.kind=window", "buffer.ttl=900"),
        ("learner.method=lwf", "learner.ema=0.9", "source.split.n_experiences=3"),
    ],
    ids=["notes", "teacher"],
)
def test_kill_and_resume(cli: Cli, said: tuple[str, ...]) -> None:
    args = ("-s", cli.csv(1200), "--batch-size", "10", *SMALL, *settings(*said))
    kill_and_resume(cli, args, kills=1, seed=len(said))
