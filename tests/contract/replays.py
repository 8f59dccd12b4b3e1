"""Every replay method, and every way to learn from memory, that must keep the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay.batch import Batch
from streamreplay.learners import METHODS, Method, ModuleFactory, Step, Training, mlp
from streamreplay.learners.methods import losses
from streamreplay.learners.methods.catalogue import er_ace, er_slda, gdumb, hardest, lwf

__all__ = ["REPLAYS", "MethodCase"]


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Build a module that draws random numbers and keeps statistics."""
    return nn.Sequential(
        nn.Linear(shape[0], 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, classes)
    )


_MLP = mlp([4])


@dataclass(frozen=True)
class MethodCase:
    """A method, and how steps are taken."""

    method: Method | str
    training: Training | None = None
    module: ModuleFactory = _MLP

    @property
    def chooses(self) -> bool:
        """Tell whether the mixer is to draw candidates."""
        made = METHODS[self.method]() if isinstance(self.method, str) else self.method
        return made.retrieve is not None


def _shaken(step: Step) -> torch.Tensor:
    """Draw random numbers within a loss, and look at what was noted."""
    held = step.notes.get("margin")
    far = 0.0 if held is None or not len(held) else torch.nanmean(held).nan_to_num()
    noise = torch.rand_like(step.masked[:, :1])
    return step.cross_entropy(step.masked * noise) * (1 + 0.1 * far)


def _margins(step: Step) -> dict[str, torch.Tensor]:
    """Note a number that is made at random in part."""
    return {"margin": step.logits[: step.n].amax(1) + torch.rand(step.n)}


def _by_lot(learner: Any, incoming: Batch, rows: Batch, k: int) -> NDArray[np.int64]:  # noqa: ARG001
    """Choose candidates of small loss, as far as luck allows."""
    luck = torch.rand(len(rows)).numpy()
    return np.argsort(learner.losses(rows) * luck)[:k]


def _jitter(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
    return x + 0.1 * torch.randn_like(x)


REPLAYS: dict[str, MethodCase] = {
    **{name: MethodCase(name) for name in METHODS if name != "er-slda"},
    "er-slda": MethodCase(er_slda(look_back=3, slda_features=6)),
    "er-ace(look back)": MethodCase(er_ace(5)),
    "gdumb(every)": MethodCase(gdumb(2, 5)),
    "hardest": MethodCase(Method(retrieve=hardest)),
    "own pieces": MethodCase(Method(_shaken, notes=_margins, retrieve=_by_lot)),
    "der++(noisy)": MethodCase("der++", module=noisy),
    "mir(noisy)": MethodCase("mir", module=noisy),
    "lwf(noisy, ema)": MethodCase(lwf(), Training(ema=0.9), noisy),
    "mkd(noisy)": MethodCase("mkd", module=noisy),
    "ncm(ema)": MethodCase("ncm", Training(ema=0.9)),
    "gdumb(ema, noisy)": MethodCase(gdumb(2, 5), Training(ema=0.9), noisy),
    "all options": MethodCase(
        Method(losses.asymmetric, look_back=4),
        Training(
            ema=0.8,
            clip_grad_norm=0.5,
            label_smoothing=0.1,
            class_weight={0: 2.0, 3: 0.5},
            augment=_jitter,
        ),
    ),
}
