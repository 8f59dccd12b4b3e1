"""Set torch's global state, random numbers and threads, for a stage's work, and restore it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import nn

from streamreplay.learners.models.layers import ChannelsFirst, CosineLinear, WeightNormLinear
from streamreplay.learners.models.networks import ResidualBlock
from streamreplay.randomness import Seed
from streamreplay.state import State

_PLAIN = frozenset(
    {
        ChannelsFirst, CosineLinear, ResidualBlock, WeightNormLinear,
        nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Conv1d, nn.Conv2d, nn.ELU, nn.Flatten, nn.GELU,
        nn.GroupNorm, nn.Identity, nn.LayerNorm, nn.LeakyReLU, nn.Linear, nn.MaxPool2d, nn.ReLU,
        nn.ReLU6, nn.Sequential, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Tanh, nn.Unflatten,
    }
)  # fmt: skip


def is_plain(module: nn.Module) -> bool:
    """Return whether a module surely does the same in training and evaluation, and draws nothing.

    Only well-known layers count: there is no way to find out what an unknown ``forward`` does.
    """
    return all(type(m) in _PLAIN for m in module.modules())


@final
class OwnRandomness:
    """A state of torch's global generators that belongs to one stage.

    Parameters
    ----------
    seed : int or numpy.random.SeedSequence
    device : torch.device
        If it has a generator of its own, that one is included.
    """

    def __init__(self, seed: Seed, device: torch.device) -> None:
        root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        number = int(root.generate_state(1)[0])
        self._device = device
        self._active = False
        self._cpu = torch.Generator().manual_seed(number).get_state()  # uint8[5056]
        self._cuda: torch.Tensor | None = None
        if device.type == "cuda":
            self._cuda = torch.Generator(device).manual_seed(number).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Make torch draw from this state inside the block; nested blocks continue its draws."""
        if self._active:
            yield
            return
        outer = self._swap(self.state_dict())
        self._active = True
        try:
            yield
        finally:
            self._active = False
            self.load_state_dict(self._swap(outer))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Restore this state after the block to what it was before."""
        before = self.state_dict()
        try:
            yield
        finally:
            self.load_state_dict(before)

    def state_dict(self) -> State:
        """Return the states: cpu uint8[n], cuda uint8[n] or None."""
        return {"cpu": self._cpu, "cuda": self._cuda}

    def load_state_dict(self, state: State) -> None:
        """Load states; one of another kind of device is dropped."""
        self._cpu = state["cpu"]
        if self._device.type == "cuda" and state["cuda"] is not None:
            self._cuda = state["cuda"]

    def _swap(self, state: State) -> State:
        """Set torch's global states, and return what they were."""
        was: State = {"cpu": torch.get_rng_state(), "cuda": None}
        torch.set_rng_state(state["cpu"])
        if self._device.type == "cuda":
            was["cuda"] = torch.cuda.get_rng_state(self._device)
            torch.cuda.set_rng_state(state["cuda"], self._device)
        return was


@final
@dataclass(frozen=True, eq=False)
class Surroundings:
    """The threads and random numbers of torch that a stage works with.

    Parameters
    ----------
    threads : int or None
        CPU threads; None takes torch's setting.
    random : OwnRandomness
    draws : callable
        Returns whether the stage's work may draw random numbers.
    """

    threads: int | None
    random: OwnRandomness
    draws: Callable[[], bool]

    @property
    def needed(self) -> bool:
        """Whether the work needs them: whether it may draw, or torch has another setting."""
        if self.threads is not None and self.threads != torch.get_num_threads():
            return True
        return self.draws()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Set threads and random state inside the block."""
        with own_threads(self.threads), self.random() if self.draws() else nullcontext():
            yield

    @contextmanager
    def without_trace(self) -> Iterator[None]:
        """Set threads and random state inside the block, and restore the stage's own afterwards."""
        with self.random.kept(), self():
            yield


@contextmanager
def own_threads(threads: int | None) -> Iterator[None]:
    """Set the number of torch's threads inside the block; None changes nothing."""
    outer = torch.get_num_threads()
    if threads is None or threads == outer:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(outer)
