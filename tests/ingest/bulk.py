"""Read a stream as if few records were many, or many few, and note what was read at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from streamreplay.features.schema import Schema

__all__ = ["Came", "read"]


@dataclass
class Came:
    """What came of a stream.

    Attributes
    ----------
    rows : list
        The features, the label's index and name, and the id of each.
    aside : list
        What was put aside.
    schema : Schema
    calls : list
        What each attempt to read many records at once has returned.
    """

    rows: list[Any]
    aside: list[Any]
    schema: Schema
    calls: list[Any]


def read(
    source: Callable[..., Any],
    module: ModuleType,
    reader: Any,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    bulk: bool,
    **options: Any,
) -> Came:
    """Read a file, in blocks of 3 kB, with ``reader`` of ``module`` or without."""
    came, original = Came([], [], Schema(infer_rows=10), []), reader.read

    def spy(self: Any, *args: Any) -> Any:
        came.calls.append(original(self, *args))
        return came.calls[-1]

    given = {"batch_size": 50, "id": "id", "label": "y", **options}
    with monkeypatch.context() as patch:
        patch.setattr(reader, "read", spy)
        patch.setattr(module, "ENOUGH", 2 if bulk else 1 << 30)
        patch.setattr("streamreplay.ingest.connect.byte_stream.BLOCK", 3000)
        stream = source(path, on_dead=came.aside.append, schema=came.schema, **given)
        for batch in stream:
            x = map(bytes, np.ascontiguousarray(batch.x))
            labels = [None if y < 0 else stream.labels.names[y] for y in batch.y.tolist()]
            ids = [""] * len(batch) if batch.id is None else batch.id.tolist()
            came.rows += list(zip(x, batch.y.tolist(), labels, ids, strict=True))
    return came
