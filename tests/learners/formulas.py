"""The papers' formulas, row by row and class by class, on numbers of any precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from streamreplay.learners.methods.step import Step

__all__ = [
    "Case",
    "Formula",
    "asymmetric",
    "cross_entropy",
    "dark",
    "dark_distance",
    "distillation",
    "mean_loss",
    "projected",
]


@dataclass
class Case:
    """What a training pass knows, as plain lists; the first ``n`` rows are incoming ones."""

    z: Tensor  # float64[rows, width]
    y: list[int]
    n: int
    known: list[int]
    recent: list[int]
    smoothing: float = 0.0
    weight: list[float] | None = None
    stored: list[list[float]] | None = None  # of the rows of memory; NaN where nothing is
    told: Tensor | None = None  # float64[rows, width], the teacher's
    taught: list[int] = field(default_factory=list)  # classes that the teacher knows

    @property
    def incoming(self) -> list[int]:
        return list(range(self.n))

    @property
    def memory(self) -> list[int]:
        return list(range(self.n, len(self.y)))

    def step(self, logits: Tensor) -> Step:
        """Tell the same to the code under test."""
        width = logits.shape[1]
        known = torch.tensor([c in self.known for c in range(width)])
        recent = torch.tensor([c in self.recent for c in range(width)])
        mask = None
        if not known.all():
            mask = torch.zeros(width, dtype=logits.dtype).masked_fill(~known, -torch.inf)
        step = Step(logits, torch.tensor(self.y), self.n, mask, known, lambda: recent)
        step.smoothing = self.smoothing
        if self.weight is not None:
            step.weight = torch.tensor(self.weight, dtype=logits.dtype)
        if self.stored is not None:
            step.notes = {"logits": torch.tensor(self.stored, dtype=logits.dtype)}
        if self.told is not None:
            told = self.told
            step.taught_by(lambda: told, torch.tensor([c in self.taught for c in range(width)]))
        return step


Formula: TypeAlias = Callable[[Case, Tensor], Tensor]
"""Given a case, and its logits to differentiate through."""


def cross_entropy(z: Tensor, label: int, among: Iterable[int]) -> Tensor:
    """-log p(label), where only some classes take part: z is one row's logits."""
    return -z[label] + torch.stack([z[c].exp() for c in among]).sum().log()


def smoothed(z: Tensor, label: int, among: Sequence[int], smoothing: float) -> Tensor:
    """Szegedy et al. 2016, section 7: the label has 1 - e + e / K, each other class e / K."""
    total = z.new_zeros(())
    for c in among:
        share = smoothing / len(among) + (1 - smoothing if c == label else 0.0)
        total = total + share * cross_entropy(z, c, among)
    return total


def mean_loss(case: Case, z: Tensor, rows: Iterable[int], among: Sequence[int]) -> Tensor:
    """Weighted mean over the labelled of some rows; 0 where there are none."""
    total, weights = z.sum() * 0, 0.0
    for row in rows:
        if case.y[row] < 0:
            continue
        weight = 1.0 if case.weight is None else case.weight[row]
        total = total + weight * smoothed(z[row], case.y[row], among, case.smoothing)
        weights += weight
    return total / weights if weights else total


def asymmetric(case: Case, z: Tensor) -> Tensor:
    """Caccia et al. 2022, equation 4: L(X_in, C_curr) + L(X_bf, C_old and C_curr)."""
    return mean_loss(case, z, case.incoming, case.recent) + mean_loss(
        case, z, case.memory, case.known
    )


def dark_distance(case: Case, z: Tensor) -> Tensor:
    """Buzzega et al. 2020, equation 5: the mean of (z - h)^2 over all that has an h."""
    squares = []
    for row, stored in zip(case.memory, case.stored or [], strict=False):
        for c, h in enumerate(stored[: z.shape[1]]):
            if not math.isnan(h):
                squares.append((z[row, c] - h) ** 2)
    return torch.stack(squares).mean() if squares else z.sum() * 0


def dark(case: Case, z: Tensor, alpha: float, beta: float) -> Tensor:
    """Equations 5 (beta = 0) and 6."""
    return (
        mean_loss(case, z, case.incoming, case.known)
        + alpha * dark_distance(case, z)
        + beta * mean_loss(case, z, case.memory, case.known)
    )


def distillation(case: Case, z: Tensor, temperature: float) -> Tensor:
    """Hinton et al. 2015: T^2 KL(teacher || module) of softened outputs, the mean over rows."""
    assert case.told is not None
    total = z.new_zeros(())
    for row in range(len(case.y)):
        mine, theirs = z[row] / temperature, case.told[row] / temperature
        for c in case.taught:
            log_p = -cross_entropy(mine, c, case.taught)
            log_q = -cross_entropy(theirs, c, case.taught)
            total = total + log_q.exp() * (log_q - log_p)
    return temperature**2 * total / len(case.y)


def projected(g: Sequence[float], r: Sequence[float]) -> list[float]:
    """Chaudhry et al. 2019, equation 11: g - (g r / r r) r where g r < 0."""
    along = math.fsum(a * b for a, b in zip(g, r, strict=True))
    if along >= 0:
        return list(g)
    length = math.fsum(b * b for b in r)
    return [a - along / length * b for a, b in zip(g, r, strict=True)]
