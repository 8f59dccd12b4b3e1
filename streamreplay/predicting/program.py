"""One program of `torch.export` from rows of numbers or images to predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad

from streamreplay.errors import ConfigError, writing
from streamreplay.learners.methods.classifiers import NearestMean
from streamreplay.learners.methods.slda import StreamingLDA
from streamreplay.learners.neural.targets import LabelTargets, NumberTargets
from streamreplay.learners.scaling import LIMIT, Scaler
from streamreplay.predicting.columns import RunColumns

if TYPE_CHECKING:
    from streamreplay.learners import TorchLearner


def why_no_program(learner: TorchLearner, columns: RunColumns) -> str:
    """Return why there can be no program; "" if there can."""
    inference = learner.inference
    if inference.network.of_tables or (columns.schema is not None and columns.schema["packed"]):
        return "rows have categories, texts, times or gaps, which tensors do not have"
    if "ncm" in inference.predictor.classifiers and _split(inference.predictor.module) is None:
        return "class means need what the head is given, which a module of your own does not show"
    return ""


def export_program(learner: TorchLearner, columns: RunColumns, path: Path) -> None:
    """Write the program of a learner: rows [n, *feature] to float32[n, classes].

    It scales, runs the module and what predicts with it, and returns probabilities; of numbers it
    returns the numbers.

    Raises
    ------
    ConfigError
        torch cannot export the module.
    StreamReplayError
        The disk refuses.
    """
    shape = columns.shape or (len(columns.features),)
    made = Program(learner, len(columns.labels)).eval().requires_grad_(requires_grad=False)
    rows = torch.zeros(2, *shape, dtype=getattr(torch, columns.dtype))
    count = torch.export.Dim("rows")
    try:
        with torch.no_grad():
            program = torch.export.export(made, (rows,), dynamic_shapes=({0: count},))
    except Exception as error:  # the module may be the user's: torch may refuse it in any way
        raise ConfigError(
            f"learner.module: torch.export cannot export {type(learner.module).__name__}: {error}"
        ) from error
    with writing(path):
        torch.export.save(program, path)


@final
class Program(nn.Module):
    """Scale rows, run a module, and combine its outputs with those of the classifiers.

    Parameters
    ----------
    learner : TorchLearner
    names : int
        Classes or targets.
    """

    mask: torch.Tensor  # float32[width]
    mean: torch.Tensor  # float32[names]
    deviation: torch.Tensor  # float32[names]

    def __init__(self, learner: TorchLearner, names: int) -> None:
        super().__init__()
        inference = learner.inference
        network, predictor = inference.network, inference.predictor
        self.scale = _Scale(predictor.staging.scaler)
        split = _split(predictor.module)
        self.body = nn.Identity() if split is None else split[0]
        self.head = predictor.module if split is None else split[1]
        mask = torch.zeros(network.width) if network.mask is None else network.mask.cpu()
        self.register_buffer("mask", mask)
        self.classifiers = nn.ModuleList(
            _Means(each, network.width) if isinstance(each, NearestMean) else _Discriminants(each)
            for each in predictor.classifiers.values()
            if isinstance(each, NearestMean | StreamingLDA) and _predicts(each)
        )
        self.names = names
        targets = network.targets
        self.labels, self.numbers = isinstance(targets, LabelTargets), False
        if isinstance(targets, NumberTargets):
            self.numbers = True
            mean, deviation = targets.scale
            self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
            self.register_buffer("deviation", torch.from_numpy(deviation.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return probabilities, or numbers: float32[n, names]."""
        features = self.body(self.scale(x))
        logits: torch.Tensor = self.head(features) + self.mask
        for each in self.classifiers:
            logits = each(x, logits, features)
        if self.numbers:
            return logits * self.deviation + self.mean
        found = torch.sigmoid(logits) if self.labels else torch.softmax(logits, 1)
        if found.shape[1] < self.names:
            return pad(found, (0, self.names - found.shape[1]))
        return found[:, : self.names]


class _Scale(nn.Module):
    """What `Scaler.write` does with arrays."""

    shift: torch.Tensor  # float32[*feature]
    factor: torch.Tensor  # float32[*feature]

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        self.scaled = scaler.count > 0
        if self.scaled:
            shift, factor = scaler.affine
            self.register_buffer("shift", torch.from_numpy(shift.copy()))
            self.register_buffer("factor", torch.from_numpy(factor.copy()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.to(torch.float32) * (1 / 255) if x.dtype == torch.uint8 else x
        if not self.scaled:
            return rows
        return ((rows - self.shift) * self.factor).clamp(-LIMIT, LIMIT)


class _Means(nn.Module):
    """The nearest class mean, as `NearestMean.predict`."""

    means: torch.Tensor  # float32[classes, d]
    absent: torch.Tensor  # float32[classes], -inf without rows

    def __init__(self, classifier: NearestMean, width: int) -> None:
        super().__init__()
        means = torch.from_numpy(classifier.means)
        self.register_buffer("means", means.nan_to_num())
        self.register_buffer("absent", torch.where(means[:, 0].isnan(), -torch.inf, 0.0))
        self.more = max(0, width - len(means))

    def forward(
        self, x: torch.Tensor, logits: torch.Tensor, features: torch.Tensor
    ) -> torch.Tensor:
        del x, logits
        flat = features.flatten(1)
        unit = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return pad(2 * unit @ self.means.T - 2 + self.absent, (0, self.more), value=-torch.inf)


class _Discriminants(nn.Module):
    """The weighted sum with streaming LDA, as `StreamingLDA.predict`."""

    weights: torch.Tensor  # float32[inputs, features]
    offsets: torch.Tensor  # float32[features]
    directions: torch.Tensor  # float32[features, classes]
    biases: torch.Tensor  # float32[classes]
    places: torch.Tensor  # int64[classes]

    def __init__(self, classifier: StreamingLDA) -> None:
        super().__init__()
        state = classifier.state_dict()
        self.scale = _Scale(classifier.scaler)
        self.register_buffer("weights", state["weights"])
        self.register_buffer("offsets", state["offsets"])
        there = torch.isfinite(state["biases"])
        self.register_buffer("directions", state["directions"])
        self.register_buffer("biases", state["biases"])
        self.register_buffer("places", torch.nonzero(there)[:, 0])
        weight = classifier.adaptive_weight
        self.weight = classifier.settings.weight * weight.share
        self.temperature = weight.temperature

    def forward(
        self, x: torch.Tensor, logits: torch.Tensor, features: torch.Tensor
    ) -> torch.Tensor:
        del features
        scaled = self.scale(x).flatten(1)
        h = torch.addmm(self.offsets, scaled, self.weights).relu()
        # products of the same shapes as the learner's, which round alike
        scores = h @ self.directions + self.biases
        own = torch.log_softmax(scores.index_select(1, self.places), 1)
        others = torch.log_softmax(logits, 1)
        spread = torch.full_like(others, -float(np.log(len(self.places))))
        spread = spread.index_copy(1, self.places, own)
        return (others + self.weight * spread) / self.temperature


def _predicts(classifier: NearestMean | StreamingLDA) -> bool:
    """Return whether a classifier has learned anything."""
    if isinstance(classifier, NearestMean):
        return len(classifier.means) > 0
    return len(classifier.state_dict()["biases"]) > 0


def _split(module: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """Return what gives a module's head its inputs, and the head, if that can be told."""
    if isinstance(module, nn.Linear):
        return nn.Identity(), module
    if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Linear):
        return module[:-1], module[-1]
    return None
