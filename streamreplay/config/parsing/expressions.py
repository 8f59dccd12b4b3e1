"""Read text in Python's syntax into a tree, without ever evaluating it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streamreplay.errors import ConfigError

_MOST = 10_000  # characters


@dataclass(frozen=True)
class Expression:
    """The text of a job's key, and the errors about its parts.

    Attributes
    ----------
    key : str
        The job's key, for messages.
    text : str
    allowed : str
        A description of the allowed texts, for messages.
    """

    key: str
    text: str
    allowed: str

    def parse(self) -> ast.expr:
        """Return the text's syntax tree.

        Raises
        ------
        ConfigError
            The text is no expression in Python's syntax, or too long.
        """
        if len(self.text) > _MOST:
            raise ConfigError(
                f"{self.key}: must have at most {_MOST:,} characters, got {len(self.text):,}"
            )
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise ConfigError(
                f"{self.key}, character {error.offset or 1}: {error.msg}; {self.allowed}"
            ) from None
        except (ValueError, MemoryError, RecursionError) as error:  # null bytes, many parentheses
            raise ConfigError(f"{self.key}: cannot be read: {error}") from None

    def shown(self, node: ast.AST) -> str:
        """Return a part of the text in quotes, cut to 60 characters."""
        source = ast.get_source_segment(self.text, node) or type(node).__name__
        return repr(source if len(source) <= 60 else f"{source[:57]}...")

    def fault(self, node: ast.expr, what: str) -> ConfigError:
        """Return an error about a part; the message names its first character's position."""
        lines = self.text.splitlines(keepends=True)
        line = lines[node.lineno - 1].encode()[: node.col_offset].decode(errors="replace")
        place = sum(map(len, lines[: node.lineno - 1])) + len(line) + 1
        return ConfigError(f"{self.key}, character {place}: {what}")


def construct(key: str, text: str, makers: Mapping[str, Callable[..., Any]]) -> Any:
    """Call what a text like ``crop(2, edge=True)`` names.

    Parameters
    ----------
    key : str
        The job's key, for messages.
    text : str
        A name of ``makers`` with numbers, strings, True, False or None as arguments in
        parentheses, which may be left out if there are none.
    makers : mapping of str to callable

    Raises
    ------
    ConfigError
        The text is not such a call, or the callable refuses the arguments.

    Examples
    --------
    >>> construct("key", "complex(1, imag=-2)", {"complex": complex})
    (1-2j)
    >>> construct("learner.augment", "crop(2); flip()", {"crop": complex})
    Traceback (most recent call last):
    streamreplay.errors.ConfigError: learner.augment, character 8: invalid syntax; allowed is crop
    """
    allowed = f"allowed is {', '.join(makers)}"
    written = Expression(key, text.strip(), allowed)
    node = written.parse()
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not (isinstance(call.func, ast.Name) and call.func.id in makers):
        raise written.fault(node, f"{written.shown(call.func)} cannot be used; {allowed}")
    args = [_argument(written, arg) for arg in call.args]
    kwargs: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise written.fault(keyword.value, "** cannot be used")
        kwargs[keyword.arg] = _argument(written, keyword.value)
    try:
        return makers[call.func.id](*args, **kwargs)
    except (TypeError, ValueError, OverflowError) as error:
        raise written.fault(node, f"{written.shown(node)} cannot be made: {error}") from None


def is_literal(node: ast.expr) -> bool:
    """Return whether a part is a number, a string, True, False or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant) and type(node.operand.value) in (int, float)
    return isinstance(node, ast.Constant) and isinstance(
        node.value, bool | int | float | str | None
    )


def _argument(written: Expression, node: ast.expr) -> Any:
    if not is_literal(node):
        what = "is no number, string, True, False or None"
        raise written.fault(node, f"{written.shown(node)} {what}")
    value = ast.literal_eval(node)
    if isinstance(value, float) and not math.isfinite(value):
        raise written.fault(node, f"{written.shown(node)} is not finite")
    return value
