"""Report the errors of a user's module: its forward pass runs inside a context."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import MethodType
from typing import Any

from torch import nn

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
