"""Avalanche, where it can be imported, and inputs in its own types."""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

__all__ = ["experience", "load", "tensors"]


def load(module: str) -> Any:
    """Import one of Avalanche's modules, or skip the test and say why."""
    if torch.version.cuda is None:
        # The usual torchvision is built for the CUDA torch; beside another one these two modules
        # raise, and nothing here uses what they register.
        for name in ("_meta_registrations", "_autograd_registrations"):
            sys.modules.setdefault(f"torchvision.{name}", types.ModuleType(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != "avalanche":
                raise
    return pytest.skip(
        "Avalanche is not installed here: make test-avalanche", allow_module_level=True
    )


def tensors(x: torch.Tensor, y: torch.Tensor, **options: Any) -> Any:
    """Return Avalanche's dataset over two tensors; with task label 0 unless told otherwise."""
    kinds = load("avalanche.benchmarks.utils.classification_dataset")
    return kinds._make_taskaware_tensor_classification_dataset(x, y, **options)


def experience(dataset: Any, **attributes: Any) -> Any:
    """Return the little of a strategy that a storage policy looks at."""
    return SimpleNamespace(experience=SimpleNamespace(dataset=dataset, **attributes))
