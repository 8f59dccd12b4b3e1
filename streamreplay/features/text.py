"""Hash the words and character n-grams of texts to vectors of a fixed width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["hash_texts"]

_LONGEST = 2_000  # bytes of a text that are read
_GRAM = 3  # bytes of a character n-gram
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, as in Fibonacci hashing
_POWERS = np.cumprod(np.full(_LONGEST + 1, 0x100000001B3, np.uint64))  # FNV's prime


def hash_texts(texts: Sequence[str | None], width: int) -> NDArray[np.int8]:
    """Count the words and the character trigrams of texts in hashed places.

    Each word and each trigram adds 1 or -1, by another bit of its hash, to one of the places, so
    that collisions cancel out on average (K. Weinberger et al., "Feature hashing for large scale
    multitask learning", 2009). Upper and lower case are one.

    Parameters
    ----------
    texts : sequence of str or None
        None and texts without a letter or digit give zeros. Only the first 2,000 bytes are read.
    width : int
        The number of places.

    Returns
    -------
    int8[n, width]
        Counts, cut to -127 and 127.

    Examples
    --------
    >>> one, two, none = hash_texts(["Red wine", "red  WINE.", None], 64)
    >>> (one == two).all(), np.abs(one).sum() > 0, none.any()
    (np.True_, np.True_, np.False_)
    """
    found = np.zeros((len(texts), width), np.int8)
    data = [b" " + _plain(text) + b" " if text else b"" for text in texts]
    lengths = np.fromiter(map(len, data), np.int64, len(data))
    flat = np.frombuffer(b"".join(data), np.uint8)
    if not flat.size:
        return found
    row = np.repeat(np.arange(len(data)), lengths)
    hashes, rows = zip(_words(flat, row), _grams(flat, row), strict=True)
    hashed, owner = np.concatenate(hashes) * _MULTIPLIER, np.concatenate(rows)
    place = owner * width + ((hashed >> np.uint64(32)) % np.uint64(width)).astype(np.int64)
    sign = np.where(hashed >> np.uint64(63), 1.0, -1.0)
    counts = np.bincount(place, sign, len(texts) * width).reshape(len(texts), width)
    np.clip(counts, -127, 127, out=counts)
    return counts.astype(np.int8)


def _plain(text: str) -> bytes:
    """Return the words of a text in lower case, separated by single spaces."""
    letters = (c if c.isalnum() else " " for c in text[:_LONGEST].lower())
    return " ".join("".join(letters).split()).encode()[: _LONGEST - 2]


def _words(
    flat: NDArray[np.uint8], row: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a hash for each word, and the text it is in."""
    space = flat == ord(" ")
    starts = np.flatnonzero(space[:-1] & ~space[1:]) + 1
    if not len(starts):
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    word = np.cumsum(np.bincount(starts, minlength=len(flat))) - 1  # of each byte
    inside = ~space
    place = np.arange(len(flat)) - starts[np.maximum(word, 0)]
    terms = np.where(inside, (flat + np.uint64(1)) * _POWERS[np.clip(place, 0, _LONGEST)], 0)
    return np.add.reduceat(terms, starts), row[starts]


def _grams(
    flat: NDArray[np.uint8], row: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a hash for each three bytes of a text, with the spaces around its words."""
    n = len(flat) - _GRAM + 1
    if n <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    parts = [flat[i : n + i].astype(np.uint64) << np.uint64(8 * i) for i in range(_GRAM)]
    hashed = (parts[0] | parts[1] | parts[2]) + np.uint64(1 << 24)
    kept = row[:n] == row[_GRAM - 1 :]
    return hashed[kept], row[:n][kept]
