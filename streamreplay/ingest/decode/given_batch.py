"""Make batches of rows that a Python program has, by what is decided about their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamreplay.batch import Batch
from streamreplay.errors import RecordError
from streamreplay.ingest.dead_letters import Fault
from streamreplay.ingest.decode.given_rows import GivenRows, WithColumns, column_values, given_rows
from streamreplay.ingest.decode.rows import Columns
from streamreplay.labels import Labels

if TYPE_CHECKING:
    from streamreplay.ingest.decode.named_fields import NamedFields
    from streamreplay.ingest.decode.named_rows import NamedRows


def take_rows(fields: NamedFields, rows: Any, y: Any = None) -> tuple[NamedRows, dict[str, str]]:
    """Return rows as columns with names, and why others cannot be learned from.

    Parameters
    ----------
    fields : NamedFields
    rows : list of dict, dict of columns, frame, or Arrow data
    y : sequence, array or Series, optional
        The labels or targets, if the rows have none.
    """
    asked = ["x"] if fields.features is None else fields.features
    given, left_out = given_rows(rows, {*asked, *fields.reserved})
    return given if y is None else _with_goal(fields, given, y), left_out


def decode_rows(fields: NamedFields, given: NamedRows) -> Columns:
    """Decode rows by what is decided.

    Raises
    ------
    RecordError
        A row cannot be used; the message names the row, counted from 0, and the column.
    ValueError
        Nothing is decided yet, or rows of arrays are none.
    """
    choice = fields.choice
    if choice is None:
        raise ValueError("rows came before it was decided how to read them")
    found, faults = fields.rows(choice).decode(given, 0)
    if faults:
        raise RecordError(_message(fields, faults[0]))
    if found is None:
        raise ValueError("rows of arrays must be at least one, got none")
    return found


def given_batch(fields: NamedFields, rows: Any, start: int, labels: Labels) -> Batch:
    """Return rows as a batch, by what the rows before have decided.

    Parameters
    ----------
    fields : NamedFields
    rows : list of dict, dict of columns, frame, or Arrow data
    start : int
        Position in the stream of the first row.
    labels : Labels

    Raises
    ------
    ValueError
        Nothing is decided yet.
    RecordError, ConfigError, TypeError
        As by `streamreplay.Features.batch`.
    """
    if fields.choice is None:
        raise ValueError(
            f"{fields.source}: its first rows decide what each column is, and none was read: "
            "iterate over it before, or give Features as the source"
        )
    given, _ = take_rows(fields, rows)
    found = decode_rows(fields, given)
    return found.batch(start, labels, fields.fields.goal, fields.feature_names, fields.schema)


def _with_goal(fields: NamedFields, given: NamedRows, y: Any) -> NamedRows:
    """Return rows with labels or targets that were given apart."""
    named = fields.fields
    names = [named.label] if named.goal is None else [*named.goal.fields]
    if not names[0]:
        raise ValueError("y cannot be given where there is no label, got label=False")
    twice = [name for name in names if name in given.names]
    if twice:
        raise ValueError(f"y cannot be given for rows that have a column {twice[0]!r}")
    values = column_values("y", y)
    if len(values) != len(given):
        raise ValueError(f"y must have {len(given)} values as rows, got {len(values)}")
    several = len(names) > 1
    columns = list(map(list, zip(*values, strict=True))) if several else [values]
    if len(columns) != len(names) and values:
        raise ValueError(f"y must have {len(names)} columns, got {len(columns)}")
    more = dict(zip(map(str, names), columns, strict=False))
    return WithColumns(given, GivenRows(more, len(given)))


def _message(fields: NamedFields, fault: Fault) -> str:
    """Name the row and the column of a value that cannot be used."""
    named, choice = fields.fields, fields.choice
    roles = {} if choice is None else choice.roles
    role = fault.reason.partition(" ")[0]
    column = named.label if role == "label" and named.goal is None else roles.get(role)
    where = "" if column is None else f", column {column!r}"
    return f"row {fault.line}{where}: {fault.reason}"
