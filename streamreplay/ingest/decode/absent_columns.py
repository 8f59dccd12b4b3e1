"""What to say of a column that a job names and a stream does not have."""

from __future__ import annotations

from collections.abc import Sequence

from streamreplay.ingest.decode.cells import is_number
from streamreplay.plain_text import listed, nearest_hint

_FLAGS = {
    "label": "--label",
    "feature": "--features",
    "kept": "--keep",
    "exclude": "--exclude",
    "target": "--set source.target=NAME, or source.multilabel",
}


def set_with(what: str) -> str:
    """Return the option that names a column.

    Examples
    --------
    >>> set_with("label"), set_with("id")
    ('set it with --label', 'set it with --set source.id=NAME')
    """
    return f"set it with {_FLAGS.get(what, f'--set source.{what}=NAME')}"


def not_a_column(what: str, name: str, columns: Sequence[str], *, is_csv: bool = False) -> str:
    """Return the message that a column is not there, with what helps.

    Parameters
    ----------
    what : str
        What the column is for: ``label``, ``feature``, ``id``, ...
    name : str
        Of the column.
    columns : sequence of str
        Those that are there.
    is_csv : bool
        Whether they come from the first line of a CSV, which may be read in a wrong way.

    Examples
    --------
    >>> not_a_column("label", "sise", ["size", "y"])
    "label 'sise' is not a column (nearest: 'size'); the columns are size, y; set it with --label"
    >>> not_a_column("label", "y", ["size;y"], is_csv=True).rpartition("; ")[2]
    'is source.delimiter right?'
    >>> not_a_column("label", "y", ["1", "a"], is_csv=True).rpartition("; ")[2]
    'is source.header right?'
    """
    have = f"the columns are {listed(columns)}" if len(columns) != 1 else f"there is {columns[0]!r}"
    parts = [f"{what} {name!r} is not a column{nearest_hint(name, columns)}", have, set_with(what)]
    if is_csv and len(columns) == 1:
        parts.append("is source.delimiter right?")
    elif is_csv and any(map(is_number, columns)):
        parts.append("is source.header right?")
    return "; ".join(parts)
