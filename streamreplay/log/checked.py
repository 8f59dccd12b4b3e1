"""Read records of the logs, each held to the schema of its kind before it is used.

A log may come from somebody else, or be damaged. A field that the schema does not have is let
through, as a later version of this package may have added it, and so is one that is missing, which
an earlier version did not know: those that read a field of a record expect both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamreplay.errors import RunFolderError
from streamreplay.log.lines import kind_of, number_lines, parse_line, parse_metric
from streamreplay.log.schema import KINDS, LOGS
from streamreplay.log.schema.base import LogLine
from streamreplay.plain_text import printable

__all__ = ["read_record", "read_records"]

_MOST_SHOWN = 60  # characters of a value in a message


def read_record(line: bytes, path: Path, number: int, log: str = "metrics") -> dict[str, Any]:
    """Return the record of a line, which has the fields of its kind.

    Parameters
    ----------
    line : bytes
    path : Path
    number : int
        Of the line, 1 for the first.
    log : str
        ``metrics``, ``timings``, ``predictions`` or ``dead_letters``.

    Raises
    ------
    RunFolderError
        The line is no record of this log; the message names file, line and field.

    Examples
    --------
    >>> read_record(b'{"kind": "rows", "position": -1}', Path("run/metrics.jsonl"), 3)
    Traceback (most recent call last):
    ...
    streamreplay.errors.RunFolderError: run/metrics.jsonl:3: the line is damaged: position: Input \
should be greater than or equal to 0, got -1
    """
    if log == "metrics":
        record = parse_metric(line, path, number)
        forms = KINDS.get(record["kind"], ())
        if not isinstance(record.get("learner", ""), str):
            raise RunFolderError(f"{path}:{number}: the line is damaged: learner must be a text")
    else:
        record = parse_line(line, path, number)
        forms = LOGS[log]
    fault = _fault(record, forms)
    if fault:
        raise RunFolderError(f"{path}:{number}: the line is damaged: {fault}")
    return record


def read_records(
    run: Path, *, kinds: Collection[str] | None = None, name: str = "metrics"
) -> Iterator[dict[str, Any]]:
    """Yield the records of a log. Lines of other kinds are skipped without being parsed.

    Parameters
    ----------
    run : Path
    kinds : collection of str, optional
        Such as ``("retention", "drift")``; by default all.
    name : str
        Which log.

    Raises
    ------
    RunFolderError
        There is no such folder or log, a line is damaged, or is of a later version of the log.
    """
    wanted = None if kinds is None else frozenset(kinds)
    for path, number, line in number_lines(run, name):
        if wanted is None or (kind := kind_of(line)) is None or kind in wanted:
            record = read_record(line, path, number, name)
            if wanted is None or record.get("kind") in wanted:
                yield record


def _fault(record: dict[str, Any], forms: tuple[type[LogLine], ...]) -> str:
    """Return what is wrong with a record; "" if it is of one of the forms that it looks most like.

    That is those with the most of its fields.
    """
    said: list[tuple[int, str]] = []
    alike = [len(form.model_fields.keys() & record.keys()) for form in forms]
    for form in (form for form, n in zip(forms, alike, strict=True) if n == max(alike)):
        try:
            form.model_validate(record)
        except ValidationError as error:
            faults = [
                each
                for each in error.errors(include_url=False, include_context=False)
                if each["type"] not in ("extra_forbidden", "missing")
            ]
            if not faults:
                return ""
            place, value = ".".join(map(str, faults[0]["loc"])), str(faults[0]["input"])
            got = f"got {value[:_MOST_SHOWN]}"
            said.append((len(faults), printable(f"{place}: {faults[0]['msg']}, {got}")))
        else:
            return ""
    return min(said, default=(0, ""))[1]
