"""What a user may put into a method: losses, retrieval and notes of their own, and mistakes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay.batch import Batch
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.errors import ConfigError, DivergenceError
from streamreplay.learners import Method, Step, TorchLearner, linear, mlp
from streamreplay.learners.methods.catalogue import hardest, most_interfered
from streamreplay.learners.methods.step import AskableLearner
from streamreplay.memory import FixedMemory
from streamreplay.mixing import Mixer
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, choosing, learn, rehearsals, sgd, stream, weights
from tests.memories import RecordingMemory

CHOICES = [choosing(r, 2) for r in stream(batches=8)]


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, classes)
    )


@pytest.mark.parametrize("factory", [linear(), mlp([6]), noisy])
def test_losses_after_are_those_of_a_copy_after_a_step(factory: Any) -> None:
    """In evaluation mode, on labelled rows of known classes; nothing of the learner moves."""
    learner = TorchLearner(factory, sgd(0.2, momentum=0.5), normalize="none")
    learn(learner, stream(batches=7))
    lesson = Batch.from_arrays(CHOICES[-1].incoming.x, [2, -1, 0, 40])
    rows = CHOICES[-1].memory.stored
    rows = replace(rows, y=np.where(rows.t % 4 == 3, -1, rows.y))
    state = plain(learner.state_dict())
    found = learner.losses_after(lesson, rows)
    assert plain(learner.state_dict()) == state
    twin = copy.deepcopy(learner.module).eval()
    x, y = torch.from_numpy(lesson.x)[[0, 2]], torch.tensor([2, 0])
    nn.functional.cross_entropy(twin(x), y).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in twin.parameters():
            assert parameter.grad is not None
            parameter.sub_(parameter.grad, alpha=0.2)
        log_p = torch.log_softmax(twin(torch.from_numpy(rows.x)), 1).numpy()
    want = np.where(rows.y < 0, np.nan, -log_p[np.arange(len(rows)), rows.y])
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
    assert np.nanmax(np.abs(found - learner.losses(rows))) > 0.01


def test_nothing_to_learn_is_no_step() -> None:
    learner = TorchLearner(linear(), sgd())
    rows = CHOICES[-1].memory.stored
    assert plain(learner.losses_after(rows, rows)) == plain(learner.losses(rows))
    learn(learner, stream())
    for lesson in (rows.take(slice(0, 0)), replace(rows, y=np.full(len(rows), -1))):
        assert plain(learner.losses_after(lesson, rows)) == plain(learner.losses(rows))


def test_those_of_most_loss_and_those_that_rise_most_are_chosen() -> None:
    class Judge:
        batches = 0

        def losses(self, batch: Batch) -> NDArray[np.float32]:
            return batch.x[:, 0]

        def losses_after(self, lesson: Batch, batch: Batch) -> NDArray[np.float32]:
            assert len(lesson) == 1
            return batch.x[:, 1]

        def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
            raise NotImplementedError

        def gradients(self, batch: Batch) -> NDArray[np.float32]:
            raise NotImplementedError

    rows = Batch.from_arrays([[5, 5], [1, 4], [3, 7], [9, 8], [2, 2]], [0] * 5)
    incoming = rows.take(slice(0, 1))
    assert hardest(Judge(), incoming, rows, 3).tolist() == [3, 0, 2]
    assert most_interfered(Judge(), incoming, rows, 3).tolist() == [2, 1, 0]
    assert most_interfered(Judge(), incoming, rows, 0).tolist() == []


def test_only_what_was_chosen_is_rehearsed_and_counted() -> None:
    asked: list[tuple[int, int, list[int]]] = []
    labels: list[list[int]] = []

    def last(learner: AskableLearner, _: Batch, rows: Batch, k: int) -> NDArray[np.int64]:
        learner.losses(rows.take(np.tile(np.arange(len(rows)), 5)))  # stages more rows than ever
        asked.append((len(rows), k, rows.t[::-1][:k].tolist()))
        return np.arange(len(rows))[::-1][:k]

    def watched(step: Step) -> torch.Tensor:
        labels.append(step.y.tolist())
        return step.cross_entropy(step.masked)

    x = np.random.default_rng(0).standard_normal((24, FEATURES)).astype(np.float32)
    batches = [Batch.from_arrays(x[i : i + 3], [0, 1, 2], start=i) for i in range(0, 24, 3)]
    buffer, mixer = ReservoirSamplingBuffer(50), Mixer(2, steps=2, candidates=5)
    method = Method(watched, retrieve=last)
    learner = TorchLearner(linear(), sgd(), method=method, normalize="none")
    scored = list(learner(mixer(buffer(batches))))
    assert [s.replayed for s in scored] == [0, *[4] * 7]
    assert [(n, k) for n, k, _ in asked] == [(3, 2)] * 2 + [(5, 2)] * 12
    counts = buffer.state_dict()["rows"]["beside"]["replayed"]
    chosen = np.bincount([t for *_, rows in asked for t in rows], minlength=24)
    assert counts[np.argsort(buffer.buffer.t)].tolist() == chosen.tolist()
    for y, (_, _, rows) in zip(labels[2:], asked, strict=True):
        # asking the learner has staged other rows meanwhile
        assert y == [0, 1, 2, *(t % 3 for t in rows)]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([0, 1, 2], r"must return int64\[<= 2\], got int64\[3\]"),
        ([0.5], r"must return int64\[<= 2\], got float64\[1\]"),
        ([[0], [1]], r"must return int64\[<= 2\], got int64\[2, 1\]"),
        ([True, False], r"must return int64\[<= 2\], got bool\[2\]"),
        ([0, 3], r"must name candidates from 0 to 2, got \[0, 3\]"),
        ([-1], r"must name candidates from 0 to 2, got \[-1\]"),
        (["a"], r"must return int64\[<= 2\], got str"),
    ],
)
def test_what_no_retrieval_may_say(chosen: Any, message: str) -> None:
    method = Method(retrieve=lambda *_: chosen)
    with pytest.raises(ConfigError, match=f"^learner.retrieval: {message}"):
        learn(TorchLearner(linear(), sgd(), method=method), CHOICES)


@pytest.mark.parametrize("nothing", [[], np.empty(0), np.empty(0, np.int64)])
def test_a_retrieval_may_choose_nothing(nothing: Any) -> None:
    learner = TorchLearner(linear(), sgd(), method=Method(retrieve=lambda *_: nothing))
    assert [s.replayed for s in learner(CHOICES)] == [0] * 8


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (lambda _: 1.0, "float"),
        (lambda _: None, "NoneType"),
        (lambda step: step.logits, r"float32\[4, 3\]"),
        (lambda step: step.logits.detach().sum(), r"float32\[\] that depends on nothing"),
    ],
)
def test_what_no_loss_may_be(loss: Callable[[Step], Any], got: str) -> None:
    want = f"^learner.loss: must return a tensor without dimensions .* step.logits, got {got}$"
    rows = [r for r in stream() if len(r.incoming) == 4]
    for method in (Method(loss), Method(reference=loss)):
        with pytest.raises(ConfigError, match=want.replace("4, 3", r"[47], 3")):
            learn(TorchLearner(nn.Linear(FEATURES, 3), sgd(), method=method), rows)


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (lambda _: None, "must return tensors by name, got NoneType"),
        (lambda step: step.logits, "must return tensors by name, got Tensor"),
        (lambda step: {"a": step.logits}, r"'a' must be a tensor of 4 rows, .* float32\[7, 3\]"),
        (lambda _: {"a": torch.ones(())}, r"'a' must be a tensor of 4 rows, .* got float32\[\]"),
        (lambda _: {"a": np.ones(4)}, "'a' must be a tensor of 4 rows, .* got ndarray"),
    ],
)
def test_what_no_note_may_be(notes: Callable[[Step], Any], message: str) -> None:
    rows = [r for r in stream()[1:] if len(r.incoming) == 4]
    with pytest.raises(ConfigError, match=f"^learner.notes: {message}$"):
        learn(TorchLearner(nn.Linear(FEATURES, 3), sgd(), method=Method(notes=notes)), rows)


def test_notes_of_any_kind_are_handed_on_as_float32() -> None:
    def notes(step: Step) -> dict[str, torch.Tensor]:
        return {"label": step.y[: step.n], "twice": step.logits[: step.n, None] * 2}

    first = stream()[0]
    memory = RecordingMemory(first.memory.stored)
    first = replace(first, memory=memory)
    learn(TorchLearner(linear(), sgd(), method=Method(notes=notes)), [first])
    (a, label), (b, twice) = memory.noted
    assert (a, label.dtype.name, label.tolist()) == ("label", "float32", [0, 1, 2])
    assert (b, twice.dtype.name, twice.shape) == ("twice", "float32", (3, 1, 3))


def test_candidates_and_those_who_choose_belong_together() -> None:
    with pytest.raises(ConfigError, match=r"mixer.candidates: .* draws none, of which"):
        learn(TorchLearner(linear(), sgd(), method="mir"), stream())
    with pytest.raises(ConfigError, match=r"mixer.candidates: .* draws some, and the method"):
        learn(TorchLearner(linear(), sgd()), CHOICES)


def test_a_reference_that_is_not_finite_spoils_no_weight() -> None:
    """A-GEM: the loss is the incoming rows', but the gradient is bent by those of memory."""
    record = stream()[-1]
    memory = replace(record.memory.stored, x=record.memory.stored.x.copy())
    memory.x[4] = np.nan
    rows = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    broken = replace(record, memory=FixedMemory(memory), rows=rows)
    learner = TorchLearner(mlp([4]), sgd(), method="a-gem", on_divergence="skip")
    learn(learner, stream())
    (scored,) = learner([broken])
    assert (scored.skipped, scored.replayed) == (1, 6)
    assert all(torch.isfinite(each).all() for each in weights(learner).values())
    strict = TorchLearner(mlp([4]), sgd(), method="a-gem")
    learn(strict, stream())
    with pytest.raises(DivergenceError, match="loss is nan at batch 12"):
        learn(strict, [replace(broken, rows=rows[1:2])])  # a second pass would tell anyway
    assert all(torch.isfinite(each).all() for each in weights(strict).values())


class Spoil(torch.autograd.Function):
    """Hands numbers on, and makes any gradient but 0 infinite."""

    @staticmethod
    def forward(_ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_ctx: Any, slope: torch.Tensor) -> torch.Tensor:
        return torch.where(slope == 0, 0.0, torch.inf)


class Kink(nn.Module):
    """Finite losses; the gradient at rows that begin with 7 is none."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(x)
        spoiled: torch.Tensor = Spoil.apply(logits)  # type: ignore[no-untyped-call]
        return torch.where(x[:, :1] == 7, spoiled, logits)


def test_a_reference_s_gradient_that_is_not_finite_spoils_no_weight() -> None:
    record = rehearsals([[0, 1, 2], [1, 0]], k=3)[1]
    memory = replace(record.memory.stored, x=record.memory.stored.x.copy())
    memory.x[0, 0] = 7
    learner = TorchLearner(Kink(), sgd(), method="a-gem", normalize="none", on_divergence="skip")
    broken = replace(record, memory=FixedMemory(memory), rows=np.array([[0, 1, 2]]))
    (scored,) = learner([broken])
    assert scored.skipped == 1
    assert all(torch.isfinite(each).all() for each in weights(learner).values())
