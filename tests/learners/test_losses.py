"""Losses and their gradients against the papers' formulas, in float64."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.learners.methods import catalogue, losses
from streamreplay.learners.methods.step import Loss, Step
from streamreplay.learners.neural.descent import project
from tests.learners import formulas
from tests.learners.formulas import Case, Formula, mean_loss

PAIRS: dict[str, tuple[Loss, Formula]] = {
    "er": (losses.both, lambda c, z: mean_loss(c, z, range(len(c.y)), c.known)),
    "incoming": (losses.on_incoming, lambda c, z: mean_loss(c, z, c.incoming, c.known)),
    "memory": (losses.on_memory, lambda c, z: mean_loss(c, z, c.memory, c.known)),
    "er-ace": (losses.asymmetric, formulas.asymmetric),
    "der": (catalogue.der(0.7).loss, partial(formulas.dark, alpha=0.7, beta=0.0)),
    "der++": (catalogue.derpp(0.4, 1.5).loss, partial(formulas.dark, alpha=0.4, beta=1.5)),
    "dark er": (
        losses.dark(losses.both, 0.3),
        lambda c, z: mean_loss(c, z, range(len(c.y)), c.known)
        + 0.3 * formulas.dark_distance(c, z),
    ),
    "lwf": (
        catalogue.lwf(0.8, 2.0).loss,
        lambda c, z: mean_loss(c, z, range(len(c.y)), c.known)
        + 0.8 * formulas.distillation(c, z, 2.0),
    ),
    "mkd": (
        catalogue.mkd(1.7, 4.0).loss,
        lambda c, z: mean_loss(c, z, range(len(c.y)), c.known)
        + 1.7 * formulas.distillation(c, z, 4.0),
    ),
}  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any pass: rows without a label, classes nobody named, notes and teachers of other widths."""
    width = draw(st.integers(1, 5))
    n, k = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    known = sorted(draw(st.sets(st.integers(0, width - 1), min_size=1)))
    y = [draw(st.sampled_from(known))]
    y += [draw(st.sampled_from([-1, *known])) for _ in range(n - 1)]
    y += [draw(st.sampled_from(known)) for _ in range(k)]
    earlier = draw(st.sets(st.sampled_from(known)))
    recent = sorted(earlier | {label for label in y[:n] if label >= 0})
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stored = None
    if draw(st.booleans()):
        h = 3 * rng.standard_normal((k, draw(st.integers(1, 6))))
        h[rng.random(h.shape) < 0.3] = np.nan
        h[rng.random(k) < 0.3] = np.nan
        stored = h.tolist()
    return Case(
        torch.from_numpy(3 * rng.standard_normal((n + k, width))),
        y,
        n,
        known,
        recent,
        smoothing=draw(st.sampled_from([0.0, 0.1, 0.6])),
        weight=rng.choice([0.0, 0.5, 2.0], n + k).tolist() if draw(st.booleans()) else None,
        stored=stored,
        told=torch.from_numpy(3 * rng.standard_normal((n + k, width))),
        taught=sorted(draw(st.sets(st.sampled_from(known), min_size=1))),
    )


def check(name: str, case: Case) -> None:
    ours, theirs = PAIRS[name]
    a, b = (case.z.clone().requires_grad_() for _ in range(2))
    found, want = ours(case.step(a)), theirs(case, b)
    torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-9)
    found.backward()  # type: ignore[no-untyped-call]
    want.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_loss_and_gradient_are_the_formula_s(name: str) -> None:
    @settings(deadline=None, max_examples=60)
    @given(case=cases())
    def any_case(case: Case) -> None:
        check(name, case)

    any_case()


def test_cross_entropy_has_its_closed_gradient() -> None:
    """As the formulas' own gradients come from autograd too: p - [c = y], over the rows."""
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.standard_normal((3, 4))).requires_grad_()
    losses.both(Case(z, [2, 0, 3], 2, [0, 2, 3], []).step(z)).backward()  # type: ignore[no-untyped-call]
    numbers = z.detach().numpy()
    want = np.zeros((3, 4))
    for row, label in enumerate([2, 0, 3]):
        e = np.exp(numbers[row]) * [1, 0, 1, 1]
        want[row] = (e / e.sum() - (np.arange(4) == label)) / 3
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), want, atol=1e-12)


def test_a_batch_of_one_new_class_teaches_er_ace_nothing_of_its_own() -> None:
    """It competes with nobody: no old class is pushed away."""
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 4))).requires_grad_()
    losses.asymmetric(Case(z, [3, 3, 1], 2, [0, 1, 3], [3]).step(z)).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert not z.grad[:2].any()
    assert z.grad[2].abs().min() == 0 < z.grad[2].abs().max()


def test_a_teacher_that_agrees_pulls_nowhere_and_one_without_classes_is_no_teacher() -> None:
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3))).requires_grad_()
    case = Case(z, [0, 1, 2, 0], 2, [0, 1, 2], [], told=z.detach(), taught=[0, 1])
    loss = losses.distilled(losses.both, 5.0, 2.0)
    plain = losses.both(case.step(z))
    torch.testing.assert_close(loss(case.step(z)), plain)
    case.taught, case.told = [], z.detach() + 9
    torch.testing.assert_close(loss(case.step(z)), plain)
    case.told = None
    torch.testing.assert_close(loss(case.step(z)), plain)


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_infinite_however_sure_the_module_is(name: str) -> None:
    """With classes masked out, smoothing must not reach them; weights of 0 must not divide."""
    z = torch.tensor([[900.0, -900.0, 0.0], [-900.0, 900.0, 3.0]], dtype=torch.float64)
    for smoothing in (0.0, 0.2):
        case = Case(z, [1, 1], 1, [0, 1], [1], smoothing, weight=[0.0, 0.0])
        case.stored, case.told, case.taught = [[math.nan] * 3], z, [0, 1]
        live = z.clone().requires_grad_()
        value = PAIRS[name][0](case.step(live))
        value.backward()  # type: ignore[no-untyped-call]
        assert live.grad is not None
        assert torch.isfinite(value)
        assert torch.isfinite(live.grad).all()


def vectors(size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(-1e3, 1e3).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=size,
                    max_size=size)  # fmt: skip


def _cut(values: list[float]) -> list[torch.Tensor]:
    whole = torch.tensor(values, dtype=torch.float64)
    return [whole[:2].reshape(1, 2), whole[2:]]


@settings(deadline=None, max_examples=200)
@given(g=vectors(6), r=vectors(6))
def test_a_projected_gradient_never_points_against_the_reference(
    g: list[float], r: list[float]
) -> None:
    """It is taken over all parameters as one vector, and left alone where there is no conflict."""
    parts = project(_cut(g), _cut(r))
    found = torch.cat([part.flatten() for part in parts]).tolist()
    along = math.fsum(a * b for a, b in zip(found, r, strict=True))
    # what rounding leaves: far below the lengths that it is made of
    assert along >= -1e-12 * math.hypot(*g) * math.hypot(*r)
    np.testing.assert_allclose(found, formulas.projected(g, r), rtol=1e-6, atol=1e-9)
    if math.fsum(a * b for a, b in zip(g, r, strict=True)) >= 0:
        assert found == g
    assert [part.shape for part in parts] == [(1, 2), (4,)]


def test_a_note_has_no_number_where_no_class_or_no_number_is() -> None:
    z = torch.tensor([[1.0, 2.0, torch.inf], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    case = Case(z, [0, 2, 0], 2, [0, 2], [])
    ((name, values),) = catalogue.logits(case.step(z)).items()
    assert name == "logits"
    np.testing.assert_array_equal(values, [[1, np.nan, np.nan], [4, np.nan, 6]])


@pytest.mark.parametrize(
    "loss", [losses.on_memory, losses.asymmetric, losses.dark(losses.on_incoming, 0.5, 1.0)]
)
def test_memory_without_a_label_says_nothing(loss: Loss) -> None:
    """Our buffers keep labelled rows; a rehearsal made by hand need not."""
    known = torch.ones(3, dtype=torch.bool)
    logits = torch.randn(4, 3, requires_grad=True)
    recent = torch.tensor([True, True, False])
    step = Step(logits, torch.tensor([0, 1, -1, -1]), 2, None, known, lambda: recent)
    alone = Step(logits[:2], torch.tensor([0, 1]), 2, None, known, lambda: recent)
    torch.testing.assert_close(loss(step), loss(alone))
