"""Signals for drift detectors: one number for each row that is watched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import ConfigError
from streamreplay.evaluation.sums.output_sums import errors_of
from streamreplay.features.packed import TableSchema, is_table
from streamreplay.labels import Labels
from streamreplay.records import Scored

MOST = 100
"""Most columns or classes that one detector on all of them watches."""

_WHOLE = ("error", "loss", "features", "labels")
_ONE = ("feature", "label")


@dataclass(frozen=True, slots=True, eq=False)
class SignalValues:
    """The rows of a batch that one detector watches, and the number of each.

    Attributes
    ----------
    on : str
        Name of the signal in the log.
    rows : int64[k]
        Positions within the batch, ascending.
    values : array [k]
        Whole numbers 0 and 1, or float64.
    """

    on: str
    rows: NDArray[np.int64]
    values: NDArray[Any]


def check_signal(on: str) -> None:
    """Check the name of a signal.

    Raises
    ------
    ValueError
        There is no such signal.

    Examples
    --------
    >>> check_signal("feature:temperature")
    >>> check_signal("errors")
    Traceback (most recent call last):
    ValueError: on must be error, loss, features, labels, feature:NAME or label:NAME, got 'errors'
    """
    kind, colon, name = on.partition(":")
    if not (on in _WHOLE or (kind in _ONE and colon and name)):
        choices = f"{', '.join(_WHOLE)}, feature:NAME or label:NAME"
        raise ValueError(f"on must be {choices}, got {on!r}")


def is_binary(on: str) -> bool | None:
    """Return whether a signal has only 0 and 1; None if that depends on what is predicted."""
    return None if on == "error" else on.partition(":")[0] in ("label", "labels")


def is_of_labels(on: str) -> bool:
    """Return whether a signal needs the labels of rows."""
    return on.partition(":")[0] in ("error", "loss", "label", "labels")


def read_signal(on: str, scored: Scored, known: Collection[int]) -> Iterator[SignalValues]:
    """Yield the values of one signal in a batch: one item per column or class of all of them.

    Columns and classes have the names that the batch gives them; without names they go by
    index.

    Parameters
    ----------
    on : str
    scored : Scored
    known : collection of int
        Classes that had a row before this batch, by label index.

    Raises
    ------
    ConfigError
        There is no such column, there are too many, or what is predicted has no classes.
    """
    kind, _, name = on.partition(":")
    if kind == "error":
        yield _finite(on, *_errors(scored))
    elif kind == "loss":
        rows = np.arange(len(scored.incoming))
        yield _finite(on, rows, scored.loss.astype(np.float64))
    elif kind.startswith("feature"):
        events = np.arange(len(scored.incoming))
        if scored.late is not None:  # what a label brings for features does not count
            events = np.flatnonzero(scored.late.events)
        yield from _features(name, scored.incoming, events)
    else:
        yield from _labels(name, scored.incoming, known)


def is_unseen_class(on: str, labels: Labels) -> bool:
    """Return whether a signal is of a class that is not among the labels so far."""
    kind, _, name = on.partition(":")
    return kind == "label" and _find(name, _shown(tuple(labels.names))) < 0


def _features(name: str, batch: Batch, rows: NDArray[np.int64]) -> Iterator[SignalValues]:
    if batch.schema is not None and is_table(batch.x):
        yield from _table(name, batch.schema, batch.x, rows)
        return
    flat = batch.x.reshape(len(batch), -1)
    names = _shown(tuple(batch.feature_names or ()))
    for column in _columns(name, names, flat.shape[1]):
        values = flat[rows, column].astype(np.float64)
        said = name or (names[column] if names else column)
        yield _finite(f"feature:{said}", rows, values)


def _columns(name: str, names: tuple[str, ...], width: int) -> Sequence[int]:
    if not name:
        if width > MOST:
            raise ConfigError(
                f"drift on features: at most {MOST} columns are watched, rows have {width}: "
                "name some as feature:NAME"
            )
        return range(width)
    column = _find(name, names)
    if column < 0 and name.isdecimal():
        column = int(name)
    if not 0 <= column < width:
        have = "" if not names else f": {', '.join(names[:10])}"
        raise ConfigError(f"drift on feature:{name}: rows have no such column{have}")
    return [column]


def _table(
    name: str, schema: TableSchema, x: NDArray[Any], rows: NDArray[np.int64]
) -> Iterator[SignalValues]:
    names = tuple(schema.numeric_names)
    for column in _columns(name, names, len(names)):
        values = schema.values(x, names[column])[rows]
        seconds = values.view(np.int64) / 1e6 if values.dtype.kind == "M" else values
        yield _finite(f"feature:{names[column]}", rows, seconds)


def _labels(name: str, batch: Batch, known: Collection[int]) -> Iterator[SignalValues]:
    target, labels = batch.target, batch.labels
    names = _shown(() if labels is None else tuple(labels.names))
    rows = np.flatnonzero(batch.y >= 0)
    if target is not None:
        yield from _of_targets(name, target[rows], rows, names)
        return
    y = batch.y[rows]
    if name:
        yield SignalValues(f"label:{name}", rows, (y == _find(name, names)).astype(np.int64))
        return
    for label in sorted({*known, *y[y < MOST].tolist()}):
        hits = (y == label).astype(np.int64)
        # a class is watched from its first row on
        first = 0 if label in known else int(hits.argmax())
        said = names[label] if label < len(names) else label
        yield SignalValues(f"label:{said}", rows[first:], hits[first:])


def _of_targets(
    name: str,
    target: NDArray[Any],
    rows: NDArray[np.int64],
    names: tuple[str, ...],
) -> Iterator[SignalValues]:
    if target.dtype != np.bool_:
        raise ConfigError("drift on labels: rows have numbers to predict, and no labels")
    column = _find(name, names) if name else 0
    if not column < target.shape[1] or column < 0:
        raise ConfigError(f"drift on label:{name}: is none of {describe_array(target[:0])}")
    for each in [column] if name else range(min(MOST, target.shape[1])):
        said = name or (names[each] if names else each)
        yield SignalValues(f"label:{said}", rows, target[:, each].astype(np.int64))


def _errors(scored: Scored) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the labelled rows, and the error of each prediction."""
    batch, said = scored.incoming, scored.prediction
    rows = np.flatnonzero(batch.y >= 0)
    if batch.target is None:
        return rows, (said[rows] != batch.y[rows]).astype(np.int64)
    target, said = batch.target[rows], said[rows]
    if target.dtype == np.bool_:
        return rows, (said != target).any(axis=1).astype(np.int64)
    return rows, np.abs(errors_of(said, target)).mean(axis=1)


def _finite(on: str, rows: NDArray[np.int64], values: NDArray[Any]) -> SignalValues:
    if values.dtype.kind == "i":
        return SignalValues(on, rows, values)
    finite = np.isfinite(values)
    return SignalValues(on, rows[finite], values[finite])


@lru_cache(maxsize=16)  # the names are those of the last batch nearly always
def _shown(names: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return names as text; of 1 and "1", the second gets a quote.

    >>> _shown(("1", 1, "a"))
    ('1', "1'", 'a')
    """
    shown: dict[str, None] = {}
    for name in names:
        text = str(name)
        while text in shown:
            text += "'"
        shown[text] = None
    return tuple(shown)


def _find(name: str, names: tuple[str, ...]) -> int:
    """Return the index of a name; -1 if it is unknown so far."""
    if names:
        return names.index(name) if name in names else -1
    return int(name) if name.isdecimal() else -1
