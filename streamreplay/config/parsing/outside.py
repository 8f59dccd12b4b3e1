"""What a job does outside of its run folder: code that it imports, places that it writes to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from streamreplay.config.dotted_keys import flatten
from streamreplay.config.job import Job, Outside
from streamreplay.config.parsing.values import parse_value, split_items

_INDEX = re.compile(r"\[\d+\]")


def imports_of(job: Job) -> list[str]:
    """Return the code that a job imports, by key.

    Examples
    --------
    >>> imports_of(Job.model_validate({"learner": {"loss": "mine:focal"}}))
    ["learner.loss imports 'mine:focal'"]
    """
    return [each for each in reaches_out(job) if " imports " in each.partition("'")[0]]


def reaches_out(job: Job, overrides: Sequence[str] = ()) -> list[str]:
    """Return which code a job imports, and where it writes or sends things, by key.

    Parameters
    ----------
    job : Job
    overrides : sequence of str
        Settings of the command line, ``section.key=value``; what they name is left out.

    Examples
    --------
    >>> job = Job.model_validate({"learner": {"loss": "mine:focal"}, "run": {"mlflow": "http://a"}})
    >>> reaches_out(job)
    ["learner.loss imports 'mine:focal'", "run.mlflow sends to 'http://a'"]
    >>> reaches_out(job, ["learner.loss=mine:focal", "run.mlflow=http://a"])
    []
    """
    given = {text for each in overrides for text in _given(each.partition("=")[2])}
    return [
        f"{key} {verb} {text!r}"
        for key, value in flatten(job.model_dump(mode="json")).items()
        for verb in marked_keys().get(_INDEX.sub("", key), ())
        for text in _texts(value)
        if (verb != "imports" or _is_import(key, text)) and given.isdisjoint(_known_as(text))
    ]


@cache
def marked_keys() -> dict[str, tuple[str, ...]]:
    """Return what the values of keys may do, by key: those that `job` marks.

    Examples
    --------
    >>> marked_keys()["backbone.module"], marked_keys()["run.mlflow"]
    (('imports',), ('sends to',))
    """
    found: dict[str, tuple[str, ...]] = {}
    for key, verb in _marked(Job, ""):
        found[key] = (*found.get(key, ()), verb) if verb not in found.get(key, ()) else found[key]
    return found


def _marked(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        for each in (*field.metadata, *_parts(field.annotation)):
            if isinstance(each, Outside):
                yield f"{prefix}{name}", each.verb
            elif isinstance(each, type) and issubclass(each, BaseModel):
                yield from _marked(each, f"{prefix}{name}.")


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the types and the marks in an annotation, itself included."""
    yield annotation
    for each in get_args(annotation):
        yield from _parts(each)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, which may be a list or a section."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _given(text: str) -> Iterator[str]:
    """Yield the texts that the value of a setting may stand for, which may be a list ``a,b``."""
    yield from _texts(parse_value(text))
    yield from split_items(text)


def _is_import(key: str, text: str) -> bool:
    # a constructor of River's may have a dict, with its colon
    return ":" in text and not (key.endswith(".river") and "(" in text)


def _known_as(text: str) -> set[str]:
    """Return how the command line may have named a text: a path, from the working directory."""
    return {text, os.path.relpath(text)} if os.path.isabs(text) else {text}  # noqa: PTH117
