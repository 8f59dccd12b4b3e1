"""Steps written out against autograd and torch's own optimizers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.prune import random_unstructured
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from streamreplay.learners import (
    Method,
    OptimizerFactory,
    Step,
    TorchLearner,
    linear,
    mlp,
)
from streamreplay.learners.neural import fastpath
from streamreplay.learners.neural.fastpath import FastPath, find_layers
from streamreplay.learners.neural.layer_growth import grow_head
from streamreplay.learners.neural.training import Training
from tests.contract.digest import plain
from tests.learners.reference import learn, rehearsals, stream, weights

OPTIMIZERS: dict[str, OptimizerFactory] = {
    "sgd": partial(SGD, lr=0.1),
    "fused sgd": partial(SGD, lr=0.1, fused=True),
    "sgd, decay": partial(SGD, lr=0.1, weight_decay=0.3),
    "momentum": partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.1, dampening=0.2),
    "nesterov": partial(SGD, lr=0.1, momentum=0.9, nesterov=True),
    "maximize": partial(SGD, lr=0.1, maximize=True),
    "lr tensor": partial(SGD, lr=torch.tensor(0.1)),
    "adam": partial(Adam, lr=0.01),
    "fused adam": partial(Adam, lr=0.01, weight_decay=0.1, fused=True),
    "adamw": partial(AdamW, lr=0.01, weight_decay=0.1, fused=True),
}


def smooth(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return a loss that uses logits more than once, and masks a class."""
    mask = torch.zeros(logits.shape[1])
    mask[0] = -torch.inf
    among = cross_entropy(logits + mask, y.clamp(min=1))
    return among + 0.1 * (logits**2).mean() + cross_entropy(logits[:1], y[:1])


def build(features: Sequence[int], hidden: Sequence[int], width: int) -> nn.Module:
    torch.manual_seed(3)
    return mlp(hidden)(tuple(features), width)


def rows(n: int, features: Sequence[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, *features), torch.randint(0, width, (n,))


def plain_step(
    module: nn.Module, optimizer: Optimizer, x: torch.Tensor, loss: Callable[..., torch.Tensor]
) -> torch.Tensor:
    optimizer.zero_grad()
    logits: torch.Tensor = module(x)
    loss(logits).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return logits.detach()


def fast_step(
    fast: FastPath, optimizer: Optimizer, x: torch.Tensor, loss: Callable[..., torch.Tensor]
) -> torch.Tensor:
    assert fast.ready(x)
    optimizer.zero_grad()
    logits = fast.forward(x)
    loss(logits).backward()  # type: ignore[no-untyped-call]
    fast.step(logits)
    return logits.detach()


@settings(deadline=None, max_examples=80)
@given(
    name=st.sampled_from(sorted(OPTIMIZERS)),
    features=st.lists(st.integers(1, 6), min_size=1, max_size=2),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    grown=st.integers(0, 4),
)
def test_steps_are_those_of_autograd(
    name: str, features: list[int], hidden: list[int], sizes: list[int], grown: int
) -> None:
    """Batches of changing sizes and learning rates, and a head that grows before the last."""
    module, width = build(features, hidden, 3), 3
    slow = copy.deepcopy(module)
    mine, theirs = (OPTIMIZERS[name](each.parameters()) for each in (module, slow))
    fast = FastPath(module, mine)
    for number, n in enumerate(sizes):
        if grown and number == len(sizes) - 1:
            width += grown
            for each, optimizer in ((module, mine), (slow, theirs)):
                torch.manual_seed(9)
                layers = find_layers(each)
                assert layers is not None
                grow_head(layers[-1], width, optimizer)
        for optimizer in (mine, theirs):
            optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
        x, y = rows(n, features, width)
        found = fast_step(fast, mine, x, partial(smooth, y=y))
        wanted = plain_step(slow, theirs, x, partial(smooth, y=y))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    for found, wanted in zip(module.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert mine.state_dict()["param_groups"] == theirs.state_dict()["param_groups"]
    assert mine.state_dict()["state"].keys() == theirs.state_dict()["state"].keys()


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("n", [1, 20, 138])
@pytest.mark.parametrize("hidden", [[], [300], [200, 150]])
def test_gradients_are_right_to_the_last_digits(
    hidden: list[int], n: int, *, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small and large products, by either library, against double precision."""
    if not onednn:
        monkeypatch.setattr(fastpath, "onednn", lambda: None)
    module = build([400], hidden, 70)
    double = copy.deepcopy(module).double()
    fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    x, y = rows(n, [400], 70)
    logits = fast.forward(x)
    torch.testing.assert_close(logits, double(x.double()).float(), rtol=1e-5, atol=2e-6)
    cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
    cross_entropy(double(x.double()), y).backward()  # type: ignore[no-untyped-call]
    fast.backward(logits)
    for mine, exact in zip(module.parameters(), double.parameters(), strict=True):
        assert mine.grad is not None
        assert exact.grad is not None
        apart = (mine.grad - exact.grad).abs().max() / exact.grad.abs().max()
        assert apart < 1e-6


@pytest.mark.parametrize("name", ["sgd", "sgd, decay", "fused adam"])
def test_large_layers_learn_alike_with_and_without_onednn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for library in (fastpath.onednn, lambda: None):
        monkeypatch.setattr(fastpath, "onednn", library)
        module = build([400], [300, 200], 10)
        optimizer = OPTIMIZERS[name](module.parameters())
        fast = FastPath(module, optimizer)
        torch.manual_seed(1)
        for n in (20, 40, 20):
            x, y = rows(n, [400], 10)
            fast_step(fast, optimizer, x, partial(cross_entropy, target=y))
        made.append([parameter.detach() for parameter in module.parameters()])
    for mine, theirs in zip(*made, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", [[], [512], [300, 200]])
def test_what_came_before_does_not_change_a_bit(hidden: list[int]) -> None:
    x, y = rows(20, [784], 10)
    first = build([784], hidden, 10)
    second = copy.deepcopy(first)
    made = []
    for module, before in ((first, 0), (second, 3)):
        optimizer = SGD(module.parameters(), lr=0.1)
        fast = FastPath(module, optimizer)
        kept = [torch.randn(100 * i + 1) for i in range(before)]
        for n in (33, 150, 1)[:before]:
            fast.forward(torch.randn(n, 784))
        for _ in range(3):
            fast_step(fast, optimizer, x, partial(cross_entropy, target=y))
        made.append(plain(dict(module.state_dict())))
        del kept
    assert made[0] == made[1]


def test_gradients_that_are_there_already_are_kept() -> None:
    """A loss may look at the weights themselves."""
    module = build([4], [5], 3)
    slow = copy.deepcopy(module)
    x, y = rows(6, [4], 3)

    def penalised(logits: torch.Tensor, of: nn.Module) -> torch.Tensor:
        return cross_entropy(logits, y) + sum((p**2).sum() for p in of.parameters())

    mine, theirs = SGD(module.parameters(), lr=0.1), SGD(slow.parameters(), lr=0.1)
    fast = FastPath(module, mine)
    fast_step(fast, mine, x, partial(penalised, of=module))
    plain_step(slow, theirs, x, partial(penalised, of=slow))
    for found, wanted in zip(module.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_loss_without_the_logits_moves_nothing() -> None:
    module = build([4], [5], 3)
    before = plain(dict(module.state_dict()))
    fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    fast.step(fast.forward(torch.randn(2, 4)))
    assert plain(dict(module.state_dict())) == before


def test_layers_without_bias_and_flattened_images() -> None:
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 7, bias=False), nn.ReLU(inplace=True), nn.Linear(7, 3)
    )
    slow = copy.deepcopy(module)
    mine, theirs = SGD(module.parameters(), lr=0.1), SGD(slow.parameters(), lr=0.1)
    x, y = rows(5, [1, 3, 4], 3)
    fast_step(FastPath(module, mine), mine, x, partial(cross_entropy, target=y))
    plain_step(slow, theirs, x, partial(cross_entropy, target=y))
    for found, wanted in zip(module.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_only_the_latest_logits_are_owned() -> None:
    module = build([4], [5], 3)
    fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    first = fast.forward(torch.randn(2, 4))
    assert fast.owns(first)
    second = fast.forward(torch.randn(2, 4))
    assert fast.owns(second)
    assert not fast.owns(first)


# -- who is left to autograd ------------------------------------------------------------------


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_other_modules_have_no_layers() -> None:
    shared = nn.Linear(4, 4)
    others: list[nn.Module] = [
        nn.Sequential(),
        nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)),
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.ReLU(), nn.Linear(4, 3)),
        nn.Sequential(nn.Flatten(2), nn.Linear(4, 3)),
        nn.Sequential(nn.Flatten(1, 2), nn.Linear(4, 3)),
        nn.Sequential(nn.Linear(4, 4), nn.Flatten(), nn.Linear(4, 3)),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 3))),
        nn.Sequential(shared, nn.ReLU(), shared),
        nn.Sequential(Doubled(4, 4), nn.ReLU(), nn.Linear(4, 3)),
        Doubled(4, 3),
        nn.LazyLinear(3),
    ]
    assert [find_layers(each) for each in others] == [None] * len(others)
    assert find_layers(linear()((4,), 3)) is not None
    assert find_layers(mlp([5, 6])((2, 2), 3)) is not None


class Weight(nn.Parameter):
    pass


def three_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


def layer(module: nn.Sequential, number: int = 0) -> nn.Linear:
    found = module[number]
    assert isinstance(found, nn.Linear)
    return found


WATCHED: dict[str, Callable[[nn.Sequential], object]] = {
    "forward hook": lambda m: m[2].register_forward_hook(lambda *_: None),
    "forward pre-hook": lambda m: m[1].register_forward_pre_hook(lambda *_: None),
    "backward hook": lambda m: m.register_full_backward_hook(lambda *_: None),
    "backward pre-hook": lambda m: m[0].register_full_backward_pre_hook(lambda *_: None),
    "tensor hook": lambda m: layer(m).weight.register_hook(lambda g: g),  # type: ignore[no-untyped-call]
    "gradient hook": lambda m: layer(m).bias.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
        lambda _: None
    ),
    "own forward": lambda m: setattr(m[0], "forward", lambda x: x),
    "compiled": lambda m: setattr(m, "_compiled_call_impl", lambda x: x),
    "frozen": lambda m: layer(m).bias.requires_grad_(False),
    "double": lambda m: m.double(),
}

REBUILT: dict[str, Callable[[nn.Sequential], object]] = {
    "pruned": lambda m: random_unstructured(m[0], "weight", amount=0.5),  # type: ignore[no-untyped-call]
    "parametrized": lambda m: weight_norm(m[0]),
    "a kind of its own": lambda m: setattr(m[0], "weight", Weight(torch.zeros(4, 4))),
    "tied": lambda m: setattr(m[4], "weight", m[2].weight),
}


@pytest.mark.parametrize("what", WATCHED)
def test_modules_that_somebody_watches_are_left_to_autograd(what: str) -> None:
    module, x = three_layers(), torch.randn(2, 4)
    fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    assert fast.ready(x)
    WATCHED[what](module)
    assert not fast.ready(x)


@pytest.mark.parametrize("what", REBUILT)
def test_weights_that_are_made_of_others_are_left_to_autograd(what: str) -> None:
    module = three_layers()
    REBUILT[what](module)
    assert not FastPath(module, SGD(module.parameters(), lr=0.1)).ready(torch.randn(2, 4))


def test_rows_of_other_kinds_are_left_to_autograd() -> None:
    for module in (linear()((4,), 3), nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))):
        fast = FastPath(module, SGD(module.parameters(), lr=0.1))
        assert fast.ready(torch.zeros(2, 4))
        assert not fast.ready(torch.zeros(2, 5, 4))
        assert not fast.ready(torch.zeros(4))
        assert not fast.ready(torch.zeros(2, 4, dtype=torch.float64))
        with torch.autocast("cpu"):
            assert not fast.ready(torch.zeros(2, 4))


def test_a_hook_on_everything_is_called() -> None:
    module = build([4], [5], 3)
    fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not fast.ready(torch.zeros(2, 4))
    finally:
        handle.remove()
    assert fast.ready(torch.zeros(2, 4))


def test_hooks_of_the_optimizer_are_called() -> None:
    module = build([4], [5], 3)
    optimizer = SGD(module.parameters(), lr=0.1)
    fast, calls = FastPath(module, optimizer), []
    x, y = rows(3, [4], 3)
    loss = partial(cross_entropy, target=y)
    for register in (optimizer.register_step_pre_hook, optimizer.register_step_post_hook):
        handle = register(lambda *_: calls.append(1))
        fast_step(fast, optimizer, x, loss)
        handle.remove()
    assert len(calls) == 2
    fast_step(fast, optimizer, x, loss)
    assert len(calls) == 2


def test_a_scheduler_sees_the_steps() -> None:
    """Torch warns where a scheduler steps before its optimizer; warnings are errors here."""
    module = build([4], [5], 3)
    optimizer = SGD(module.parameters(), lr=0.1)
    schedule = ExponentialLR(optimizer, 0.5)
    fast = FastPath(module, optimizer)
    x, y = rows(3, [4], 3)
    for _ in range(2):
        fast_step(fast, optimizer, x, partial(cross_entropy, target=y))
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.025


def test_an_optimizer_of_a_part_moves_that_part() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    before = plain(module[0].weight)
    still: dict[str, Any] = {"params": list(module[0].parameters()), "lr": 0.0}
    moved: dict[str, Any] = {"params": list(module[2].parameters())}
    for groups in ([moved], [still, moved]):
        optimizer = SGD(groups, lr=0.1)
        head = plain(module[2].weight)
        x, y = rows(3, [4], 3)
        fast_step(FastPath(module, optimizer), optimizer, x, partial(cross_entropy, target=y))
        module.zero_grad()
        assert plain(module[0].weight) == before
        assert plain(module[2].weight) != head


def test_an_optimizer_of_more_than_the_module_moves_that_too() -> None:
    """As a temperature that a loss has learned beside it."""
    module, more = build([4], [5], 3), nn.Parameter(torch.ones(()))
    x, y = rows(3, [4], 3)
    for groups in ([[*module.parameters(), more]], [list(module.parameters()), [more]]):
        optimizer = SGD([{"params": group} for group in groups], lr=0.1)
        before = more.item()
        fast_step(FastPath(module, optimizer), optimizer, x, lambda z: cross_entropy(z * more, y))
        assert more.item() != before


def test_a_subclass_of_sgd_takes_its_own_step() -> None:
    class Still(SGD):
        def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
            del closure

    module = build([4], [5], 3)
    before = plain(dict(module.state_dict()))
    optimizer = Still(module.parameters(), lr=0.1)
    x, y = rows(3, [4], 3)
    fast_step(FastPath(module, optimizer), optimizer, x, partial(cross_entropy, target=y))
    assert plain(dict(module.state_dict())) == before


# -- inside the learner -----------------------------------------------------------------------


LEARNERS: dict[str, dict[str, Any]] = {
    "er": {"method": "er"},
    "er, adam": {"optimizer": partial(Adam, lr=0.01, fused=True)},
    "er-ace": {"method": "er-ace"},
    "a-gem": {"method": "a-gem"},
    "lwf": {"method": "lwf"},
    "mkd": {"method": "mkd"},
    "skip": {"on_divergence": "skip"},
    "levers": {"training": Training(clip_grad_norm=0.1, label_smoothing=0.1, ema=0.9)},
}


@pytest.mark.parametrize("name", LEARNERS)
def test_every_method_learns_as_by_autograd(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that grows and masks classes, and a check that nothing went by autograd unseen."""
    records = rehearsals([[0, 1], [0, 2, 4], [1, -1], [5, 0, 3], [2, 1], [7, 3]], steps=2)
    options = {"optimizer": partial(SGD, lr=0.1), **LEARNERS[name]}
    made, passes = [], []
    forward = FastPath.forward

    def counted(self: FastPath, x: torch.Tensor) -> torch.Tensor:
        passes.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(FastPath, "forward", counted)
    for _ in range(2):
        learner = TorchLearner(mlp([6]), seed=1, **options)
        predictions = learn(learner, records).tolist()
        made.append((predictions, weights(learner)))
        monkeypatch.setattr(FastPath, "ready", lambda *_: False)
    assert len(passes) >= 12
    assert made[0][0] == made[1][0]
    for key, wanted in made[1][1].items():
        torch.testing.assert_close(made[0][1][key], wanted, rtol=1e-5, atol=1e-6)


def test_a_state_of_the_optimizer_that_is_not_fused_goes_on_as_it_was() -> None:
    """As a checkpoint of before."""
    records = stream(12)
    old = TorchLearner(mlp([6]), partial(Adam, lr=0.01))
    learn(old, records[:6])
    new = TorchLearner(mlp([6]), partial(Adam, lr=0.01, fused=True))
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    assert learn(new, records[6:]).tolist() == learn(old, records[6:]).tolist()
    assert plain(new.state_dict()) == plain(old.state_dict())


def test_a_parameter_beside_the_layers_is_learned_too() -> None:
    def make(_: tuple[int, ...], n_classes: int) -> nn.Module:
        module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, n_classes))
        module.register_parameter("heat", nn.Parameter(torch.ones(())))
        return module

    def loss(step: Step) -> torch.Tensor:
        heat: Any = learner.module.heat
        return step.cross_entropy(step.masked / heat)

    method = Method(loss)
    training = Training(clip_grad_norm=10.0)  # which looks at gradients
    learner = TorchLearner(make, partial(SGD, lr=0.1), method=method, training=training)
    learn(learner, stream())
    heat: Any = learner.module.heat
    assert abs(heat.item() - 1) > 1e-3


def test_a_layer_that_is_unfrozen_later_stays_out_of_it() -> None:
    """What was frozen when the module was built is not learned, also not by a projected step."""

    def make(_: tuple[int, ...], n_classes: int) -> nn.Module:
        module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, n_classes))
        module[0].requires_grad_(requires_grad=False)
        return module

    learner = TorchLearner(make, partial(SGD, lr=0.1), method="a-gem")
    records = stream()
    learn(learner, records[:3])
    module: Any = learner.module
    before = module[0].weight.clone()
    module[0].requires_grad_(requires_grad=True)
    learn(learner, records[3:])
    assert torch.equal(module[0].weight, before)
