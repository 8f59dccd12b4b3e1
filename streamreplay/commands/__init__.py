"""The command line: what a person types, and nothing that decides anything."""

from __future__ import annotations

import sys

from streamreplay.commands.app import app
from streamreplay.errors import StreamReplayError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error, and no traceback."""
    try:
        app(prog_name="streamreplay")
    except StreamReplayError as error:
        sys.stderr.write(f"streamreplay: error: {' '.join(str(error).split())}\n")
        sys.exit(1)
