"""Sources: from files, pipes and arrays to batches, with a position that can be saved.

A new file format is a function or a class in a file of ``connect/``, a line of `FORMATS`, a row
in ``docs/guides/input.md``, and a line of ``SOURCES`` in the contract tests. Job files read
`FORMATS`.
"""

from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.arrow import ArrowSource
from streamreplay.ingest.connect.csv import CsvSource
from streamreplay.ingest.connect.file_format import FileFormat
from streamreplay.ingest.connect.idx import open_idx
from streamreplay.ingest.connect.jsonl import JsonlSource
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.ingest.connect.npz import open_npz
from streamreplay.ingest.connect.torch_dataset import open_dataset
from streamreplay.ingest.dead_letters import DeadLetters
from streamreplay.ingest.decode.label_codes import Coded
from streamreplay.ingest.experiences import Experiences
from streamreplay.ingest.late_labels import LateLabels
from streamreplay.ingest.splits import hold_out, in_memory, split_by_class
from streamreplay.ingest.tables import Features

__all__ = [
    "FORMATS",
    "ArraySource",
    "ArrowSource",
    "Coded",
    "CsvSource",
    "DeadLetters",
    "Experiences",
    "Features",
    "FileFormat",
    "JsonlSource",
    "LateLabels",
    "LineSource",
    "hold_out",
    "in_memory",
    "open_dataset",
    "open_idx",
    "open_npz",
    "split_by_class",
]

FORMATS: dict[str, FileFormat] = {
    "jsonl": FileFormat(JsonlSource, (".jsonl", ".ndjson", ".json")),
    "csv": FileFormat(CsvSource, (".csv", ".tsv")),
    "parquet": FileFormat(ArrowSource, (".parquet", ".pq")),
    "arrow": FileFormat(ArrowSource, (".arrow", ".arrows", ".feather", ".ipc")),
    "npz": FileFormat(open_npz, (".npz",)),
    "idx": FileFormat(open_idx, (".idx", "-ubyte")),
}
"""What opens the files of each format that a job may name, and how their names end."""
