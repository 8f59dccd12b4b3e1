"""Sources: from files, pipes and arrays to batches, with a position that can be saved."""

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
from streamreplay.ingest.delayed_labels import DelayedLabels
from streamreplay.ingest.experiences import Experiences
from streamreplay.ingest.formats import FORMATS
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
    "DelayedLabels",
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
