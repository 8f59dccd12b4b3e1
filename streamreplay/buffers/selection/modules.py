"""A torch module run for its features, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def run_module(module: nn.Module, layer_name: str | None, x: NDArray[Any]) -> torch.Tensor:
    """Return what a module, or one of its layers, makes of rows: [n, ...], on its device.

    Parameters
    ----------
    module : torch.nn.Module
    layer_name : str or None
        The submodule to listen to; None for the module itself.
    x : float32[n, *feature] or uint8[n, *feature]
        uint8 is divided by 255.

    Raises
    ------
    ValueError
        The layer did not run.
    TypeError
        What came out is not a tensor.

    Examples
    --------
    >>> run_module(nn.Sequential(nn.Flatten(), nn.ReLU()), "0", np.array([[[-1]]], np.float32))
    tensor([[-1.]])
    """
    device = _device(module)
    inputs = _stage(x).to(device)
    heard: list[Any] = []
    layers = dict(module.named_modules(remove_duplicate=False))
    layer = module if layer_name is None else layers[layer_name]
    with _evaluating(module), _fixed_randomness(device), torch.no_grad():
        hook = layer.register_forward_hook(lambda _layer, _inputs, output: heard.append(output))
        try:
            module(inputs)
        finally:
            hook.remove()
    if not heard:
        raise ValueError(f"layer_name {layer_name!r} did not run when the model was called")
    if not isinstance(heard[-1], torch.Tensor):
        name = "the model" if layer_name is None else f"layer {layer_name!r}"
        raise TypeError(f"{name} must give a tensor, got {type(heard[-1]).__name__}")
    return heard[-1]


def _stage(x: NDArray[Any]) -> torch.Tensor:
    """Copy rows into memory of torch's: aligned alike in every process, and the module's to write.

    Sums can differ in the last digit where memory is aligned differently.
    """
    staged = torch.empty(x.shape, dtype=torch.float32)
    if x.dtype == np.uint8:
        np.multiply(x, np.float32(1 / 255), out=staged.numpy())
    else:
        staged.numpy()[...] = x
    return staged


def _device(module: nn.Module) -> torch.device:
    for tensor in chain(module.parameters(), module.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put every submodule into evaluation mode, and afterwards back into its own.

    The flags are set one by one: ``train()`` would give all submodules the mode of the outermost,
    and unfreeze those that were frozen.
    """
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _fixed_randomness(device: torch.device) -> Iterator[None]:
    """Make a module that draws in evaluation mode draw the same each time, and change no state.

    The global generators must be neither read nor moved: what is kept would depend on the process.
    """
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(0)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        yield
