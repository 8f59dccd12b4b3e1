"""torch's optimizers without the compiler compute what torch's own do."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from streamreplay.learners.neural.fastpath import FastPath
from streamreplay.learners.neural.optimizers import uncompiled

KINDS: list[Any] = [
    partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    partial(Adam, lr=0.01, fused=True),
    partial(AdamW, lr=0.01, weight_decay=0.1),
]


def steps(module: nn.Module, optimizer: Optimizer, n: int) -> list[torch.Tensor]:
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    for _ in range(n):
        optimizer.zero_grad()
        module(x).square().sum().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("make", KINDS)
def test_steps_and_states_are_those_of_torch(make: Any) -> None:
    first: Any = nn.Linear(3, 2)
    second, third = copy.deepcopy(first), copy.deepcopy(first)
    theirs = make(first.parameters())
    kind: Any = uncompiled(make.func)
    ours = partial(kind, **make.keywords)
    mine = ours(second.parameters())
    assert all(map(torch.equal, steps(first, theirs, 3), steps(second, mine, 3)))
    assert str(mine.state_dict()) == str(theirs.state_dict())
    third.load_state_dict(second.state_dict())
    again = ours(third.parameters())
    again.load_state_dict(copy.deepcopy(theirs.state_dict()))
    assert all(map(torch.equal, steps(first, theirs, 2), steps(third, again, 2)))


def test_hooks_run_at_each_step() -> None:
    module, calls = nn.Linear(3, 2), []
    optimizer = uncompiled(SGD)(module.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    steps(module, optimizer, 2)
    assert calls == ["before", "after"] * 2


def test_the_fast_path_descends_without_storing_gradients() -> None:
    module = nn.Linear(3, 2)
    fast = FastPath(module, uncompiled(SGD)(module.parameters(), lr=0.1))
    before, logits = module.weight.detach().clone(), fast.forward(torch.ones(4, 3))
    logits.sum().backward()  # type: ignore[no-untyped-call]
    fast.step(logits)
    assert module.weight.grad is None
    assert not torch.equal(module.weight, before)


def test_a_kind_is_made_once_and_has_its_name() -> None:
    assert uncompiled(Adam) is uncompiled(Adam)
    assert uncompiled(Adam).__name__ == "Adam"
    assert issubclass(uncompiled(Adam), Adam)
