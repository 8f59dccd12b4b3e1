"""Completion in the shell: what may be typed next.

What is slow to load is imported when a shell asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import typer

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def complete_format(incomplete: str) -> list[str]:
    """Return the formats of files that begin with a text."""
    return _values("source.format", incomplete)


def complete_emit(incomplete: str) -> list[str]:
    """Return what may go to standard output, of what begins with a text."""
    return _values("run.emit", incomplete)


def complete_setting(incomplete: str) -> list[str]:
    """Return keys ``section.key=``, and for one key each of its values.

    Examples
    --------
    >>> complete_setting("buffer.max_b")
    ['buffer.max_bytes=100000000']
    >>> complete_setting("buffer.groupby=c")
    ['buffer.groupby=class']
    >>> complete_setting("features.kin"), complete_setting("features.kinds.age=n")
    (['features.kinds.'], ['features.kinds.age=number'])
    """
    key, equals, value = incomplete.partition("=")
    if equals:
        return _with_values(key, value)
    found = [name for name in _fields() if name.startswith(key)]
    if len(found) == 1 or key in found:
        name = key if key in found else found[0]
        return _with_values(name, "") or [_open(name)]
    return [_open(name) for name in found]


def _with_values(key: str, incomplete: str) -> list[str]:
    """Return a key with each of its values that begin with a text."""
    return [f"{key}={each}" for each in _values(key, incomplete)]


def _open(key: str) -> str:
    """Return a key as far as it is known: names of columns or labels follow some."""
    return f"{key}." if _is_table(_fields()[key].annotation) else f"{key}="


def _is_table(annotation: Any) -> bool:
    return any(get_origin(each) is dict for each in (annotation, *get_args(annotation)))


def complete_value(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return values of the key before ``=``, which bash takes for a word of its own.

    For files, for which a shell has its own completion, there are none.
    """
    words, settings = ctx.params.get("inputs") or [], ctx.params.get("settings") or []
    if words and words[-1] == "=" and settings:
        return _values(settings[-1], incomplete)
    return []


def _values(key: str, incomplete: str) -> list[str]:
    fields = _fields()
    field, table = fields.get(key), fields.get(key.rpartition(".")[0])
    found: list[str] = []
    if field is not None:
        found = [] if _is_table(field.annotation) else _values_of(field)
    elif table is not None and _is_table(table.annotation):
        found = _literals(get_args(table.annotation))
    return [each for each in found if each.startswith(incomplete)]


def _fields() -> dict[str, FieldInfo]:
    from streamreplay.config.parsing.load import known_fields  # noqa: PLC0415 - slow

    # an entry of an array is named by its place
    names = {"drift": "drift.0"}
    return {
        ".".join([names.get(section, section), *([key] if key else [])]): field
        for name, field in known_fields()
        for section, _, key in [name.partition(".")]
    }


def _values_of(field: FieldInfo) -> list[str]:
    """Return the values that a key may have, or else its default or an example."""
    from streamreplay.config.choices import Choices, Suggested  # noqa: PLC0415 - slow

    for each in field.metadata:
        if isinstance(each, Choices):
            return each.names()
        if isinstance(each, Suggested):
            return [*each.names]
    kinds = [field.annotation, *get_args(field.annotation)]
    found = _literals(kinds) or (["true", "false"] if bool in kinds else [])
    value = next(iter(field.examples or []), field.default)
    return found if found or value in ("", []) else [_text(value)]


def _literals(kinds: Iterable[Any]) -> list[str]:
    return [str(name) for each in kinds if get_origin(each) is Literal for name in get_args(each)]


def _text(value: Any) -> str:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return ",".join(map(str, value)) if is_list else str(value)
