"""Training steps of a multi-layer perceptron, written out without autograd.

The matrix products of a layer are computed by the faster of torch's libraries. torch multiplies
float32 matrices on the CPU with MKL. On AMD processors MKL uses half of their vector width; oneDNN,
which torch includes as well, uses all of it, and is about twice as fast from a million
multiplications on (`benchmarks/steps.py`). The choice depends on the machine and on the sizes of
the matrices, never on a clock, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, final

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from torch.optim import SGD, Optimizer
from torch.optim import optimizer as torch_optimizer

from streamreplay.learners.neural.optimizers import uncompiled
from streamreplay.learners.neural.user_functions import has_forward_of_its_own

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


@final
class FastPath:
    """Forward and backward passes of a plain multi-layer perceptron, without autograd.

    It is for modules as `streamreplay.learners.mlp` and `linear` make them: linear layers with ReLU
    in between. Any loss of the logits can be used: autograd computes its gradient at the logits.
    From there on the backward pass is written out. Plain SGD adds each gradient to the weights as
    soon as it is computed, so that gradients are never stored; other optimizers find them in
    ``.grad``.

    The weights equal those that autograd and the optimizer would give, except for the last digits.
    The same calls give the same bits in every process.

    Parameters
    ----------
    module : torch.nn.Module
    optimizer : torch.optim.Optimizer
        The optimizer of the module's parameters.

    Examples
    --------
    >>> module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> fast = FastPath(module, SGD(module.parameters(), lr=0.1))
    >>> x, y = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    >>> fast.ready(x)
    True
    >>> logits = fast.forward(x)
    >>> torch.nn.functional.cross_entropy(logits, y).backward()
    >>> fast.step(logits)
    """

    def __init__(self, module: nn.Module, optimizer: Optimizer) -> None:
        self._layers = find_layers(module) or []
        self._modules = list(module.modules())
        self._flattens = any(type(each) is nn.Flatten for each in self._modules)
        self._parameters = list(module.parameters())
        self._optimizer = optimizer
        self._inputs: list[torch.Tensor] = []  # of each layer, float32[n, in]
        self._logits: torch.Tensor | None = None

    def ready(self, x: torch.Tensor) -> bool:
        """Return whether rows can be learned from this way: no hooks, no frozen parameters.

        Parameters
        ----------
        x : float32[n, *feature]
        """
        return (
            bool(self._layers)
            and (x.ndim == 2 or (self._flattens and x.ndim > 2))
            and _is_plain_input(x)
            and not torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]  # noqa: SLF001 - there is no public way
            and not any(map(_is_watched, self._modules))
            and all(map(_is_plain, self._parameters))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits that a loss can be computed from, as a leaf: float32[n, width].

        Parameters
        ----------
        x : float32[n, *feature]
            It must not be changed before the step.
        """
        with torch.no_grad():
            self._inputs, self._logits = self._run(x)
        return self._logits.requires_grad_()

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, float32[n, width], without becoming the latest forward pass.

        Parameters
        ----------
        x : float32[n, *feature]
        """
        with torch.no_grad():
            return self._run(x)[1]

    def owns(self, logits: torch.Tensor) -> bool:
        """Return whether these are the logits of the latest forward pass."""
        return logits is self._logits

    def gradients(self, d: torch.Tensor) -> list[torch.Tensor]:
        """Return the gradient at each parameter, in the order of ``module.parameters()``.

        Parameters
        ----------
        d : float32[n, width]
            The gradient at the logits of the latest forward pass.
        """
        found: list[torch.Tensor] = []
        with torch.no_grad():
            for number in reversed(range(len(self._layers))):
                layer, x = self._layers[number], self._inputs[number]
                bias: torch.Tensor | None = layer.bias
                found = ([outer(d, x)] if bias is None else [outer(d, x), d.sum(0)]) + found
                if number:
                    d = _before_relu(through(d, layer.weight), x)
        return found

    def backward(self, logits: torch.Tensor) -> None:
        """Continue a backward pass from the logits on: add to each ``.grad``.

        Parameters
        ----------
        logits : float32[n, width]
            Those of the latest forward pass; nothing happens if no loss depends on them.
        """
        if logits.grad is None:
            return
        found = self.gradients(logits.grad)
        for parameter, gradient in zip(self._parameters, found, strict=True):
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def step(self, logits: torch.Tensor) -> None:
        """Finish the backward pass and take the optimizer's step.

        Parameters
        ----------
        logits : float32[n, width]
            As for `backward`. Gradients that are already in ``.grad`` count as well.
        """
        group = self._plain_descent()
        if group is None or logits.grad is None:
            self.backward(logits)
            self._optimizer.step()
            return
        d, lr, decay = logits.grad, float(group["lr"]), group["weight_decay"]
        with torch.no_grad():
            for number in reversed(range(len(self._layers))):
                layer, x = self._layers[number], self._inputs[number]
                before = through(d, layer.weight) if number else None
                _descend(layer, d, x, lr, decay)
                if before is not None:
                    d = _before_relu(before, x)

    def _run(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return each layer's inputs, and the logits."""
        inputs = [x.flatten(1)]
        for layer in self._layers[:-1]:
            inputs.append(affine(inputs[-1], layer.weight, layer.bias).relu_())
        head = self._layers[-1]
        return inputs, affine(inputs[-1], head.weight, head.bias)

    def _plain_descent(self) -> dict[str, Any] | None:
        """Return the optimizer's settings if it only adds gradients, and has no hooks."""
        optimizer = self._optimizer
        if type(optimizer) not in (SGD, uncompiled(SGD)) or len(optimizer.param_groups) != 1:
            return None
        group = optimizer.param_groups[0]
        plain = (
            not (group["momentum"] or group["maximize"] or group["differentiable"])
            and not _has_hooks(optimizer)
            and all(parameter.grad is None for parameter in self._parameters)
            and set(map(id, group["params"])) == set(map(id, self._parameters))
        )
        return group if plain else None


def find_layers(module: nn.Module) -> list[nn.Linear] | None:
    """Return the linear layers of a plain multi-layer perceptron, None for other modules.

    Plain is a `torch.nn.Linear`, or a `torch.nn.Sequential` of ``[Flatten,] Linear, ReLU, ...,
    Linear``. Subclasses do not count, because they can do anything.

    >>> find_layers(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    [Linear(in_features=4, out_features=2, bias=True)]
    >>> find_layers(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)))
    """
    layers = _alternate_layers(_steps_of(module))
    if layers is None:
        return None
    named = [pair for layer in layers for pair in layer.named_parameters()]
    held = [id(parameter) for name, parameter in named if name in ("weight", "bias")]
    # a shared parameter has two gradients; the gradient of an additional one is not written out
    return layers if held == list(map(id, module.parameters())) else None


def _steps_of(module: nn.Module) -> list[nn.Module]:
    """Return the layers that a module runs, without a flatten in front; none if that is unknown."""
    if type(module) is nn.Linear:
        return [module]
    steps = list(module) if type(module) is nn.Sequential else []
    if steps and type(steps[0]) is nn.Flatten and (steps[0].start_dim, steps[0].end_dim) == (1, -1):
        return steps[1:]
    return steps


def _alternate_layers(steps: list[nn.Module]) -> list[nn.Linear] | None:
    """Return the linear layers of steps that are linear and ReLU by turns, None for others."""
    layers = [each for each in steps[::2] if type(each) is nn.Linear]
    between = [each for each in steps[1::2] if type(each) is nn.ReLU]
    alternate = len(layers) == len(between) + 1 and len(layers) + len(between) == len(steps)
    return layers if alternate else None


def _descend(layer: nn.Linear, d: torch.Tensor, x: torch.Tensor, lr: float, decay: float) -> None:
    """Add the gradients of a layer to its parameters, ``(1 - lr decay) w - lr g``."""
    keep = 1.0 - lr * decay
    add_outer(layer.weight, d, x, keep=keep, factor=-lr)
    bias: torch.Tensor | None = layer.bias
    if bias is not None:
        if keep != 1:
            bias.mul_(keep)
        bias.add_(d.sum(0), alpha=-lr)


def _before_relu(d: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return the gradient at the inputs of a ReLU, given its outputs, as autograd does."""
    found: torch.Tensor = torch.ops.aten.threshold_backward.default(d, after, 0)
    return found


def _is_watched(module: nn.Module) -> bool:
    """Return whether a module's forward or backward pass has hooks, or was replaced.

    Old-style weight norm and pruning are such hooks.
    """
    return bool(
        module._forward_hooks  # noqa: SLF001 - there is no public way to ask
        or module._forward_pre_hooks  # noqa: SLF001
        or module._backward_hooks  # noqa: SLF001
        or module._backward_pre_hooks  # noqa: SLF001
        or module._compiled_call_impl is not None  # noqa: SLF001
        or ("forward" in module.__dict__ and has_forward_of_its_own(module))
    )


def _is_plain_input(x: torch.Tensor) -> bool:
    return x.dtype == torch.float32 and x.is_cpu and not torch.is_autocast_enabled("cpu")


def _has_hooks(optimizer: Optimizer) -> bool:
    """Return whether anything runs before or after an optimizer's step."""
    return bool(
        "step" in vars(optimizer)  # a scheduler's wrapper
        or optimizer._optimizer_step_pre_hooks  # noqa: SLF001 - there is no public way
        or optimizer._optimizer_step_post_hooks  # noqa: SLF001
        or torch_optimizer._global_optimizer_pre_hooks  # noqa: SLF001
        or torch_optimizer._global_optimizer_post_hooks  # noqa: SLF001
    )


def _is_plain(parameter: torch.Tensor) -> bool:
    return (
        type(parameter) is nn.Parameter
        and parameter.requires_grad
        and parameter.dtype == torch.float32
        and parameter.is_cpu
        and not parameter._backward_hooks  # noqa: SLF001 - there is no public way to ask
        and not parameter._post_accumulate_grad_hooks  # noqa: SLF001
    )
