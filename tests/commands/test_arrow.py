"""Processes that read Parquet and Arrow, killed and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import ipc, parquet

from tests.commands.conftest import records
from tests.commands.test_kill import SMALL, kill_and_resume

if TYPE_CHECKING:
    from tests.commands.conftest import Cli


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_kill_while_arrow_is_read(cli: Cli, form: str) -> None:
    rows = [
        {**record, "note": f"row {i % 9}" if i % 4 else None}
        for i, record in enumerate(records(1200))
    ]
    table, path = pa.Table.from_pylist(rows), cli.folder / f"rows.{form}"
    if form == "parquet":
        parquet.write_table(table, path, row_group_size=400)
    else:
        new = ipc.new_stream if form == "arrows" else ipc.new_file
        with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=300)
    kill_and_resume(cli, ("-s", path, *SMALL), kills=2, seed=len(form))
