"""Open ``.npz`` and IDX files whose rows are to be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamreplay.config.job import SourceSection
from streamreplay.errors import ConfigError
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.idx import open_idx
from streamreplay.ingest.connect.npz import open_npz
from streamreplay.predicting.columns import RunColumns


def open_arrays(path: str, kind: str, run: SourceSection, columns: RunColumns) -> ArraySource:
    """Open arrays, with labels if there are any.

    Parameters
    ----------
    path : str
    kind : {"npz", "idx"}
    run : SourceSection
        Of the run.
    columns : RunColumns
        Of the run.

    Raises
    ------
    ConfigError
        They have another shape than the rows of the run, or columns without the names of the run.
    SourceError
        The file cannot be read.
    """
    if kind == "idx":
        beside = Path(path).with_name(Path(path).name.replace("images-idx3", "labels-idx1"))
        labels = beside.exists() and beside != Path(path)
        source = open_idx(path, beside if labels else False, batch_size=run.batch_size)
    else:
        source = _open_npz(path, run, columns)
    columns.check_shape(Path(path).name, source)
    source.labels.load_state_dict({"names": columns.labels})
    source.labels.closed = True
    return source


def _open_npz(path: str, run: SourceSection, columns: RunColumns) -> ArraySource:
    names = _names(path)
    given: dict[str, Any] = {"x": columns.array if columns.array in names else "x", "y": None}
    targets = [run.target] if isinstance(run.target, str | int) else list(run.target or ())
    label = columns.label or "y"
    if targets and names.issuperset(map(str, targets)):
        given["target"] = list(map(str, targets))
    elif label in names and not targets:
        given |= {"y": label, "multilabel": run.multilabel and list(map(str, run.multilabel))}
    return open_npz(path, **given, batch_size=run.batch_size)


def kept_arrays(path: str, kind: str, keep: Sequence[str], n: int) -> Mapping[str, Sequence[Any]]:
    """Return the values of arrays, one of each for each of n rows.

    Raises
    ------
    ConfigError
        There is no such array, or it has another length.
    """
    found: dict[str, Sequence[Any]] = {}
    if not keep:
        return found
    names = set() if kind == "idx" else _names(path)
    for name in keep:
        if name not in names:
            raise ConfigError(
                f"{Path(path).name}: kept {name!r} is not an array of it; it has "
                f"{', '.join(sorted(names)) or 'none with a name'}"
            )
        with np.load(path, allow_pickle=False) as file:
            found[name] = file[name].tolist()
        if len(found[name]) != n:
            raise ConfigError(
                f"{Path(path).name}: kept {name!r} has {len(found[name])} values, there are {n} "
                "rows"
            )
    return found


def _names(path: str) -> set[str]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(getattr(file, "files", ()))
    except (OSError, ValueError, EOFError):
        return set()  # opening it says what is wrong
