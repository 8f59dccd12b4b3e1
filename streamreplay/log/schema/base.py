"""The base of all lines of the logs, and the types of their fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


def _unit(unit: str, **rule: Any) -> Any:
    return Field(json_schema_extra={"unit": unit}, **rule)


_MOST = 2**53  # up to it the numbers of JSON are exact
Rows: TypeAlias = Annotated[int, _unit("rows", ge=0, le=_MOST)]
Id: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Bytes: TypeAlias = Annotated[int, _unit("bytes", ge=0, le=_MOST)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Signed: TypeAlias = Annotated[float, Field(ge=-1, le=1)]
Nats: TypeAlias = Annotated[float, _unit("nats", ge=0)]
Seconds: TypeAlias = Annotated[float, _unit("s", ge=0)]
Milliseconds: TypeAlias = Annotated[float, _unit("ms", ge=0)]
Name: TypeAlias = str | int
"""The name that the stream gives to a class or a row."""


def absent() -> Any:
    """Mark a field that may be absent; if it is present, it has its type."""
    return Field(default=None)


class LogLine(BaseModel):
    """A JSON object with exactly these fields."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Record(LogLine):
    """A line of metrics.jsonl."""

    learner: str = absent()
    """Name of the learner; absent where the job has one [learner]."""
    kind: str
    v: Literal[1]
    """Version of the log's format: 1."""
    position: Rows
    """Rows of the stream so far, with and without a label."""
