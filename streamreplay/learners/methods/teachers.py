"""Copies of a module that lag behind it: its moving average, and a snapshot at a boundary."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from streamreplay.errors import ConfigError
from streamreplay.state import State, expect


class Copied:
    """A copy of a module that keeps its own weights and grows with the module."""

    def __init__(self) -> None:
        self.module: nn.Module | None = None
        """The copy, in evaluation mode; None before there is one."""

    def copy_from(self, live: nn.Module) -> None:
        """Copy a module with its present weights.

        Raises
        ------
        ConfigError
            The module cannot be copied.
        """
        try:
            self.module = copy.deepcopy(live).requires_grad_(requires_grad=False).eval()
        except Exception as error:
            raise ConfigError(
                f"learner.module: {type(live).__name__} cannot be copied, which averages and "
                f"teachers need: {error}"
            ) from error

    def drop(self) -> None:
        """Drop the copy, because another module takes the place of the one that was copied."""
        self.module = None

    def grow_along(self, live: nn.Module) -> None:
        """Copy the new outputs of a module that has grown since."""
        mine = self.module
        if mine is None:
            return
        old = mine.state_dict()
        if all(old[name].shape == new.shape for name, new in live.state_dict().items()):
            return
        self.copy_from(live)
        grown = {} if self.module is None else self.module.state_dict()
        for name, tensor in grown.items():
            tensor[tuple(slice(0, size) for size in old[name].shape)] = old[name]

    def weights(self) -> State | None:
        """Return the copy's weights, None before there is one."""
        return None if self.module is None else dict(self.module.state_dict())

    def load_weights(self, saved: State | None, live: nn.Module | None) -> None:
        """Copy the live module, and load saved weights into the copy.

        Raises
        ------
        CheckpointError
            The weights do not fit the module.
        """
        self.module = None
        if saved is None or live is None:
            return
        self.copy_from(live)
        mine: nn.Module = self.module  # type: ignore[assignment]  # just made
        shapes = {name: list(tensor.shape) for name, tensor in mine.state_dict().items()}
        expect("weights", {name: list(tensor.shape) for name, tensor in saved.items()}, shapes)
        mine.load_state_dict(saved)


class Average(Copied):
    """The exponential moving average of a module's weights.

    Parameters
    ----------
    decay : float
        In [0, 1): the share of the average that stays at each step. It starts lower, at
        (1 + t) / (10 + t) for step t, because an average of few steps would stay close to the first
        weights.

    References
    ----------
    B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema must be in [0, 1), got {decay}")
        super().__init__()
        self.decay = decay
        self.steps = 0

    def drop(self) -> None:
        """Drop the average, and count steps from 0."""
        super().drop()
        self.steps = 0

    def update(self, live: nn.Module) -> None:
        """Move the average towards the weights of a module after a step."""
        if self.module is None:
            self.copy_from(live)
            return
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(self.module.parameters()), list(live.parameters()), 1 - decay)
            for mine, theirs in zip(self.module.buffers(), live.buffers(), strict=True):
                mine.copy_(theirs)

    def state_dict(self) -> State:
        """Return the weights and the number of steps in their average."""
        return {"decay": self.decay, "steps": self.steps, "weights": self.weights()}

    def load_state_dict(self, state: State, live: nn.Module | None) -> None:
        """Load a state of the same decay."""
        expect("decay", state["decay"], self.decay)
        self.steps = int(state["steps"])
        self.load_weights(state["weights"], live)


class Snapshot(Copied):
    """A module as it was when the last experience ended."""

    def __init__(self) -> None:
        super().__init__()
        self.experience: int | None = None
        """The experience of the latest batch."""
        self.known = np.empty(0, np.bool_)
        """bool[width at that time], the classes that a label had named."""

    def note_experience(self, experience: int, live: nn.Module, known: np.ndarray) -> None:
        """Take a snapshot if a batch belongs to another experience than the batch before."""
        if self.experience is not None and experience != self.experience:
            self.copy_from(live)
            self.known = known.copy()
        self.experience = experience

    def state_dict(self) -> State:
        """Return the weights, the experience of the latest batch, and the classes known."""
        return {"weights": self.weights(), "experience": self.experience, "known": self.known}

    def load_state_dict(self, state: State, live: nn.Module | None) -> None:
        """Load a state."""
        self.experience, self.known = state["experience"], state["known"].copy()
        self.load_weights(state["weights"], live)
