"""The files to read: told from a job file, found, and added to those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamreplay.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files of a source.

    Attributes
    ----------
    files : list of str
        A pipe whose first bytes were looked at is open.
    format : str
        The format of all of them.
    notices : list of str
        What to say about them.
    paths : list of str
        What a source reads: folders and patterns as they were given, as they may have more files
        later.
    """

    files: list[str]
    format: str
    notices: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def split_inputs(arguments: Sequence[str], sources: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Return the job file among the arguments of a command, and the files to read.

    Parameters
    ----------
    arguments : sequence of str
        The first is a job file if its name ends in ``.toml``; all others are files to read.
    sources : sequence of str
        Further files to read.

    Raises
    ------
    ConfigError
        A job file stands elsewhere.

    Examples
    --------
    >>> job, files = split_inputs(["job.toml", "a.csv"], ["b.csv"])
    >>> str(job), files
    ('job.toml', ['a.csv', 'b.csv'])
    >>> split_inputs(["a.csv"], [])
    (None, ['a.csv'])
    """
    job = None
    if arguments and _is_job(arguments[0]):
        job, arguments = Path(arguments[0]), arguments[1:]
    files = [*arguments, *sources]
    for each in filter(_is_job, files):
        raise ConfigError(f"{each}: a job file is the first argument, and there is at most one")
    return job, files


def _is_job(name: str) -> bool:
    return name.lower().endswith(".toml")


def listed(path: str | list[str]) -> list[str]:
    """Return ``source.path`` as a list."""
    return [path] if isinstance(path, str) else path


def with_more(before: str | list[str], more: str | list[str]) -> str | list[str]:
    """Return the files of a run that goes on with more files.

    Examples
    --------
    >>> with_more("a.csv", "-"), with_more(["a.csv", "-"], "-")
    (['a.csv', '-'], ['a.csv', '-'])
    """
    old, new = listed(before), listed(more)
    if old[-len(new) :] == new:
        return before
    return more if new[: len(old)] == old else old + new
