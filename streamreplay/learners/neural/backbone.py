"""`Backbone`: a frozen module before the buffer, for latent replay."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.learners.neural.global_state import OwnRandomness, Surroundings, is_plain
from streamreplay.learners.scaling import Scaler, stage
from streamreplay.randomness import Seed
from streamreplay.state import State, expect

BackboneFactory: TypeAlias = Callable[[tuple[int, ...]], nn.Module]
"""Given a row's feature shape, build a module float32[n, *feature] -> float32[n, ...]."""


@final
class Backbone:
    """Replace the features of each batch by the outputs of a frozen module.

    A stage `Batch` -> `Batch` between the source (or `Holdout`) and the buffer. Buffer and learner
    get only float32[n, d]. So the buffer stores features, which are usually smaller than the rows,
    and a rehearsed row needs no second pass through the backbone. Held-out batches are mapped like
    all others.

    The module runs in evaluation mode, so that batch norm uses the statistics it came with. It is
    never trained, because stored features would no longer match those of new rows. uint8 rows are
    divided by 255; float32 rows are not scaled. Features can differ in the last digit between cuts
    of a stream into batches.

    Parameters
    ----------
    module : torch.nn.Module or callable
        A module, which is frozen in place, or a function that is given the feature shape of the
        first row and makes one.
    chunk : int
        The largest number of rows that go through the module at once.
    device : str or torch.device
    threads : int, optional
        CPU threads for this stage's work; None takes torch's setting.
    seed : int or numpy.random.SeedSequence
        For the random numbers of the factory and the module. The state of torch's global generator
        is restored afterwards.

    Raises
    ------
    ValueError
        A parameter is out of range. Later: rows have another shape than the first ones.
    ConfigError
        Later: the factory does not make a module, or the module does not return a tensor with an
        entry for each row.

    References
    ----------
    L. Pellegrini, G. Graffieti, V. Lomonaco, D. Maltoni, "Latent Replay for Real-Time Continual
    Learning", IROS 2020; here with all layers below the replayed one at a learning rate of 0.

    Examples
    --------
    >>> stage = Backbone(nn.Sequential(nn.Flatten(), nn.Linear(784, 64)))
    >>> images = Batch.from_arrays(np.zeros((2, 28, 28), np.uint8), [0, 1])
    >>> [describe_array(batch.x) for batch in stage([images])]
    ['float32[2, 64]']
    """

    def __init__(
        self,
        module: nn.Module | BackboneFactory,
        *,
        chunk: int = 256,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        seed: Seed = 0,
    ) -> None:
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.chunk = chunk
        self.device = torch.device(device)
        self.threads = threads
        self._given = module
        self._scaler = Scaler("none")
        self._random = OwnRandomness(seed, self.device)
        self._surroundings = Surroundings(threads, self._random, lambda: not self._plain)
        self._module: nn.Module | None = None
        self._plain = False  # whether the module surely draws nothing
        self._checksum = ""  # of the weights, which never change
        self._shape: tuple[int, ...] = ()  # of a row
        self._width = 0  # d

    @property
    def module(self) -> nn.Module:
        """The module.

        Raises
        ------
        ValueError
            No row has arrived yet.
        """
        if self._module is None:
            raise ValueError("the backbone is built when the first row arrives: there was none yet")
        return self._module

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Yield each batch with the module's features in place of its own."""
        for batch in stream:
            tested = batch.held_out and self._module is not None
            with self._random.kept() if tested else nullcontext():  # held-out rows leave no trace
                features = self.features(batch.x)
            yield replace(batch, x=features, feature_names=None)

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the features of rows [n, *feature]: float32[n, d].

        Raises
        ------
        ValueError
            Rows have another shape than the first ones.
        """
        if self._module is None:
            self._build(x.shape[1:])
        if x.shape[1:] != self._shape:
            live = f"[n, {', '.join(map(str, self._shape))}]"
            raise ValueError(f"x: this backbone was given {live}, got {describe_array(x)}")
        out = np.empty((len(x), self._width), np.float32)
        with self._surroundings():
            for start in range(0, len(x), self.chunk):
                rows = slice(start, start + self.chunk)
                out[rows] = self._encode(stage(self._scaler, x[rows]))
        return out

    def state_dict(self) -> State:
        """Return a checksum of the weights, and the random state."""
        return {
            "feature_shape": None if self._module is None else list(self._shape),
            "weights": self._checksum,
            "random": self._random.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same weights.

        Raises
        ------
        CheckpointError
            The weights are not those that the stored features were made with.
        """
        shape = None if state["feature_shape"] is None else tuple(state["feature_shape"])
        if self._module is not None:
            expect("feature_shape", state["feature_shape"], list(self._shape))
        elif shape is not None:
            self._build(shape)
        if state["weights"] != self._checksum:
            raise CheckpointError(
                "weights: the stored features were made with other weights (sha256 "
                f"{state['weights'][:12]}) than this backbone's ({self._checksum[:12]})"
            )
        self._random.load_state_dict(state["random"])  # last: building draws from it

    def _build(self, shape: tuple[int, ...]) -> None:
        given = self._given
        with self._random():
            module = given if isinstance(given, nn.Module) else given(shape)
        if not isinstance(module, nn.Module):
            raise ConfigError(f"the backbone must be a torch.nn.Module, got {module!r}")
        module = module.to(self.device).requires_grad_(requires_grad=False).eval()
        self._plain, self._shape = is_plain(module), shape
        self._module = module
        try:
            with self._surroundings():
                self._width = self._encode(torch.zeros(1, *shape)).shape[1]
        except BaseException:
            self._module = None
            raise
        self._checksum = _checksum(module)

    def _encode(self, rows: torch.Tensor) -> NDArray[np.float32]:
        with torch.no_grad():
            found = self.module(rows.to(self.device))
        if not isinstance(found, torch.Tensor) or found.shape[:1] != rows.shape[:1]:
            got = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise ConfigError(
                f"the backbone must return a tensor [{len(rows)}, ...] for {len(rows)} rows, "
                f"got {got}"
            )
        return found.reshape(len(rows), -1).to("cpu", torch.float32).numpy()


def _checksum(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers: names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
