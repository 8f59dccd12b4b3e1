"""Keys whose values are names from a table of the package, which is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

from streamreplay.plain_text import alternatives


class Choices:
    """Restrict a key, ``Annotated[str, Choices(...)]``, to the names in a table.

    Reading a job file without the key then imports none of the parts that the table names.

    Parameters
    ----------
    names : callable
        Returns the names.
    describe : callable
        Returns what the key means.
    """

    def __init__(self, names: Callable[[], list[str]], describe: Callable[[], str]) -> None:
        self._names = names
        self.describe = describe

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "description": self.describe(), "enum": self._names()}

    def names(self) -> list[str]:
        """Return the names."""
        return self._names()

    def _check(self, name: object) -> object:
        names = self._names()
        if name not in names:
            expected = alternatives(map(repr, names))
            raise PydanticKnownError("literal_error", {"expected": expected})
        return name


@dataclass(frozen=True)
class Suggested:
    """The names that a key may have, ``Annotated[str, Suggested(...)]``, next to those of users."""

    names: tuple[str, ...]


def describe_key(field: FieldInfo) -> str:
    """Return what a key of a job file means."""
    listed = [each.describe() for each in field.metadata if isinstance(each, Choices)]
    return listed[0] if listed else field.description or ""


def _buffer_names() -> list[str]:
    from streamreplay.buffers import BUFFER_KINDS  # noqa: PLC0415 - slow

    return [*BUFFER_KINDS, "none"]


def _describe_buffers() -> str:
    """Return each kind of buffer with the first line of its class's docstring."""
    from streamreplay.buffers import BUFFER_KINDS  # noqa: PLC0415 - slow

    first = {kind: (made.__doc__ or "").partition("\n")[0] for kind, made in BUFFER_KINDS.items()}
    texts = [f"{kind}: {line[:1].lower()}{line[1:].rstrip('.')}" for kind, line in first.items()]
    return "; ".join([*texts, "none: no replay."])


def _format_names() -> list[str]:
    from streamreplay.ingest import FORMATS  # noqa: PLC0415 - slow

    return ["auto", *FORMATS]


def _describe_formats() -> str:
    return (
        f"{alternatives(_format_names())}; auto decides by the content, and where that may be "
        "several things by the file's name. .gz, .zst, .bz2 and .xz are decompressed."
    )


BUFFERS = Choices(_buffer_names, _describe_buffers)
"""The kinds of buffers, and none."""

FILE_FORMATS = Choices(_format_names, _describe_formats)
"""The formats of files, and auto."""

MODULES = Suggested(("linear", "mlp", "cnn", "slim_resnet18"))
"""The modules that have a name."""

METHODS = Suggested(
    (
        *("auto", "er", "er-ace", "der", "der++", "a-gem", "mir", "lwf", "mkd", "ncm", "er-slda"),
        *("gdumb", "gss"),
    )
)
"""The replay methods that have a name."""

SELECTIONS = Suggested(("random", "herding", "closest_to_center", "loss_aware", "gss_greedy"))
"""The selection strategies that have a name."""
