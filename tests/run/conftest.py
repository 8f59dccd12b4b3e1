"""What the tests of runs share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def from_stdin() -> Callable[[bytes, Callable[[], Any]], None]:
    """Call something with some bytes as standard input."""

    def call(data: bytes, function: Callable[[], Any]) -> None:
        kept = os.dup(0)
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        os.dup2(reader, 0)
        os.close(reader)
        try:
            function()
        finally:
            os.dup2(kept, 0)
            os.close(kept)

    return call
