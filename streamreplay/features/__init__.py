"""Tables: named columns of numbers, categories, times and text, and what a module is given."""

from streamreplay.features.kinds import Column, ColumnKind
from streamreplay.features.schema import Schema

__all__ = ["Column", "ColumnKind", "Schema"]
