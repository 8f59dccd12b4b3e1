"""What a sink is, and a record as the scalars that sinks take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeAlias

Outcome: TypeAlias = Literal["finished", "stopped", "failed"]
"""How a run has come to its end."""

Warn: TypeAlias = Callable[[str], None]
"""Tells the user something, without stopping anything."""

# what places a record; reasons, which are sentences and make no names
_NO_SCALARS = ("v", "position", "experience", "after_experience", "put_aside_by_reason")


class Sink(Protocol):
    """Takes the records of metrics.jsonl, as named there."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Take a record."""

    def close(self, outcome: Outcome) -> None:
        """Take no more."""


def scalars(record: Mapping[str, Any], escape: Callable[[str], str] = str) -> dict[str, float]:
    """Return the numbers of a record by a name made of its kind and their path.

    A drift is one number, under the name of its monitor and its level; a change of a column is the
    count of such changes.

    Parameters
    ----------
    record : mapping
    escape : callable, optional
        Makes each part of a name one that can be used.

    Examples
    --------
    >>> scalars({"kind": "prequential", "v": 1, "position": 9, "by_class": {"cat": {"rows": 4}}})
    {'prequential/by_class/cat/rows': 4.0}
    """
    kind = str(record["kind"])
    if kind == "drift":
        value = record["value"]
        name = "/".join(map(escape, (kind, str(record["name"]), str(record["level"]))))
        return {name: 1.0 if value is None else float(value)}
    if kind == "column":
        return {"/".join(map(escape, (kind, str(record["change"])))): float(record["count"])}
    return {
        "/".join(map(escape, (kind, *path))): value
        for path, value in _numbers(record)
        if path[0] not in _NO_SCALARS
    }


def _numbers(tree: Mapping[Any, Any], path: tuple[str, ...] = ()) -> Iterator[Any]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, (*path, str(key)))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, str(key)), float(value)
