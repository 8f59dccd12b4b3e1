"""The command line: options and messages, without any logic of its own."""

from __future__ import annotations

import os
import sys

from streamreplay.commands.app import app
from streamreplay.errors import StreamReplayError
from streamreplay.plain_text import visible, wrapped_for

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line. A user's mistake is reported in one line on standard error.

    The same goes for errors of the machine, such as a full disk or too little memory.
    """
    _fill_standard_descriptors()
    try:
        app(prog_name="streamreplay")
    except (StreamReplayError, OSError, MemoryError, UnicodeEncodeError) as error:
        message = f"streamreplay: error: {visible(' '.join(_describe(error).split()))}"
        sys.stderr.write(f"{wrapped_for(2, message)}\n")
        sys.exit(error.exit_code if isinstance(error, StreamReplayError) else 1)


def _fill_standard_descriptors() -> None:
    """Open the standard descriptors that the parent process has closed, so that using them fails.

    Otherwise the first files that are opened would get their numbers, and standard output would be
    written into one of them. As in gnulib's ``stdopen``, each is opened in the wrong direction, so
    that reading or writing it is still an error.
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
    if isinstance(error, UnicodeEncodeError):
        start = max(0, error.start - 40)
        return f"not UTF-8, as a name must be here: {error.object[start : error.end]!r}"
    if isinstance(error, MemoryError):
        return f"out of memory: {error}".removesuffix(": ")
    return str(error)
