"""Run jobs in this process, whole or through crashes, and read what they leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.log.rotation import JsonLines
from streamreplay.run import RunOptions, choose_job, run_job
from streamreplay.run.folder import RunFolder

__all__ = ["Crash", "contents", "crashing", "logs", "run_on", "run_through_crashes"]


class Crash(BaseException):
    """What no handler catches, as SIGKILL."""


def run_on(out: Path, path: Any, *settings: str, **options: bool) -> int:
    """Run or resume a job on a path, and return its exit code."""
    overrides = [f"source.path={json.dumps(path)}", *settings]
    resume, go_on = options.get("resume", False), options.get("go_on", False)
    job = choose_job(None, overrides, out, resume=resume, go_on=go_on)
    return run_job(job, RunOptions(out=out, quiet=True, **options))


def logs(out: Path) -> tuple[str, str]:
    return (out / "predictions.jsonl").read_text(), (out / "metrics.jsonl").read_text()


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a run folder but those that name a time or a process."""
    paths = [*folder.glob("*.jsonl"), folder / "job.toml", *folder.glob("checkpoints/*/*")]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if not path.name.startswith("timings.")
    }


def crashing(method: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise Crash
        return method(*args, **options)

    return call


def run_through_crashes(
    out: Path, overrides: Sequence[str], monkeypatch: pytest.MonkeyPatch, *, trust: bool = False
) -> int:
    """Run a job that crashes at some write again and again, and return its last exit code."""
    rng = np.random.default_rng(1)
    crashes = 0
    while True:
        left = iter(range(int(rng.integers(1, 10 + 6 * crashes))))  # it must get on at last
        with monkeypatch.context() as patch:
            patch.setattr(JsonLines, "write", crashing(JsonLines.write, left))
            patch.setattr(RunFolder, "save", crashing(RunFolder.save, left))
            try:
                job = choose_job(None, list(overrides), out, resume=True)
                code = run_job(job, RunOptions(out, resume=True, quiet=True, trust=trust))
            except Crash:
                crashes += 1
                continue
        assert crashes > 2
        return code
