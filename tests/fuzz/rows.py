"""Random tables and records, which the inputs of every format are written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

__all__ = ["Input", "Table", "make_table", "pick_text"]

WORDS = (
    "pump",
    "north wing",
    "été",
    "a,b",
    "x;y",
    "p|q",
    'said "no"',
    "tab\there",
    "日本",
    "y",
    "id",
)
NAMES = ("size", "colour", "when", "note", "Größe", "a b", "x1", "mean temp", "z", "0b")
LABELS = ("cat", "dog", "no way", 1, 2, -7)
KINDS = ("number", "whole", "category", "text", "date", "boolean", "mixed", "empty")


@dataclass
class Input:
    """What a source is to read, and what must come of it.

    Attributes
    ----------
    form : str
        The format, as the figures of a run call it.
    source : str
        What reads it: csv, jsonl, arrow, npz, idx, or folder for a run folder.
    files : dict of str to bytes
        The first is read; others lie next to it.
    options : dict
        Of the source.
    rows : list of (str, label), or None
        The id and the label of each good record, in order; None if that is not known.
    bad : int or None
        How many records must be put aside; None if that is not known.
    changed : int
        How many records besides were changed: each may be a row, be put aside, or be blank.
    may_fail : bool
        It may also be refused as a whole.
    infer_rows : int
        Rows of a table that show what its columns are.
    """

    form: str
    source: str
    files: dict[str, bytes]
    options: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[str, Any]] | None = None
    bad: int | None = None
    changed: int = 0
    may_fail: bool = False
    infer_rows: int = 1000


@dataclass
class Table:
    """Columns by name, and records with an id, a label ``y`` and values, None where missing."""

    kinds: dict[str, str]
    records: list[dict[str, Any]]

    @property
    def names(self) -> list[str]:
        return ["id", *self.kinds, "y"]

    @property
    def expected(self) -> list[tuple[str, Any]]:
        return [(record["id"], record["y"]) for record in self.records]


def make_table(dice: Random, *, most: int = 30) -> Table:
    """Draw a table of up to ``most`` rows, whose first column has a value in the first row."""
    names = dice.sample(NAMES, dice.randint(1, 5))
    kinds = {name: dice.choice(KINDS) for name in names}
    kinds[names[0]] = dice.choice(("number", "category"))
    gaps = dice.choice((0.0, 0.0, 0.2, 0.6))
    records = []
    for i in range(dice.randint(1, dice.choice((3, most)))):
        record: dict[str, Any] = {"id": f"r{i}"}
        for name, kind in kinds.items():
            keep = dice.random() >= gaps or (i == 0 and name == names[0])
            record[name] = pick_value(dice, kind, i) if keep else None
        record["y"] = dice.choice(LABELS) if dice.random() < 0.9 else None
        records.append(record)
    return Table(kinds, records)


def pick_value(dice: Random, kind: str, row: int) -> Any:
    if kind == "mixed":
        kind = "number" if row < 5 else dice.choice(("number", "category", "date"))
    if kind == "text":
        return pick_text(dice)
    if kind == "date":
        return f"2024-03-{1 + row % 28:02}T{dice.randrange(24):02}:30:00"
    choices: dict[str, tuple[Any, ...]] = {
        "number": (round(dice.gauss(0, 10), 3), 0.5, 1e300, -1e-9, 3.0e38),
        "whole": (dice.randrange(100), 1_714_564_800 + row, 2**62, -3),
        "category": ("red", "blue", "light grey", "y"),
        "boolean": (True, False),
    }
    return dice.choice(choices.get(kind, (None,)))


def pick_text(dice: Random) -> str:
    """Draw a text that begins with a letter and may hold whatever else ends a cell."""
    return " ".join(["it", *dice.choices(WORDS, k=dice.randrange(6))])
