"""The convolutional reference models: their arithmetic, layouts, and that they learn images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, group_norm, linear, relu
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.errors import ConfigError
from streamreplay.learners import ModuleFactory, TorchLearner, cnn, slim_resnet18
from streamreplay.learners.models.networks import Layout
from streamreplay.learners.neural.global_state import is_plain
from tests.learners.reference import learn, network

Weights = dict[str, torch.Tensor]


def images(shape: tuple[int, ...], n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def stir(module: nn.Module) -> nn.Module:
    """Give norms weights and statistics that are not 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise / 5 if "var" in name else noise / 5 - 0.1)
    return module.eval()


def cnn_by_hand(w: Weights, x: torch.Tensor, groups: tuple[int, int]) -> torch.Tensor:
    """Run two convolutions with group norm as the layers were registered: 0 is the unflattening."""
    x = conv2d(x, w["1.weight"], w["1.bias"], stride=2, padding=2)
    x = relu(group_norm(x, groups[0], w["2.weight"], w["2.bias"]))
    x = conv2d(x, w["4.weight"], w["4.bias"], stride=2, padding=1)
    x = relu(group_norm(x, groups[1], w["5.weight"], w["5.bias"]))
    return linear(x.flatten(1), w["8.weight"], w["8.bias"])


def resnet_by_hand(w: Weights, x: torch.Tensor) -> torch.Tensor:
    """Run Lopez-Paz and Ranzato's network as their code has it, for images [n, 1, h, w]."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return batch_norm(x, mean, var, w[f"{name}.weight"], w[f"{name}.bias"])

    def block(name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
        out = conv2d(x, w[f"{name}.body.0.weight"], stride=stride, padding=1)
        out = relu(norm(f"{name}.body.1", out))
        out = norm(f"{name}.body.4", conv2d(out, w[f"{name}.body.3.weight"], padding=1))
        if f"{name}.shortcut.0.weight" in w:
            x = conv2d(x, w[f"{name}.shortcut.0.weight"], stride=stride)
            x = norm(f"{name}.shortcut.1", x)
        return relu(out + x)

    x = relu(norm("2", conv2d(x, w["1.weight"], padding=1)))
    for place, stride in enumerate((1, 1, 2, 1, 2, 1, 2, 1), start=4):
        x = block(str(place), x, stride)
    return linear(avg_pool2d(x, 4).flatten(1), w["14.weight"], w["14.bias"])


def test_the_cnn_s_arithmetic() -> None:
    module = stir(cnn([12, 16])((9, 12), 5))
    x = images((9, 12))
    want = cnn_by_hand(module.state_dict(), x[:, None], groups=(3, 4))
    torch.testing.assert_close(module(x), want)


def test_the_resnet_s_arithmetic() -> None:
    module = stir(slim_resnet18(4)((32, 32), 5))
    x = images((32, 32))
    torch.testing.assert_close(module(x), resnet_by_hand(module.state_dict(), x[:, None]))


def test_the_resnet_has_as_many_weights_as_the_literature_s() -> None:
    """1.09 million for CIFAR-10, counted by layer: without, and with, their norms."""
    n = 20
    front = 27 * n
    stages = [(n, n), (n, 2 * n), (2 * n, 4 * n), (4 * n, 8 * n)]
    blocks = sum(9 * a * b + 27 * b * b + (a * b if a != b else 0) for a, b in stages)
    norms = 2 * (n + sum(4 * b + (b if a != b else 0) for a, b in stages))
    head = 8 * n * 10 + 10
    for norm in ("batch", "group"):
        module = slim_resnet18(norm=norm)((3, 32, 32), 10)
        assert sum(p.numel() for p in module.parameters()) == front + blocks + norms + head


FACTORIES: dict[str, Any] = {
    "cnn": partial(cnn, [4, 8]),
    "slim_resnet18": partial(slim_resnet18, 2),
}


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize(
    ("layout", "shape", "last"),
    [
        ("auto", (12, 9), None),
        ("auto", (1, 12, 9), False),
        ("auto", (3, 12, 9), False),
        ("auto", (12, 9, 3), True),
        ("auto", (9, 12, 9), False),  # as long: the first
        ("hwc", (9, 12, 9), True),
        ("chw", (12, 12, 9), False),
    ],
)
def test_layouts(name: str, layout: Layout, shape: tuple[int, ...], last: bool | None) -> None:
    module = FACTORIES[name](layout=layout)(shape, 5).eval()
    x = images(shape)
    as_chw = x[:, None] if last is None else x.permute(0, 3, 1, 2) if last else x
    torch.manual_seed(0)
    plain = FACTORIES[name](layout="chw")(tuple(as_chw.shape[1:]), 5).eval()
    tensors = module.state_dict().values()
    plain.load_state_dict(dict(zip(plain.state_dict(), tensors, strict=True)))
    torch.testing.assert_close(module(x), plain(as_chw.contiguous()))


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("shape", [(784,), (1, 2, 3, 4)])
def test_rows_that_are_no_images_are_refused(name: str, shape: tuple[int, ...]) -> None:
    message = rf"{name} needs rows that are images, \[h, w\], \[c, h, w\] or \[h, w, c\], got \["
    with pytest.raises(ConfigError, match=message):
        FACTORIES[name]()(shape, 5)


_CNN: Any = cnn
_RESNET: Any = slim_resnet18


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _CNN([]), "channels must be at least one number from 2 up, got []"),
        (lambda: _CNN([3, 1]), "channels must be at least one number from 2 up, got [3, 1]"),
        (lambda: _CNN(hidden=[0]), "hidden layers need at least 1 unit each, got [0]"),
        (lambda: _CNN(norm="batch"), "norm must be group or none, got 'batch'"),
        (lambda: _CNN(layout="hw"), "layout must be auto, chw or hwc, got 'hw'"),
        (lambda: _RESNET(1), "channels must be at least 2, got 1"),
        (lambda: _RESNET(norm="none"), "norm must be batch or group, got 'none'"),
        (lambda: _RESNET(layout="hw"), "layout must be auto, chw or hwc, got 'hw'"),
    ],
)
def test_mistakes_are_told_at_once(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"must|need") as caught:
        call()
    assert str(caught.value) == message


def test_which_of_them_predict_and_learn_in_one_pass() -> None:
    for shape in ((28, 28), (3, 32, 32), (32, 32, 3)):
        for factory in (
            cnn(),
            cnn([4], hidden=[8], norm="none", head="cosine"),
            slim_resnet18(2, norm="group", head="weight_norm"),
        ):
            assert is_plain(factory(shape, 10))
        assert not is_plain(slim_resnet18(2)(shape, 10))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8)])
def test_tiny_images(size: tuple[int, int]) -> None:
    """One row alone can be learned from, whatever is left of the image."""
    rows = Batch.from_arrays(images(size, n=1), [1])
    for factory in (cnn([2, 4]), slim_resnet18(2, norm="group")):
        learner = TorchLearner(factory, partial(SGD, lr=0.1))
        learn(learner, [rows] * 2)
        assert np.isfinite(learner.predict_proba(rows.x)).all()
    message = f"needs images larger than 8x8, got {size[0]}x{size[1]}: take norm = group"
    with pytest.raises(ConfigError, match=message):
        slim_resnet18(2)(size, 5)
    learn(
        TorchLearner(slim_resnet18(2), partial(SGD, lr=0.1)), [replace(rows, x=np.ones((1, 1, 9)))]
    )


def bars(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw images with a bar that lies or stands anywhere: no pixel says which."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 60, (n, 12, 12)).astype(np.uint8)
    y = rng.integers(0, 2, n)
    for image, label, place in zip(x, y, rng.integers(0, 12, n), strict=True):
        (image if label else image.T)[place] = 255
    return x, y


@pytest.mark.parametrize(
    "factory",
    [cnn([8, 16]), cnn([8, 16], norm="none", head="cosine"), slim_resnet18(4)],
    ids=["cnn", "cnn without norm", "slim_resnet18"],
)
def test_they_learn_what_only_shapes_tell(factory: ModuleFactory) -> None:
    x, y = bars(1200, 0)
    learner = TorchLearner(factory, partial(SGD, lr=0.03, momentum=0.9), seed=1)
    learn(learner, [Batch.from_arrays(x[i : i + 12], y[i : i + 12]) for i in range(0, 1200, 12)])
    assert network(learner).plain == is_plain(learner.module)
    x, y = bars(200, 1)
    assert (learner.predict_proba(x).argmax(1) == y).mean() > 0.95
