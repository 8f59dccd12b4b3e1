"""Hashes of rows that are the same in every run, on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / the golden ratio, odd


def hash_values(values: NDArray[np.int64], seed: int = 0) -> NDArray[np.uint64]:
    """Hash integers, int64[n], to uint64[n].

    The finaliser of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom
    number generators", 2014) on the value and the seed.

    Examples
    --------
    >>> hash_values(np.array([0, 1]))[0].item()
    16294208416658607535
    """
    start = np.uint64((seed + 1) * int(_GOLDEN) % 2**64)
    hashed = _mix(np.asarray(values).astype(np.uint64) * _GOLDEN + start)
    return hashed if not seed else _mix(hashed ^ start)  # else a seed would only shift the values


def hash_rows(id: NDArray[Any] | None, t: NDArray[np.int64], seed: int = 0) -> NDArray[np.uint64]:
    """Hash rows by their ids, int64[n] or str[n]; by their positions if they have none.

    An integer and its text are the same id: which of them a column has may depend on its other
    rows. -1 and "" stand for rows without an id.
    """
    if id is None:
        return hash_values(t, seed)
    names = id if id.dtype.kind == "U" else np.where(id == -1, "", id.astype(str))
    return np.where(names == "", hash_values(t, seed), _hash_strings(names, seed))


def _hash_strings(values: NDArray[np.str_], seed: int) -> NDArray[np.uint64]:
    """Hash strings independently of the width of their column: padding counts 0."""
    width = values.dtype.itemsize // 4
    codes = np.ascontiguousarray(values).view(np.uint32).reshape(len(values), width)
    factors = hash_values(np.arange(width), seed) | np.uint64(1)
    total: NDArray[np.uint64] = (_mix(codes.astype(np.uint64)) * factors).sum(1, dtype=np.uint64)
    lengths = np.count_nonzero(codes, axis=1).astype(np.uint64)
    return _mix(total + lengths * _GOLDEN)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
