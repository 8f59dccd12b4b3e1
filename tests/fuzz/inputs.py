"""Draw the input of a number: a valid stream, or one with bytes changed."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import replace
from random import Random

import zstandard

from tests.fuzz.binary_inputs import arrow_input, idx_input, npz_input
from tests.fuzz.changes import changed
from tests.fuzz.folders import folder_input
from tests.fuzz.rows import Input
from tests.fuzz.text_inputs import csv_input, json_input

__all__ = ["damaged", "dice_of", "make_input", "packed"]

_MAKERS: tuple[tuple[Callable[[Random], Input], int], ...] = (
    (csv_input, 10),
    (json_input, 10),
    (arrow_input, 4),
    (npz_input, 2),
    (idx_input, 1),
)
_FOLDERS = 0.002  # of all inputs
PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}


def dice_of(seed: int, number: int) -> Random:
    """Return what an input of a run is drawn with."""
    return Random(f"{seed}:{number}")  # noqa: S311 - the same inputs each time


def make_input(dice: Random) -> Input:
    """Draw an input of any format, or now and then a run folder, which takes a second."""
    if dice.random() < _FOLDERS:
        return folder_input(dice)
    makers, weights = zip(*_MAKERS, strict=True)
    made: Input = dice.choices(makers, weights)[0](dice)
    return damaged(dice, made) if dice.random() < 0.35 else packed(dice, made)


def damaged(dice: Random, made: Input) -> Input:
    """Change bytes anywhere, before or after it is compressed.

    All that is known of it is that nothing may break.
    """
    if dice.random() < 0.2:
        return _changed(dice, packed(dice, made))
    return packed(dice, _changed(dice, made))


def packed(dice: Random, made: Input) -> Input:
    """Compress some of the inputs that may be."""
    streams = made.source in ("csv", "jsonl", "idx") or made.form == "arrow stream"
    if not streams or dice.random() > 0.25:
        return made
    kind = dice.choice(list(PACKS))
    files = {f"{name}.gz": PACKS[kind](data) for name, data in made.files.items()}
    return replace(made, form=f"{made.form}, {kind}", files=files)


def _changed(dice: Random, made: Input) -> Input:
    name = dice.choice(list(made.files))
    data = made.files[name]
    for _ in range(dice.randint(1, 4)):
        data = changed(dice, data)
    files = {**made.files, name: data}
    return replace(made, files=files, rows=None, bad=None, may_fail=True)
