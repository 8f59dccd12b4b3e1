"""Call what may be a user's own, a method's functions or a module, and check what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MethodType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.step import AskableLearner, Loss, NoteMaker, Retrieval, Step
from streamreplay.learners.neural.augment import Augmentation


def loss_of(step: Step, loss: Loss) -> torch.Tensor:
    """Return the loss of a step.

    Raises
    ------
    ConfigError
        It is no tensor without dimensions that can be differentiated.
    """
    value: Any = loss(step)
    if isinstance(value, torch.Tensor) and not value.ndim and value.requires_grad:
        return value
    constant = isinstance(value, torch.Tensor) and not value.requires_grad
    raise ConfigError(
        "learner.loss: must return a tensor without dimensions that depends on step.logits, "
        f"got {_describe(value)}{' that depends on nothing' if constant else ''}"
    )


def retrieved(
    retrieve: Retrieval, learner: AskableLearner, incoming: Batch, candidates: Batch, k: int
) -> NDArray[np.int64]:
    """Return which candidates are to be rehearsed: int64[<= k].

    Raises
    ------
    ConfigError
        The function returns something else.
    """
    rows = np.asarray(retrieve(learner, incoming, candidates, k))
    if not rows.size:
        return np.empty(0, np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) > k:
        raise ConfigError(
            f"learner.retrieval: must return int64[<= {k}], got {describe_array(rows)}"
        )
    if rows.min() < 0 or rows.max() >= len(candidates):
        raise ConfigError(
            f"learner.retrieval: must name candidates from 0 to {len(candidates) - 1}, "
            f"got {rows.tolist()}"
        )
    return rows.astype(np.int64, copy=False)


def notes_of(step: Step, make: NoteMaker) -> Mapping[str, torch.Tensor]:
    """Return what is to be stored with the incoming rows of a step, by name.

    Raises
    ------
    ConfigError
        The function returns something else than tensors with an entry for each incoming row.
    """
    notes: Any = make(step)
    if not isinstance(notes, Mapping):
        raise ConfigError(f"learner.notes: must return tensors by name, got {type(notes).__name__}")
    for name, values in notes.items():
        if not isinstance(values, torch.Tensor) or values.shape[:1] != (step.n,):
            raise ConfigError(
                f"learner.notes: {name!r} must be a tensor of {step.n} rows, as the incoming "
                f"ones are, got {_describe(values)}"
            )
    return notes


def augmented(augment: Augmentation, x: torch.Tensor, first: int, y: torch.Tensor) -> torch.Tensor:
    """Return rows, of which those from ``first`` on are augmented.

    Raises
    ------
    ConfigError
        The function returns something else than a tensor of rows of the same shape.
    """
    if first == len(x):
        return x
    rows = x[first:]
    changed: Any = augment(rows, y[first:].to(x.device))  # a user's function may return anything
    if not isinstance(changed, torch.Tensor):
        raise ConfigError(f"learner.augment: must return a tensor, got {type(changed).__name__}")
    if changed.shape != rows.shape:
        raise ConfigError(
            f"learner.augment: must return rows {list(rows.shape)}, got {list(changed.shape)}"
        )
    return changed if not first else torch.cat([x[:first], changed])


def _describe(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return describe_tensor(value)


_REPLACED = "_streamreplay_forward"  # where a forward pass that the user set on the object waits


def run_forward_inside(module: nn.Module, context: AbstractContextManager[None]) -> None:
    """Make every forward pass of a module run inside a context, which may replace its errors.

    The module keeps its class, its hooks and the names in its state. A copy of the module runs
    inside the same context.
    """
    attributes = vars(module)
    if has_forward_of_its_own(module) and _REPLACED not in attributes:
        attributes[_REPLACED] = attributes["forward"]
    attributes["forward"] = MethodType(_Forward(context), module)  # which a deep copy binds again


def has_forward_of_its_own(module: nn.Module) -> bool:
    """Return whether somebody replaced the forward pass of one object; a context does not count."""
    found = vars(module).get("forward")
    if found is None:
        return False
    inside = isinstance(found, MethodType) and isinstance(found.__func__, _Forward)
    return _REPLACED in vars(module) if inside else True


class _Forward:
    def __init__(self, context: AbstractContextManager[None]) -> None:
        self._context = context

    def __call__(self, module: nn.Module, *args: Any, **options: Any) -> Any:
        replaced = vars(module).get(_REPLACED)
        with self._context:
            if replaced is not None:
                return replaced(*args, **options)
            return type(module).forward(module, *args, **options)


def describe_tensor(tensor: torch.Tensor) -> str:
    """Write a tensor's type and shape as ``float32[500, 20]``."""
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind}[{', '.join(map(str, tensor.shape))}]"
