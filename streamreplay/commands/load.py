"""Load torch, quickly."""

from __future__ import annotations

import gc
import sys


def load_torch() -> None:
    """Import torch, if that was not done, without collecting garbage among what it defines.

    It defines some hundred thousand objects, and all of them stay. The garbage collector would go
    through them several times during the import, at the end of the process and in between, for a
    third of the time of ``import torch``. A process calls this before it has garbage of its own.
    """
    if "torch" in sys.modules:
        return
    gc.disable()
    try:
        import torch  # noqa: F401, PLC0415 - slow
    finally:
        gc.enable()
    gc.freeze()
