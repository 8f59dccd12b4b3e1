"""Avalanche's names in one place, and its torchvision beside a torch without CUDA."""

from __future__ import annotations

import importlib.metadata
import sys
import types
import warnings
from typing import Any

import torch

if torch.version.cuda is None:
    # The usual torchvision is built for the CUDA torch; beside another one these two modules raise
    # at import, and nothing here uses what they register.
    for _name in ("_meta_registrations", "_autograd_registrations"):
        sys.modules.setdefault(f"torchvision.{_name}", types.ModuleType(_name))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.scenarios.online import split_online_stream
    from avalanche.benchmarks.utils.classification_dataset import (
        _make_taskaware_tensor_classification_dataset,
    )
    from avalanche.models import SimpleMLP
    from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
    from avalanche.training.storage_policy import (
        ClassBalancedBuffer,
        ParametricBuffer,
        ReservoirSamplingBuffer,
    )
    from avalanche.training.supervised import Naive

# Each call of update() warns that the name is deprecated; printing that is not what is measured.
warnings.showwarning = lambda *_args, **_options: None

__all__ = [
    "ClassBalancedBuffer",
    "EvaluationPlugin",
    "Naive",
    "ParametricBuffer",
    "ReplayPlugin",
    "ReservoirSamplingBuffer",
    "SimpleMLP",
    "benchmark_from_datasets",
    "dataset",
    "held_datasets",
    "split_online_stream",
    "versions",
]


def dataset(x: Any, y: Any) -> Any:
    """Return rows as Avalanche's dataset over tensors of their own memory."""
    return _make_taskaware_tensor_classification_dataset(torch.from_numpy(x), torch.from_numpy(y))


def held_datasets(buffer: Any) -> int:
    """Count the datasets that one of Avalanche's buffers keeps alive."""
    return len(buffer.buffer._flat_data._datasets)  # noqa: SLF001 - there is no other way to tell


def versions(*packages: str) -> str:
    """Write down what was compared with."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
