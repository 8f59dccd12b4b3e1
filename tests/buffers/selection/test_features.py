"""What a model is given and what is taken from it; a module is left as it was."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay.buffers.selection import (
    ClosestToCenterSelectionStrategy,
    FeatureExtractor,
    HerdingSelectionStrategy,
)
from tests.buffers.selection.groups import candidates
from tests.contract.digest import global_randomness, plain

X = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float32)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True))
    return nn.Sequential(body, nn.Dropout(0.5), nn.Linear(4, 3))


class Modes(nn.Module):
    """Notes whether it was in training mode, and then may fail."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.seen: list[tuple[bool, int, bool]] = []
        self.fails = fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, len(x), torch.is_grad_enabled()))
        if self.fails:
            raise RuntimeError("a layer failed")
        return x


def test_a_layer_s_output_or_the_module_s() -> None:
    module = network().eval()
    with torch.no_grad():
        inner = module[0](torch.from_numpy(X.copy())).numpy()
        outer = module(torch.from_numpy(X.copy())).numpy()
    np.testing.assert_allclose(FeatureExtractor(module, "0")(X), inner, rtol=1e-6)
    np.testing.assert_allclose(FeatureExtractor(module, "2", 3)(X), outer, rtol=1e-5)
    features = FeatureExtractor(module)(X)
    np.testing.assert_allclose(features, outer, rtol=1e-6)
    assert features.dtype == np.float32


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", [HerdingSelectionStrategy, ClosestToCenterSelectionStrategy])
def test_27_modes_are_restored_one_by_one(kind: Any, fails: bool) -> None:
    probe = Modes(fails=fails)
    module = nn.Sequential(network(), probe).train()
    module.get_submodule("0.0").eval()  # frozen by its owner: module.train() would thaw it
    module.get_submodule("0.0.2").train()
    before = [part.training for part in module.modules()]
    assert 0 < sum(before) < len(before)
    strategy = kind(module, batch_size=4)
    if fails:
        with pytest.raises(RuntimeError, match="a layer failed"):
            strategy.make_sorted_indices(candidates(X), 3)
        assert probe.seen == [(False, 4, False)]
    else:
        strategy.make_sorted_indices(candidates(X), 3)
        assert probe.seen == [(False, n, False) for n in (4, 4, 2)]
    assert [part.training for part in module.modules()] == before
    assert not any(part._forward_hooks for part in module.modules())


def test_27_no_call_without_rows() -> None:
    probe = Modes()
    assert FeatureExtractor(probe)(X[:0]).shape == (0, 0)
    assert probe.seen == []


def test_weights_statistics_and_gradients_are_untouched() -> None:
    module = network().train()
    module[2].bias.requires_grad = False
    module(torch.from_numpy(X)).sum().backward()

    def all_of_it() -> Any:
        parts = [[p, p.grad, p.requires_grad] for p in module.parameters()]
        return plain([parts, dict(module.state_dict())])

    before = all_of_it()
    FeatureExtractor(module, "0.1")(X)
    assert all_of_it() == before


class Draws(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def test_no_global_generator_is_moved_or_read() -> None:
    extract = FeatureExtractor(Draws())
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - this is what must not matter
        torch.manual_seed(seed)
        before = global_randomness()
        found.append(extract(X))
        assert global_randomness() == before
    assert (found[0] == found[1]).all()
    assert (found[0] != X).any()


def test_rows_are_not_written_to() -> None:
    x = X.copy()
    FeatureExtractor(nn.Sequential(nn.ReLU(inplace=True)))(x)
    assert (x == X).all()
    x.flags.writeable = False
    FeatureExtractor(nn.ReLU(inplace=True))(x)


def test_a_module_is_given_images_from_0_to_1() -> None:
    images = np.array([[[0, 51], [255, 102]]], np.uint8)
    features = FeatureExtractor(nn.Identity())(images)
    np.testing.assert_allclose(features, [[0, 0.2, 1, 0.4]], rtol=1e-6)
    assert FeatureExtractor(lambda x: x)(images).tolist() == [[0, 51, 255, 102]]


def test_a_callable_is_given_rows_a_few_at_a_time() -> None:
    sizes = []

    def model(x: NDArray[Any]) -> torch.Tensor:
        sizes.append(len(x))
        return torch.from_numpy(x * 2).reshape(len(x), 5, 1).requires_grad_()

    features = FeatureExtractor(model, batch_size=4)(X)
    assert sizes == [4, 4, 2]
    assert features.dtype == np.float32
    assert (features == X * 2).all()


def test_an_unknown_layer_is_named_with_those_near() -> None:
    module = nn.Sequential()
    for name in ("encoder", "classifier"):
        module.add_module(name, nn.Linear(5, 5))
    with pytest.raises(ValueError, match=r"'enconder' is no layer of the model; near: encoder$"):
        HerdingSelectionStrategy(module, "enconder")
    with pytest.raises(ValueError, match=r"near: encoder, classifier$"):
        HerdingSelectionStrategy(module, "xyz")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: np.where(x > 9, x, np.nan), "must be finite, got .* for row 0 of 4"),
        (lambda x: x[:3], r"must be \[4, \.\.\.\] for 4 rows, got \(3, 5\)"),
        (lambda x: x.sum(), r"must be \[4, \.\.\.\] for 4 rows, got \(\)"),
    ],
)
def test_features_that_cannot_be_used_are_refused(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(model)(X[:4])


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.LSTM(5, 2), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.used(x)[0]
        return out


def test_a_layer_without_an_output_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="layer_name 'unused' did not run"):
        FeatureExtractor(Unused(), "unused")(X)
    with pytest.raises(TypeError, match="layer 'used' must give a tensor, got tuple"):
        FeatureExtractor(Unused(), "used")(X)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        HerdingSelectionStrategy(nn.Identity(), batch_size=0)
    with pytest.raises(ValueError, match="layer_name 'fc' needs a torch module, got function"):
        FeatureExtractor(lambda x: x, "fc")
    with pytest.raises(TypeError, match="model must be callable, got str"):
        FeatureExtractor("resnet")  # type: ignore[arg-type]


def test_buffers_and_strategies_are_imported_without_torch() -> None:
    code = "import sys, streamreplay.buffers.selection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
