"""The command line: what a person types, and nothing that decides anything."""

from __future__ import annotations

import os
import sys

from streamreplay.commands.app import app
from streamreplay.errors import StreamReplayError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, and no traceback.

    So is what the machine refuses: a disk that is full, memory that there is not.
    """
    _fill_standard_descriptors()
    try:
        app(prog_name="streamreplay")
    except (StreamReplayError, OSError, MemoryError) as error:
        sys.stderr.write(f"streamreplay: error: {' '.join(_describe(error).split())}\n")
        sys.exit(1)


def _fill_standard_descriptors() -> None:
    """Open the standard descriptors that were closed by who started us, so that they fail in use.

    Otherwise the first files opened would get their numbers, and what is meant for standard output
    would be written into one of them. As in gnulib's ``stdopen``, each is opened the wrong way
    round: reading or writing it is an error, as it was before.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free number, which is this one
    nowhere = None if sys.stdout and sys.stderr else open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere


def _describe(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, MemoryError):
        return f"out of memory: {error}".removesuffix(": ")
    return str(error)
