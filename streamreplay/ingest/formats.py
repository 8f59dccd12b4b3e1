"""The formats of files.

A new one is a function or a class in a file of ``connect/``, a line of `FORMATS`, a row in
``docs/guides/input.md``, and a line of ``SOURCES`` in the contract tests. Job files read `FORMATS`.
"""

from streamreplay.ingest.connect.arrow import ArrowSource
from streamreplay.ingest.connect.arrow_files import shows_arrow, shows_parquet
from streamreplay.ingest.connect.csv import CsvSource
from streamreplay.ingest.connect.file_format import FileFormat
from streamreplay.ingest.connect.idx import open_idx, shows_idx
from streamreplay.ingest.connect.jsonl import JsonlSource
from streamreplay.ingest.connect.npz import open_npz, shows_npz

FORMATS: dict[str, FileFormat] = {
    "jsonl": FileFormat(JsonlSource, (".jsonl", ".ndjson", ".json")),
    "csv": FileFormat(CsvSource, (".csv", ".tsv")),
    "parquet": FileFormat(ArrowSource, (".parquet", ".pq"), shows_parquet),
    "arrow": FileFormat(ArrowSource, (".arrow", ".arrows", ".feather", ".ipc"), shows_arrow),
    "npz": FileFormat(open_npz, (".npz",), shows_npz),
    "idx": FileFormat(open_idx, (".idx", "-ubyte"), shows_idx),
}
"""What opens the files of each format that a job may name, and what they are known by."""
