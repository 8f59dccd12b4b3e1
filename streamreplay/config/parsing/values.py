"""The text of a setting as a value: in TOML, or as people type it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "\"'"


def parse_value(text: str) -> Any:
    """Return a value in TOML; text that is none is a string.

    Examples
    --------
    >>> parse_value("3"), parse_value("mlp"), parse_value("[1, 2]")
    (3, 'mlp', [1, 2])
    """
    value, _ = _parse(text)
    return value


def parse_setting(text: str, annotation: Any, *, is_path: bool = False) -> Any:
    """Return the value of a key of a job.

    Parameters
    ----------
    text : str
        TOML, or where the key takes a list also its items with commas between them: ``a,b``.
    annotation : type
        Of the key.
    is_path : bool
        Whether the text may be the name of a file, in which a comma is a comma.

    Examples
    --------
    >>> parse_setting("64,64", list[int]), parse_setting("64", list[int])
    ([64, 64], [64])
    >>> parse_setting("crop(2, 1),flip()", list[str]), parse_setting("1,b", str | list[str | int])
    (['crop(2, 1)', 'flip()'], [1, 'b'])
    >>> parse_setting('"a,b"', str | list[str]), parse_setting("a,b", str)
    ('a,b', 'a,b')
    """
    value, is_toml = _parse(text)
    choices = [*_choices(annotation)]
    lists = [each for each in choices if get_origin(each) is list]
    if not lists or isinstance(value, list) or is_path:
        return value
    if len(choices) > len(lists) and (is_toml or "," not in text):
        return value
    parts = [text] if is_toml else split_items(text)
    return _items(parts, get_args(lists[0])[0])


def split_items(text: str) -> list[str]:
    """Return the items between commas; commas in brackets and quotes separate nothing.

    Examples
    --------
    >>> split_items("crop(2, 1), flip(),"), split_items("'a,b',c")
    (['crop(2, 1)', 'flip()'], ["'a,b'", 'c'])
    """
    items, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter == "," and depth == 0:
            items.append("")
            continue
        else:
            depth += (letter in _OPENING) - (letter in _CLOSING)
        items[-1] += letter
    return [item.strip() for item in items if item.strip()]


def _parse(text: str) -> tuple[Any, bool]:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text, False
    return (parsed["value"], True) if list(parsed) == ["value"] else (text, False)


def _items(parts: list[str], annotation: Any) -> list[Any]:
    """Return the values of a list's items, each of a type."""
    text_alone = {*_choices(annotation)} == {str}
    return [_item(part, text_alone=text_alone) for part in parts]


def _item(text: str, *, text_alone: bool) -> Any:
    value = parse_value(text)
    return text if text_alone and not isinstance(value, str) else value


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the types that a key may have, but for None."""
    if get_origin(annotation) is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif get_args(annotation) and get_origin(annotation) is not list:
        for each in get_args(annotation):
            yield from _choices(each)
    elif annotation is not type(None):
        yield annotation
