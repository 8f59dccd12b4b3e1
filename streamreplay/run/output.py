"""Standard output of a run, line by line."""

from __future__ import annotations

import os

from streamreplay.errors import StreamReplayError
from streamreplay.plain_text import visible


class OutputClosed(Exception):  # noqa: N818 - no error: it is how a run learns that nobody reads on
    """Nobody reads the standard output any more."""


class StandardOutput:
    """Standard output without a buffer: a line is out when it was written."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def write(self, lines: bytes) -> None:
        """Write whole lines.

        Raises
        ------
        OutputClosed
            The reader has gone.
        StreamReplayError
            It cannot be written: a full disk, or it was closed from the start.
        """
        if os.isatty(self._descriptor):  # what the rows hold must not talk to it
            lines = visible(lines.decode(errors="surrogateescape"), keep="\n").encode()
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise StreamReplayError(
                f"standard output: cannot be written: {error.strerror}"
            ) from error
