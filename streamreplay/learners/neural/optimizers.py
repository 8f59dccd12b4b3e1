"""torch's optimizers, without the compiler that they load."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer

OptimizerT = TypeVar("OptimizerT", bound=Optimizer)


def uncompiled(kind: type[OptimizerT]) -> type[OptimizerT]:
    """Return an optimizer that computes the same, and does not load ``torch._dynamo``.

    torch wraps some methods of its optimizers so that `torch.compile` leaves them out. The wrappers
    import the compiler, and sympy with it, at their first call, which takes as long as importing
    torch. Here these methods are called directly: the optimizer cannot be in a compiled function.

    Parameters
    ----------
    kind : type of torch.optim.Optimizer
        One of torch's optimizers.

    Examples
    --------
    >>> optimizer = uncompiled(torch.optim.SGD)([torch.ones(2, requires_grad=True)], lr=0.1)
    >>> type(optimizer).__name__, isinstance(optimizer, torch.optim.SGD)
    ('SGD', True)
    """
    made: type[OptimizerT] = _subclass(kind)  # type: ignore[arg-type]  # a type is hashable
    return made


@cache
def _subclass(kind: Any) -> Any:
    names = ("add_param_group", "state_dict", "load_state_dict")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)
