"""Stored logits through buffer, mixer and learner, while the head grows: DER, DER++."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.buffers import ClassBalancedBuffer, ExemplarsBuffer, ReservoirSamplingBuffer
from streamreplay.learners import Method, Step, TorchLearner, mlp
from streamreplay.learners.methods import losses
from streamreplay.learners.methods.catalogue import der, derpp
from streamreplay.mixing import Mixer
from streamreplay.records import Rehearsal
from tests.learners import formulas
from tests.learners.formulas import Case
from tests.learners.reference import FEATURES

BUFFERS: dict[str, Callable[[], ExemplarsBuffer]] = {
    "reservoir": lambda: ReservoirSamplingBuffer(12),
    "class-balanced": lambda: ClassBalancedBuffer(9),
}


class Witness:
    """Sees what the learner is given, keeps each row's logits as they were, and checks its loss."""

    def __init__(self, method: Method, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta
        self.noted: dict[int, list[float]] = {}
        self.passes = 0
        self.compared: set[tuple[int, int]] = set()  # widths: of what was stored, of the head
        self.method = replace(method, loss=partial(self._check, method))

    def __call__(self, stream: Iterable[Rehearsal]) -> Iterator[Rehearsal]:
        for self.record in stream:
            self.number = 0
            yield self.record

    def _check(self, method: Method, step: Step) -> torch.Tensor:
        record, memory = self.record, self.record.memory.stored
        known = [c for c in range(step.logits.shape[1]) if step.known[c]]
        if not self.number:
            for t, z in zip(record.incoming.t.tolist(), step.logits.tolist(), strict=False):
                self.noted[t] = [v if c in known else np.nan for c, v in enumerate(z)]
        stored = [self.noted[t] for t in memory.t[record.rows[self.number]].tolist()]
        self.compared |= {(len(h), step.logits.shape[1]) for h in stored}
        z = step.logits.detach().double().requires_grad_()
        case = Case(z, step.y.tolist(), step.n, known, [], stored=stored)
        want = formulas.dark(case, z, self.alpha, self.beta)
        found = method.loss(step)
        torch.testing.assert_close(found.double(), want, rtol=1e-5, atol=1e-6)
        (theirs,) = torch.autograd.grad(want, z)
        (ours,) = torch.autograd.grad(found, step.logits, retain_graph=True)
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
        self.number += 1
        self.passes += 1
        return found


def batches(labels: list[list[int]]) -> list[Batch]:
    rng, out = np.random.default_rng(0), list[Batch]()
    for y in labels:
        x = rng.standard_normal((len(y), FEATURES)) + np.array(y)[:, None]
        out.append(Batch.from_arrays(x, y, start=sum(len(batch) for batch in out)))
    return out


GROWING = [[0, 2], [-1, 2, 0], [-1], [3, -1, 0], [5, 0, 2], [0, 3], [7, 5], [1, 2, 3], [7, 0]]


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize(("method", "beta"), [(der(0.5), 0.0), (derpp(0.5, 0.8), 0.8)])
def test_rows_are_held_to_what_was_said_of_them_when_they_came(
    method: Method, beta: float, buffer: str, steps: int
) -> None:
    witness = Witness(method, 0.5, beta)
    learner = TorchLearner(mlp([6]), partial(SGD, lr=0.05), method=witness.method)
    mixed = Mixer(4, steps=steps)(BUFFERS[buffer]()(batches(GROWING)))
    assert len(list(learner(witness(mixed)))) == len(GROWING)
    assert witness.passes == steps * (len(GROWING) - 1)
    assert {(3, 3), (3, 8), (4, 8), (6, 8), (8, 8)} <= witness.compared


def test_what_is_compared_counts() -> None:
    """As the test above could not fail if nothing were."""
    witness = Witness(der(0.5), 0.4, 0.0)
    learner = TorchLearner(mlp([6]), partial(SGD, lr=0.05), method=witness.method)
    with pytest.raises(AssertionError, match="Scalars"):
        list(learner(witness(Mixer(4)(ReservoirSamplingBuffer(12)(batches(GROWING))))))


def test_a_fresh_learner_before_an_old_buffer() -> None:
    """What was stored is wider than its head, and some of it is of classes it does not know."""
    buffer, stream = ReservoirSamplingBuffer(12), batches(GROWING)
    old = TorchLearner(mlp([6]), partial(SGD, lr=0.05), method="der++")
    list(old(Mixer(4)(buffer(stream))))
    assert buffer.buffer.notes is not None
    assert buffer.buffer.notes["logits"].shape == (12, 8)
    buffer.forget(where=lambda rows: rows.y > 3)
    again = [replace(b, t=b.t + 100) for b in stream[:2]]
    fresh = TorchLearner(mlp([6]), partial(SGD, lr=0.05), method="der++")
    assert [s.replayed for s in fresh(Mixer(4)(buffer(again)))] == [4, 4]
    assert fresh.predict_proba(again[0].x).shape[1] < 8


def test_a_row_whose_logits_were_not_finite_is_not_held_to_them() -> None:
    """Or it would spoil every step that it is ever drawn for."""
    big = torch.finfo(torch.float32).max

    class Overflow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(FEATURES, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(x)
            return logits * big * big if self.training and x[0, 0] == 7 else logits

    stream = batches([[0, 1, 2], [1, 0], [2, 0], [1, 2], [0, 1]])
    stream[1].x[0, 0] = 7
    buffer = ReservoirSamplingBuffer(20)
    learner = TorchLearner(
        Overflow(), partial(SGD, lr=0.05), method=der(), normalize="none", on_divergence="skip"
    )
    scored = list(learner(Mixer(20)(buffer(stream))))
    assert [s.skipped for s in scored] == [0, 1, 0, 0, 0]
    assert buffer.buffer.notes is not None
    assert np.isnan(buffer.buffer.notes["logits"][3:5]).all()
    assert np.isfinite(buffer.buffer.notes["logits"][[0, 1, 2, 5, 6]]).all()


def test_notes_are_made_of_what_was_before_the_step() -> None:
    """Also of what the teacher says, who has moved after it."""
    asked: list[torch.Tensor] = []
    told: list[torch.Tensor] = []

    def ask(step: Step) -> dict[str, torch.Tensor]:
        assert step.teacher_logits is not None or not asked
        asked.append(step.logits)
        if step.teacher_logits is not None:
            average = learner._trainer.average
            assert average is not None
            assert average.module is not None
            x = learner._staging.x[: len(step.y)]
            told.append(step.teacher_logits - average.module(x))
            assert average.steps == len(told) - 1
        return {"heard": step.logits[: step.n]}

    learner = TorchLearner(
        mlp([6]),
        partial(SGD, lr=0.05),
        method=Method(losses.both, notes=ask, teacher="average", ema=0.5),
    )
    list(learner(batches([[0, 1]] * 4)))
    assert len(told) == 3
    assert not any(each.any() for each in told)
