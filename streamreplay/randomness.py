"""Random numbers that belong to one stage, saved and brought back exactly."""

from __future__ import annotations

import zlib
from typing import Any, TypeAlias

import numpy as np

from streamreplay.errors import CheckpointError

__all__ = ["Seed", "load_rng_state", "make_rng", "rng_state", "spawn_seed"]

Seed: TypeAlias = int | np.random.SeedSequence


def make_rng(seed: Seed) -> np.random.Generator:
    """Return a PCG64 generator of its own; no global generator is read or moved."""
    return np.random.Generator(np.random.PCG64(seed))


def spawn_seed(seed: Seed, name: str) -> np.random.SeedSequence:
    """Derive a part's seed from its owner's seed and its name.

    A part keeps its random numbers when other parts are added or removed.
    """
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.random.SeedSequence(
        root.entropy, spawn_key=(*root.spawn_key, zlib.crc32(name.encode()))
    )


def rng_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return a generator's state as plain integers and strings."""
    return dict(rng.bit_generator.state)


def load_rng_state(path: str, rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Set a generator's state; raises `CheckpointError` if it is of another kind."""
    try:
        rng.bit_generator.state = state
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not the state of a PCG64 generator ({error})") from None
