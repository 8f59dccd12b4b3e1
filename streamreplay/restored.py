"""The check of a whole state after it was loaded: nothing was passed over."""

from __future__ import annotations

from typing import Any

from streamreplay.errors import CheckpointError
from streamreplay.state import expect, shortened

__all__ = ["check_restored"]


def check_restored(saved: object, live: object, path: str = "") -> None:
    """Raise `CheckpointError` unless a restored object would save what was saved.

    Arrays are compared by type and shape. What a state holds besides, or in another type, would
    have been passed over.

    Examples
    --------
    >>> check_restored({"rows": 3, "more": 1}, {"rows": 3})
    Traceback (most recent call last):
    streamreplay.errors.CheckpointError: more: is not in the state of this pipeline
    """
    if isinstance(live, dict) and isinstance(saved, dict):
        for name in dict.fromkeys([*saved, *live]):
            inner = f"{path}.{name}" if path else str(name)
            if name not in saved or name not in live:
                lacking = "is not in the state"
                said = lacking if name in live else f"{lacking} of this pipeline"
                raise CheckpointError(f"{shortened(inner, 200)}: {said}")
            check_restored(saved[name], live[name], inner)
    elif isinstance(live, list | tuple) and isinstance(saved, list):
        expect(f"{path}: entries", len(saved), len(live))
        for place, (one, other) in enumerate(zip(saved, live, strict=True)):
            check_restored(one, other, f"{path}.{place}")
    elif hasattr(live, "dtype") and hasattr(live, "shape"):
        expect(path, *map(_described, (saved, live)))
    else:
        plain = isinstance(saved, bool | int | float | str | None)
        if not plain or (saved != live and (saved == saved or live == live)):  # noqa: PLR0124 - NaN
            raise CheckpointError(
                f"{path}: saved {shortened(saved)}, is loaded as {shortened(live)}"
            )


def _described(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{type(value).__name__} {value.dtype}{list(value.shape)}"
    return shortened(value)
