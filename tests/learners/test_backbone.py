"""Latent replay: a frozen module in front of the buffer."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.evaluation import Holdout, Prequential
from streamreplay.learners import Backbone, TorchLearner, linear
from streamreplay.mixing import Mixer
from streamreplay.pipeline import Pipeline
from tests.contract.digest import global_randomness, plain

IMAGES = Batch.from_arrays(
    np.random.default_rng(0).integers(0, 256, (7, 4, 4), np.uint8), [0, 1, 2, 0, 1, 2, -1]
)
ROWS = Batch.from_arrays(np.random.default_rng(0).standard_normal((7, 16)), IMAGES.y)


def net(seed: int = 0) -> nn.Sequential:
    """Build a module that would drift in training mode and draw in it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16, 5),
            nn.BatchNorm1d(5),
            nn.Dropout(0.5),
            nn.Unflatten(1, (5, 1)),
        )
        module[2].state_dict()["running_mean"].uniform_()
    return module


class Draws(nn.Module):
    """Draws in evaluation mode as well."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def drawn(shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 3))


def one(stage: Backbone, batch: Batch) -> Batch:
    (out,) = stage([batch])
    return out


@pytest.mark.parametrize("batch", [IMAGES, ROWS], ids=["uint8", "float32"])
def test_features_are_what_the_module_gives_in_evaluation_mode(batch: Batch) -> None:
    module = net()
    out = one(Backbone(module), batch)
    x = torch.from_numpy(batch.x.astype(np.float32))
    x = x / 255 if batch.x.dtype == np.uint8 else x
    want = net().eval()(x).detach().flatten(1)
    assert out.x.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(out.x), want)
    assert plain(replace(out, x=batch.x)) == plain(batch), "all other columns pass through"


def test_the_module_is_frozen_and_stays() -> None:
    module = net()
    before = plain(module.state_dict())
    stage = Backbone(module)
    list(stage([IMAGES] * 5))
    assert plain(module.state_dict()) == before
    assert not any(p.requires_grad for p in module.parameters())
    assert not any(part.training for part in module.modules())


def test_rows_go_through_in_chunks_and_keep_their_order() -> None:
    sizes: list[int] = []
    module = net()
    module.register_forward_hook(lambda _m, inputs, _out: sizes.append(len(inputs[0])))
    whole, parts = one(Backbone(net()), IMAGES), one(Backbone(module, chunk=3), IMAGES)
    assert sizes == [1, 3, 3, 1], "the first one row of zeros, to see how long features are"
    np.testing.assert_allclose(parts.x, whole.x, rtol=1e-5, atol=1e-6)


def test_the_output_is_not_the_input_nor_what_the_module_keeps() -> None:
    for batch in (ROWS, replace(ROWS, x=ROWS.x.copy())):
        out = one(Backbone(nn.Identity()), batch)
        assert not np.shares_memory(out.x, batch.x)
        assert (out.x == batch.x).all()
    inplace = Backbone(nn.ReLU(inplace=True))
    before = ROWS.x.copy()
    one(inplace, ROWS)
    assert (ROWS.x == before).all()


def test_no_rows() -> None:
    out = one(Backbone(net()), IMAGES.take(slice(0, 0)))
    assert out.x.shape == (0, 5)
    assert out.x.dtype == np.float32


def test_what_a_factory_draws_is_its_own() -> None:
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = global_randomness()
        results.append(plain(one(Backbone(drawn, seed=4), ROWS)))
        assert global_randomness() == before
    assert results[0] == results[1]
    assert results[0] != plain(one(Backbone(drawn, seed=5), ROWS))


def test_a_module_that_draws_resumes_exactly() -> None:
    def make() -> Backbone:
        return Backbone(nn.Sequential(net(), Draws()))

    whole = make()
    want = [plain(out) for out in whole([IMAGES] * 4)]
    assert want[0] != want[1]
    for cut in range(4):
        first, second = make(), make()
        found = [plain(out) for out in first([IMAGES] * cut)]
        state = copy.deepcopy(first.state_dict())
        second.load_state_dict(state)
        assert plain(second.state_dict()) == plain(state)
        found += [plain(out) for out in second([IMAGES] * (4 - cut))]
        assert found == want


def trained(stage: Backbone) -> dict[str, Any]:
    one(stage, IMAGES)
    return copy.deepcopy(stage.state_dict())


@pytest.mark.parametrize("built", [False, True])
def test_other_weights_are_refused(built: bool) -> None:
    state = trained(Backbone(net()))
    other = Backbone(net(1))
    if built:
        one(other, IMAGES)
    message = (
        r"^weights: the stored features were made with other weights \(sha256 [0-9a-f]{12}\) than "
        r"this backbone's \([0-9a-f]{12}\)$"
    )
    with pytest.raises(CheckpointError, match=message):
        other.load_state_dict(state)
    Backbone(net()).load_state_dict(state)


def test_the_checksum_sees_statistics_shapes_and_names() -> None:
    def moved() -> nn.Module:
        module = net()
        module[2].state_dict()["num_batches_tracked"].add_(1)
        return module

    def named() -> nn.Module:
        return nn.Sequential(nn.Identity(), *net())

    seen = {trained(Backbone(make()))["weights"] for make in (net, moved, named)}
    assert len(seen) == 3
    flat, square = nn.Linear(16, 4, bias=False), nn.Sequential(nn.Linear(16, 4, bias=False))
    square[0].load_state_dict(flat.state_dict())
    assert trained_on_rows(flat) != trained_on_rows(square), "the same bytes under another name"
    assert trained(Backbone(net()))["weights"] == trained(Backbone(net()))["weights"]


def trained_on_rows(module: nn.Module) -> str:
    stage = Backbone(module)
    one(stage, ROWS)
    return str(stage.state_dict()["weights"])


def test_rows_of_another_shape_are_refused() -> None:
    stage = Backbone(net())
    state = trained(stage)
    with pytest.raises(
        ValueError, match=r"this backbone was given \[n, 4, 4\], got float32\[7, 16"
    ):
        one(stage, ROWS)
    other = Backbone(net())
    one(other, ROWS)
    with pytest.raises(CheckpointError, match=r"feature_shape: saved \[4, 4\], this pipeline has"):
        other.load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"feature_shape: saved None, this pipeline has \["):
        other.load_state_dict(Backbone(net()).state_dict())


class Odd(nn.Module):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(x)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Odd(torch.sum), r"must return a tensor \[1, ...\] for 1 rows, got \[\]"),
        (Odd(lambda x: (x, x)), r"must return a tensor \[1, ...\] for 1 rows, got tuple"),
        (lambda _: 3, r"the backbone must be a torch.nn.Module, got 3"),
    ],
)
def test_what_is_no_backbone(module: Any, message: str) -> None:
    stage = Backbone(module)
    for _ in range(2):
        with pytest.raises(ConfigError, match=message):
            one(stage, IMAGES)
    with pytest.raises(ValueError, match="the backbone is built when the first row arrives"):
        _ = stage.module


def test_parameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        Backbone(net(), chunk=0)
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Backbone(net(), threads=0)


def test_its_threads_are_its_own() -> None:
    seen: list[int] = []
    module = net()
    module.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    one(Backbone(module, threads=2), IMAGES)
    assert (set(seen), torch.get_num_threads()) == ({2}, 1)


def test_buffer_learner_and_retention_see_features_alone() -> None:
    """A pipeline over images does what one over their features does, held-out rows included."""
    images = [IMAGES.take(slice(i, i + 3)).numbered(i) for i in (0, 3)] * 3
    test = IMAGES.take(slice(0, 6))

    def run(encode: bool) -> tuple[Any, Pipeline]:
        backbone, early = {"backbone": Backbone(net())}, Backbone(net())
        batches = images if encode else list(early(images))
        held_out = Holdout(test if encode else one(early, test), every=5, chunk=6)
        pipeline = Pipeline(
            batches,
            holdout=held_out,
            **(backbone if encode else {}),
            buffer=ReservoirSamplingBuffer(5, seed=1),
            mixer=Mixer(3, seed=1),
            learner=TorchLearner(linear(), partial(SGD, lr=0.1), seed=1),
            evaluator=Prequential(report_every=4),
        )
        metrics = [record for report in pipeline for record in report.metrics]
        return metrics, pipeline

    (found, latent), (want, raw) = run(encode=True), run(encode=False)
    assert plain(found) == plain(want)
    assert any(record["kind"] == "retention" for record in found)
    assert latent["buffer"].buffer.x.shape == (5, 5)
    assert plain(latent["learner"].state_dict()) == plain(raw["learner"].state_dict())
