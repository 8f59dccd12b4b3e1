"""Replace what depends on the clock in timings and event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def steady(line: dict[str, Any], place: int) -> dict[str, Any]:
    """Return a line of timings with what the clock said put right."""

    def put(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: put(each, name) for name, each in value.items()}
        if key in ("position", "replayed", "throttled") or value is None:
            return value
        known = {"time": 1e9 + place, "elapsed_s": 0.5 * place, "resident_bytes": 2e8 + place}
        known |= {"rows_per_s": 1000.0 + place}
        other = 0.05 + 0.01 * ((len(key) + place) % 7)  # a share, or milliseconds
        return known.get(key, round(other * (50 if key.startswith("p") else 1), 4))

    return {name: put(value, name) for name, value in line.items()}


def scalars(path: Path) -> str:
    """Return what an event file of TensorBoard says, without times and names of machines."""
    from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]  # noqa: PLC0415 - slow
        event_file_loader,
    )

    lines = []
    for event in event_file_loader.EventFileLoader(str(path)).Load():
        lines += [
            f"{event.step} {value.tag} {value.tensor.float_val or value.tensor.string_val}"
            for value in event.summary.value
        ]
    return "\n".join(lines) + "\n"
