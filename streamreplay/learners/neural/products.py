"""The matrix products of a linear layer, computed by the faster of torch's libraries.

torch multiplies float32 matrices on the CPU with MKL. On AMD processors MKL uses half of their
vector width; oneDNN, which torch includes as well, uses all of it, and is about twice as fast from
a million multiplications on (`benchmarks/steps.py`). The choice depends on the machine and on the
sizes of the matrices, never on a clock, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import torch

_MANY = 1 << 20
"""Multiplications from which on a call to oneDNN is worth its overhead."""

_Linear: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return the outputs of a linear layer: ``x @ weight.T + bias``, float32[n, out].

    Parameters
    ----------
    x : float32[n, in]
    weight : float32[out, in]
    bias : float32[out] or None
    """
    linear = _linear_for(len(x) * weight.numel())
    if linear is not None:
        return linear(x, weight, bias)
    return x.mm(weight.t()) if bias is None else torch.addmm(bias, x, weight.t())


def through(d: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the gradient at a layer's inputs: ``d @ weight``, float32[n, in].

    Parameters
    ----------
    d : float32[n, out]
        The gradient at its outputs.
    weight : float32[out, in]
    """
    linear = _linear_for(len(d) * weight.numel())
    return d.mm(weight) if linear is None else linear(d, weight.t(), None)


def outer(d: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the gradient at a layer's weights: ``d.T @ x``, float32[out, in].

    Parameters
    ----------
    d : float32[n, out]
        The gradient at its outputs.
    x : float32[n, in]
        Its inputs.
    """
    linear = _linear_for(d.shape[1] * x.numel())
    return d.t().mm(x) if linear is None else linear(d.t(), x.t(), None)


def add_outer(
    target: torch.Tensor, d: torch.Tensor, x: torch.Tensor, *, keep: float, factor: float
) -> None:
    """Make a layer's weights ``keep * target + factor * d.T @ x``, in place.

    Parameters
    ----------
    target : float32[out, in]
    d : float32[n, out]
    x : float32[n, in]
    keep, factor : float
    """
    linear = _linear_for(d.shape[1] * x.numel())
    if linear is None:
        target.addmm_(d.t(), x, beta=keep, alpha=factor)
        return
    if keep != 1:
        target.mul_(keep)
    target.add_(linear(d.t(), x.t(), None), alpha=factor)


def _linear_for(multiplications: int) -> _Linear | None:
    """Return oneDNN's linear layer if it pays off for so many, None to use torch's."""
    return onednn() if multiplications >= _MANY else None


@cache
def onednn() -> _Linear | None:
    """Return oneDNN's linear layer if it is available, pays off, and computes the right result.

    The operator is torch's own, made for compiled modules, and not part of torch's public
    interface. So it is tried once; if it does not work as expected, all products use `torch.mm`.
    """
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    if not (wide and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return None

    def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        made: torch.Tensor = operator(x, weight, bias, "none", [], "")
        return made

    x = torch.arange(6.0).reshape(2, 3)
    weight = torch.arange(12.0).reshape(3, 4).t()
    bias = torch.arange(4.0)
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default  # noqa: SLF001 - the only way to it
        right = torch.equal(linear(x, weight, bias), torch.addmm(bias, x, weight.t()))
        right &= torch.equal(linear(x, weight, None), x.mm(weight.t()))
    except (AttributeError, RuntimeError, TypeError):
        return None
    return linear if right else None
