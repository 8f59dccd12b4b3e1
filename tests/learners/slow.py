"""A slow loop for each replay method: plain gradient descent, written out by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamreplay.batch import Batch
from streamreplay.records import Rehearsal
from tests.learners import formulas
from tests.learners.formulas import Case, mean_loss

__all__ = ["SlowReplay"]

Grads = list[Tensor]


class SlowReplay:
    """Predict, then descend; one column of logits for each class of a module that does not grow.

    Parameters
    ----------
    module : torch.nn.Module
    method : str
    lr : float
    ema : float, optional
        Decay of the average; it predicts and, for mkd, teaches.
    clip : float, optional
    back : int
        Labelled rows before the batch whose classes still count as recent.
    weights : dict, optional
        What the rows of a class count.
    """

    def __init__(
        self,
        module: nn.Module,
        method: str,
        lr: float = 0.1,
        *,
        ema: float | None = None,
        clip: float | None = None,
        back: int = 0,
        weights: dict[int, float] | None = None,
        **case: Any,
    ) -> None:
        self.module, self.method, self.lr = module, method, lr
        self.ema, self.clip, self.back, self.weights, self.case = ema, clip, back, weights, case
        self.average: nn.Module | None = None
        self.averaged = 0
        self.snapshot: tuple[nn.Module, set[int]] | None = None
        self.experience: int | None = None
        self.seen: set[int] = set()
        self.labels: list[int] = []  # of all rows learned from, in order
        self.predictions: list[int] = []
        self.rehearsed: list[list[int]] = []  # positions in the stream, for each pass

    def learn(self, records: Iterable[Rehearsal]) -> SlowReplay:
        for record in records:
            y = [label for label in record.incoming.y.tolist() if label >= 0]
            self._predict(record.incoming.x)
            if not y:
                continue
            experience = int(record.incoming.experience[0])
            if self.experience not in (None, experience):
                self.snapshot = copy.deepcopy(self.module), set(self.seen)
            self.experience = experience
            self.seen |= set(y)
            for number, drawn in enumerate(record.rows):
                if record.candidates is not None and len(drawn):
                    chosen = self._interfered(record, record.candidates[number], len(drawn))
                    self._pass(record, chosen, set(y))
                else:
                    self._pass(record, drawn, set(y))
            self.labels += y
        return self

    def _predict(self, x: NDArray[Any]) -> None:
        module, columns = self.average or self.module, sorted(self.seen)
        for row in x:
            z = _run(module, row[None])[0].detach()
            best = max(columns, key=lambda c: float(z[c]), default=-1)
            self.predictions.append(best)

    def _pass(self, record: Rehearsal, drawn: NDArray[np.int64], labels: set[int]) -> None:
        self.rehearsed.append(record.memory.stored.t[drawn].tolist())
        memory = record.memory.stored.take(drawn)
        x = np.concatenate([record.incoming.x, memory.x])
        y = np.concatenate([record.incoming.y, memory.y])
        recent = labels | set(self.labels[-self.back :] if self.back else [])
        case = Case(torch.empty(0), y.tolist(), len(record.incoming), sorted(self.seen),
                    sorted(recent), **self.case)  # fmt: skip
        if self.weights is not None:
            case.weight = [self.weights.get(label, 1.0) for label in case.y]
        z = _run(self.module, x)
        grads = self._grads(case, z, x)
        if self.clip is not None:
            length = float(sum((g.double() ** 2).sum() for g in grads)) ** 0.5
            grads = [g * min(1.0, self.clip / length) for g in grads]
        with torch.no_grad():
            for parameter, grad in zip(self.module.parameters(), grads, strict=True):
                parameter.sub_(grad, alpha=self.lr)
        self._take_average()

    def _grads(self, case: Case, z: Tensor, x: NDArray[Any]) -> Grads:
        parameters = list(self.module.parameters())

        def slopes(loss: Tensor) -> Grads:
            return list(torch.autograd.grad(loss, parameters, retain_graph=True))

        if self.method != "a-gem":
            return slopes(self._loss(case, z, x))
        g = slopes(mean_loss(case, z, case.incoming, case.known))
        if not case.memory:
            return g
        r = slopes(mean_loss(case, z, case.memory, case.known))
        flat = formulas.projected(*(torch.cat([p.flatten() for p in v]).tolist() for v in (g, r)))
        bent, start = [], 0
        for p in parameters:
            bent.append(torch.tensor(flat[start : start + p.numel()]).reshape(p.shape))
            start += p.numel()
        return bent

    def _loss(self, case: Case, z: Tensor, x: NDArray[Any]) -> Tensor:
        if self.method == "er-ace":
            return formulas.asymmetric(case, z)
        total = mean_loss(case, z, range(len(case.y)), case.known)
        teacher, taught, temperature, share = self.average, set(self.seen), 4.0, 3.0
        if self.method == "lwf":
            teacher, taught = self.snapshot or (None, set())
            temperature, share = 2.0, 1.0
        if self.method in ("lwf", "mkd") and teacher is not None:
            case.told, case.taught = _run(teacher, x).detach(), sorted(taught)
            total = total + share * formulas.distillation(case, z, temperature)
        return total

    def _interfered(self, record: Rehearsal, drawn: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """Aljundi et al. 2019, algorithm 1: descend on the incoming rows alone, in a copy."""
        virtual, candidates = copy.deepcopy(self.module), record.memory.stored.take(drawn)
        labelled = record.incoming.take(record.incoming.y >= 0)
        self._sum_losses(virtual, labelled).div(len(labelled)).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in virtual.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=self.lr)
        rises = []
        for i in range(len(drawn)):
            row = candidates.take(slice(i, i + 1))
            before, after = (self._sum_losses(m, row).item() for m in (self.module, virtual))
            rises.append(after - before)
        best = sorted(range(len(drawn)), key=lambda i: -rises[i])
        return drawn[best[:k]]

    def _sum_losses(self, module: nn.Module, batch: Batch) -> Tensor:
        z = _run(module, batch.x)
        rows = [formulas.cross_entropy(z[i], int(y), self.seen) for i, y in enumerate(batch.y)]
        return torch.stack(rows).sum()

    def _take_average(self) -> None:
        """Keep d of the average and take 1 - d of the weights; d begins low."""
        if self.ema is None:
            return
        if self.average is None:
            self.average = copy.deepcopy(self.module)
            return
        d = min(self.ema, (1 + self.averaged) / (10 + self.averaged))
        self.averaged += 1
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.module.parameters(), strict=True)
            for mean, live in pairs:
                mean.copy_(d * mean + (1 - d) * live)


def _run(module: Callable[[Tensor], Any], x: NDArray[Any]) -> Tensor:
    z: Tensor = module(torch.from_numpy(np.ascontiguousarray(x)))
    return z
