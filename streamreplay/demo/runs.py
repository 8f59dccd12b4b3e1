"""Run the four jobs of the demonstration, and read their logs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreplay.bundled import data_path
from streamreplay.config.parsing.load import load_job
from streamreplay.errors import RunFolderError
from streamreplay.log.checked import read_records
from streamreplay.run import RunOptions, run_job


@dataclass(frozen=True)
class Stream:
    """One of the two streams.

    Attributes
    ----------
    name : str
        Name of its job file, next to this module.
    data : str
        The bundled file.
    title : str
    first : tuple of str
        Classes that occur only early in the stream.
    gone_after : int
        Position after the last row of these classes.
    """

    name: str
    data: str
    title: str
    first: tuple[str, ...]
    gone_after: int


STREAMS = (
    Stream("digits", "digits.npz", "Digits, two classes at a time", ("0", "1"), 264),
    # types 3, 4, 6 and 7 end at row 15,120 of the file; every tenth row up to there is held out
    Stream("covtype", "covtype.csv.gz", "Forest cover types", ("3", "4", "6", "7"), 13_608),
)


@dataclass(frozen=True)
class DemoRun:
    """A finished run of the demonstration.

    Attributes
    ----------
    stream : Stream
    replay : bool
    folder : Path
        Its run folder.
    scores : list of dict
        Records of kind ``prequential``.
    rounds : list of dict
        Records of kind ``retention``.
    """

    stream: Stream
    replay: bool
    folder: Path
    scores: list[dict[str, Any]]
    rounds: list[dict[str, Any]]

    def retained(self) -> list[tuple[int, float]]:
        """Return position and held-out accuracy on the first classes, for each round."""
        return [
            (record["position"], accuracy)
            for record in self.rounds
            if (accuracy := _accuracy(record["by_class"], self.stream.first)) is not None
        ]


class Interrupted(Exception):  # noqa: N818 - not an error
    """A signal ended a run; ``code`` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run_demo(out: Path) -> Iterator[DemoRun]:
    """Run every stream without and with replay, each into a run folder below ``out``.

    Folders of an earlier demonstration are replaced.

    Raises
    ------
    RunFolderError
        A folder with that name exists and is no run folder.
    Interrupted
        A signal ended a run.
    """
    for stream in STREAMS:
        for replay in (False, True):
            yield _run(stream, out / f"{stream.name}-{'replay' if replay else 'no-replay'}", replay)


def _run(stream: Stream, folder: Path, replay: bool) -> DemoRun:  # noqa: FBT001 - two of a kind
    if folder.exists():
        if not (folder / "job.toml").is_file():
            raise RunFolderError(f"{folder}: is in the way, and is not the folder of a run")
        shutil.rmtree(folder)
    settings = [f"source.path={data_path(stream.data)}", "run.emit=none"]
    if not replay:
        settings.append("buffer.kind=none")  # everything else stays, also the number of steps
    job = load_job(Path(__file__).with_name(f"{stream.name}.toml"), settings)
    code = run_job(job, RunOptions(out=folder, quiet=True))
    if code:
        raise Interrupted(code)
    scores, rounds = (
        [*read_records(folder, kinds=(kind,))] for kind in ("prequential", "retention")
    )
    return DemoRun(stream, replay, folder, scores, rounds)


def _accuracy(by_class: dict[str, dict[str, Any]], names: tuple[str, ...]) -> float | None:
    found = [by_class[name] for name in names if name in by_class]
    rows = sum(entry["rows"] for entry in found)
    return sum(entry["rows"] * entry["accuracy"] for entry in found) / rows if rows else None
