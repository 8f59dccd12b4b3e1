"""Read the rows of batches that a table was packed into, for comparisons."""

from __future__ import annotations

from typing import Any

from streamreplay.batch import Batch
from streamreplay.features.packed import is_table


def numbers_of(batch: Batch) -> list[list[Any]]:
    """Return the numbers of each row, None where one is missing; not its text, not its times."""
    x = batch.x["number"] if is_table(batch.x) else batch.x
    return [[None if v != v else v for v in row] for row in x.tolist()]  # noqa: PLR0124 - NaN


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """Return the rows of a table as dicts; what is missing is absent."""
    assert batch.schema is not None
    return batch.schema.rows(batch.x)
