"""Sources: from files, pipes and arrays to batches, with a position that can be saved."""

from streamreplay.ingest.arrays import ArraySource
from streamreplay.ingest.coded import Coded
from streamreplay.ingest.csvfile import CsvSource
from streamreplay.ingest.deadletters import DeadLetters
from streamreplay.ingest.experiences import Experiences
from streamreplay.ingest.idx import open_idx
from streamreplay.ingest.jsonl import JsonlSource
from streamreplay.ingest.labels import Labels, Name
from streamreplay.ingest.latelabels import LateLabels
from streamreplay.ingest.linesource import LineSource
from streamreplay.ingest.npz import open_npz
from streamreplay.ingest.views import hold_out, in_memory, split_by_class

__all__ = [
    "ArraySource",
    "Coded",
    "CsvSource",
    "DeadLetters",
    "Experiences",
    "JsonlSource",
    "Labels",
    "LateLabels",
    "LineSource",
    "Name",
    "hold_out",
    "in_memory",
    "open_idx",
    "open_npz",
    "split_by_class",
]
