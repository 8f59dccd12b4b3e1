"""Calls as text: what is understood, and that nothing else is."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamreplay.config.parsing.expressions import construct
from streamreplay.errors import ConfigError


def remember(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def crop(padding: int, *, edge: bool = False) -> tuple[int, bool]:
    if padding < 1:
        raise ValueError(f"padding must be at least 1, got {padding}")
    return padding, edge


MAKERS: dict[str, Callable[..., Any]] = {"remember": remember, "crop": crop}


@pytest.mark.parametrize(
    ("text", "args", "kwargs"),
    [
        ("remember", (), {}),
        (" remember( )\n", (), {}),
        ("remember(1, -2.5, 'a', True, None)", (1, -2.5, "a", True, None), {}),
        ("remember(1e3, p=0.5, name='é')", (1000.0,), {"p": 0.5, "name": "é"}),
    ],
)
def test_what_is_understood(text: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert construct("key", text, MAKERS) == (args, kwargs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key, character 1: invalid syntax; allowed is remember, crop"),
        ("flip()", "key, character 1: 'flip' cannot be used; allowed is remember, crop"),
        (
            "crop(0)",
            "key, character 1: 'crop(0)' cannot be made: padding must be at least 1, got 0",
        ),
        ("crop(2, edg=True)", "unexpected keyword argument 'edg'"),
        ("crop('a')", "'crop('a')' cannot be made"),
        ("crop(crop(1))", "character 6: 'crop(1)' is no number, string, True, False or None"),
        ("crop(padding=[1])", "character 14: '[1]' is no number"),
        ("crop(**{'padding': 1})", "character 8: ** cannot be used"),
        ("crop(*[1])", "character 6: '*[1]' is no number"),
        ("crop(-1e999)", "character 6: '-1e999' is not finite"),
        ("crop(1).real", "'crop(1).real' cannot be used"),
        ("crop(1)(2)", "'crop(1)' cannot be used"),
        ("crop(1) + crop(2)", "'crop(1) + crop(2)' cannot be used"),
        ("remember.__globals__", "cannot be used"),
        ("crop(1); crop(2)", "character 8: invalid syntax"),
        ("(" * 300 + ")" * 300, "key"),
        ("crop(1)\0", "key"),
        ("crop(" + "1," * 5001 + ")", "must have at most 10,000 characters, got 10,008"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        construct("key", text, MAKERS)
    message = message.replace("'crop('a')'", "\"crop('a')\"")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.one_of(st.text(max_size=40), st.sampled_from(dir(builtins)).map("{}()".format)))
@example("__import__('os').system('true')")
@example("crop.__class__()")
@example("[crop for crop in ()]")
def test_no_text_does_anything_but_call_what_is_allowed(text: str) -> None:
    calls = []

    def only() -> None:
        calls.append(1)

    try:
        construct("key", text, {"only": only})
    except ConfigError:
        assert not calls
    else:
        assert text.strip().replace(" ", "").partition("(")[0] == "only"
