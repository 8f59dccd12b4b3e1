"""Streams from NumPy's ``.npz`` files."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.magic import begins_with
from streamreplay.ingest.decode.absent_columns import set_with
from streamreplay.ingest.decode.options import FieldNames
from streamreplay.ingest.decode.roles import Choice
from streamreplay.ingest.decode.targets import targets_of
from streamreplay.labels import Labels


def open_npz(  # noqa: PLR0913 - keywords, each an array of its own
    path: str | Path,
    *,
    x: str = "x",
    y: str | None = "y",
    task: str | None = None,
    experience: str | None = None,
    id: str | None = None,
    time: str | None = None,
    target: str | Sequence[str] | None = None,
    multilabel: Sequence[str] | None = None,
    weight: str | None = None,
    batch_size: int = 32,
    limit: int | None = None,
    labels: Labels | None = None,
) -> ArraySource:
    """Open the arrays in an ``.npz`` file as a stream. See `ArraySource` for what each may hold.

    Parameters
    ----------
    path : str or Path
    x : str
        The name of the features' array.
    y : str or None
        The name of the labels' array; None or "" if there is none.
    task, experience, id, time : str, optional
        Names of further arrays. Left out: the array of that name, if there is one.
    target : str or sequence of str, optional
        Instead of labels: the arrays with the numbers to predict, one column each; the only one
        may have several.
    multilabel : sequence of str, optional
        What the columns of ``y``, 0 or 1, are called: labels, any number of which a row may have.
    weight : str, optional
        The name of the weights' array. Left out: ``weight``, if there is one with a number a row.
    batch_size, limit, labels
        As in `ArraySource`.

    Raises
    ------
    ConfigError
        An array that was asked for is not there, or the arrays do not fit one another.
    SourceError
        The file cannot be read.
    """
    given = {"task": task, "experience": experience, "id": id, "time": time, "weight": weight}
    names = {"x": x, **{role: name for role, name in given.items() if name is not None}}
    by_name = [role for role, name in given.items() if name is None]
    targets = [target] if isinstance(target, str) else list(target or ())
    if y and target is None:
        names["y"] = y
    names |= {f"target {name}": name for name in targets}
    arrays, unused = _read(Path(path), names, by_name)
    roles = {role: names.get(role, role) for role in given if role in arrays}
    try:
        targets_of(target, multilabel, None)  # checks
        _put_targets(arrays, targets, multilabel)
        source = ArraySource(**arrays, batch_size=batch_size, limit=limit, labels=labels)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{Path(path).name}: {error}") from None
    fields = FieldNames(names.get("y"), goal=targets_of(target, multilabel, None))
    left_out = dict.fromkeys(unused, "not asked for")
    choice = Choice([x], roles, left_out, array=True)
    source.in_use = choice.in_use(fields, source.feature_shape, set(roles.values()))
    return source


def shows_npz(first: bytes) -> bool | None:
    """Return whether data are a zip archive whose first file is an array; None: more are needed."""
    found = begins_with(first, b"PK\3\4")
    if not found or len(first) < 30:
        return None if found else found
    end = 30 + int.from_bytes(first[26:28], "little")
    return first[30:end].endswith(b".npy") if len(first) >= end else None


def _put_targets(
    arrays: dict[str, Any], targets: list[str], multilabel: Sequence[str] | None
) -> None:
    """Replace the arrays of targets, or of indicators, by one of all columns and their names."""
    if targets:
        columns = [arrays.pop(f"target {name}") for name in targets]
        arrays["target"], arrays["target_names"] = _joined(columns, targets)
    elif multilabel is not None:
        arrays["target"] = _indicators(arrays.pop("y", None))
        arrays["target_names"] = multilabel


def _read(
    path: Path, names: dict[str, str], by_name: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return arrays by what they are for, and the names of those that are not used."""
    try:
        with path.open("rb") as raw:  # opened here: NumPy leaves it open if it is damaged
            if not zipfile.is_zipfile(raw):  # NumPy would take it for a pickle, and advise so
                raise SourceError(
                    f"{path.name}: not a readable .npz file (no zip archive, or cut short)"
                )
            raw.seek(0)
            file = np.load(raw, allow_pickle=False)
            wanted = _wanted(path, file.files, names)
            taken = set(wanted.values())
            wanted |= {role: role for role in by_name if role in file.files and role not in taken}
            arrays = {key: file[name] for key, name in wanted.items()}
            weight = arrays.get("weight")
            if "weight" in by_name and weight is not None and weight.shape != arrays["x"].shape[:1]:
                del wanted["weight"], arrays["weight"]  # the weights of a model, perhaps
            return arrays, [name for name in file.files if name not in wanted.values()]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise SourceError(f"{path.name}: not a readable .npz file ({error})") from None


_DAMAGED = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)
"""What reading may raise; RuntimeError where an array is encrypted, or of unknown compression."""

_CALLED = {"x": "feature", "y": "label"}  # in messages, as for tables


def _wanted(path: Path, present: list[str], names: dict[str, str]) -> dict[str, str]:
    wanted = {key: name for key, name in names.items() if name in present}
    for key, name in names.items():
        if key not in wanted:
            called = _CALLED.get(key, key.partition(" ")[0])
            raise ConfigError(
                f"{path.name}: {key} is array {name!r}, but the file has "
                f"{', '.join(present) or 'none'}; {set_with(called)}"
            )
    return wanted


def _joined(columns: list[NDArray[Any]], names: list[str]) -> tuple[NDArray[Any], list[str]]:
    """Join the arrays of targets as columns of numbers, and name the columns."""
    if len(columns) == 1:
        wide = columns[0].astype(np.float64) if columns[0].dtype == np.bool_ else columns[0]
        if wide.ndim < 2:
            return wide, names
        return wide, [f"{names[0]}[{i}]" for i in range(wide.shape[1])]
    for name, column in zip(names, columns, strict=True):
        if column.shape != columns[0].shape or column.ndim != 1:
            raise ValueError(
                f"target: arrays must be [n] where there are several, {name!r} is {column.shape}"
            )
    return np.stack(columns, axis=1).astype(np.float64), names


def _indicators(y: NDArray[Any] | None) -> NDArray[np.bool_]:
    if y is None:
        raise ValueError("multilabel: the array of labels is needed, got no label")
    if y.ndim != 2 or y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        raise ValueError(f"multilabel: labels must be 0 or 1, [n, d], got {y.dtype}{list(y.shape)}")
    found: NDArray[np.bool_] = y.astype(np.bool_)
    return found
