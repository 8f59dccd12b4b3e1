"""Checksums that say whether kept outputs of the old checkout are still valid."""

from __future__ import annotations

import hashlib
import inspect
import platform
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.same_output.clock import scalars, steady
from benchmarks.same_output.folders import files_of
from benchmarks.same_output.job import Job
from benchmarks.same_output.process import main_in_process, redirected
from benchmarks.same_output.runner import Runner
from benchmarks.same_output.side import Side

PACKAGES = ("torch", "numpy", "river", "matplotlib", "rich", "typer", "pyarrow", "pydantic")
RUN_BY: list[Callable[..., object]] = [
    Runner,
    steady,
    scalars,
    redirected,
    main_in_process,
    Side.environment,
]
"""The code that outputs follow from. To edit it makes kept outputs invalid; to move it does not."""


def keys(jobs: list[Job], checkout: Path, inputs: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Return a checksum, for each job, of all that its outputs follow from."""
    digest = hashlib.sha256()
    for path in files_of(checkout / "streamreplay"):
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    for name, data in files.items():
        digest.update(f"{name}\0".encode() + data)
    digest.update("".join(map(inspect.getsource, RUN_BY)).encode())
    machine = [*map(version, PACKAGES), platform.python_version(), _processor(), str(inputs)]
    digest.update("\0".join(machine).encode())
    shared = digest.hexdigest()
    return {job.name: hashlib.sha256(f"{shared}{job!r}".encode()).hexdigest() for job in jobs}


def _processor() -> str:
    """Return the processor's name: another one may round sums differently."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:.*", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.processor()
