"""Split a source in memory by class or by chance, and read files into memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.errors import NoUsableRowError, SourceError
from streamreplay.features.changes import describe_change
from streamreplay.features.packed import joined_rows
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.arrow import Streamed
from streamreplay.ingest.dead_letters import no_usable_row
from streamreplay.ingest.decode.label_codes import Coded
from streamreplay.ingest.decode.rows import id_column
from streamreplay.labels import Name
from streamreplay.randomness import Seed, make_rng


def split_by_class(
    source: ArraySource,
    n_experiences: int,
    seed: Seed | None = None,
    class_order: Sequence[Name] | None = None,
    *,
    return_task_id: bool = False,
) -> ArraySource:
    """Return a class-incremental stream: one experience after the other, each of other classes.

    The classes are dealt out in order, as evenly as possible, the first experiences getting one
    more where it does not come out even. All rows of the source are used, wherever its position
    is; its features are not copied.

    Parameters
    ----------
    source : ArraySource
        Every row must have a label.
    n_experiences : int
    seed : int or SeedSequence, optional
        Shuffles the classes, unless ``class_order`` is given, and the rows of each experience.
        Without it classes come in their natural order (numbers before strings), and the rows of
        an experience in the source's.
    class_order : sequence of int or str, optional
        Every label name of the source, once.
    return_task_id : bool
        Whether ``task`` is the number of the experience; otherwise it is 0.

    Raises
    ------
    ValueError
        There are fewer classes than experiences, ``class_order`` does not fit, or a row has no
        label.

    Examples
    --------
    As ``SplitMNIST(n_experiences=5)`` with digits: 0 and 1, then 2 and 3, and so on.

    >>> digits = ArraySource(np.zeros((10, 1)), [3, 1, 4, 1, 5, 9, 2, 6, 0, 7])
    >>> stream = split_by_class(digits, 3, return_task_id=True)
    >>> for batch in stream:
    ...     print(batch.experience[0], [stream.labels.name(y) for y in batch.y])
    0 [1, 1, 2, 0]
    1 [3, 4, 5]
    2 [9, 6, 7]
    """
    coded = source.coded
    if (coded.codes < 0).any():
        raise ValueError(f"row {int((coded.codes < 0).argmax())} has no label: it has no class")
    if not 1 <= n_experiences <= len(coded.names):
        raise ValueError(
            f"n_experiences must be 1 to {len(coded.names)}, the number of classes, "
            f"got {n_experiences}"
        )
    rng = None if seed is None else make_rng(seed)
    order = _class_order(coded.names, class_order, rng)
    codes = np.array([coded.names.index(name) for name in order], np.int64)
    experience_of = np.empty(len(codes), np.int64)
    for number, classes in enumerate(np.array_split(codes, n_experiences)):
        experience_of[classes] = number
    of_row = experience_of[coded.codes]
    rows = np.argsort(of_row, kind="stable")
    if rng is not None:
        ends = np.cumsum(np.bincount(of_row, minlength=n_experiences))[:-1]
        rows = np.concatenate([rng.permutation(part) for part in np.split(rows, ends)])
    experience = of_row[rows]
    return source.select(rows, task=experience if return_task_id else 0, experience=experience)


def hold_out(
    source: ArraySource, share: float, *, seed: Seed = 0, first: int | None = None
) -> tuple[ArraySource, ArraySource]:
    """Split off a random share of the rows, to test with.

    Parameters
    ----------
    source : ArraySource
        All its rows are used, wherever its position is.
    share : float
        Above 0, below 1; at least one row is held out, and at least one is left.
    seed : int or SeedSequence
    first : int, optional
        Hold out of the first rows only: all others stay.

    Returns
    -------
    train, test : ArraySource
        Both in the order of the source, each with labels numbered by its own rows.

    Raises
    ------
    ValueError
        The share is not between 0 and 1, or there are fewer than two rows.

    Examples
    --------
    >>> train, test = hold_out(ArraySource(np.zeros((10, 1))), 0.2)
    >>> len(train), len(test)
    (8, 2)
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be above 0 and below 1, got {share}")
    n = len(source)
    among = n if first is None else min(first, n)
    if among < 2:
        raise ValueError(f"at least 2 rows are needed to hold some out, got {among}")
    size = min(max(round(among * share), 1), among - 1)
    out = np.zeros(n, np.bool_)
    out[make_rng(seed).choice(among, size, replace=False)] = True
    return source.select(np.flatnonzero(~out)), source.select(np.flatnonzero(out))


def in_memory(source: Streamed) -> ArraySource:
    """Read all rows that a source still has into memory, with the names of their labels.

    Raises
    ------
    SourceError
        There are none.
    NoUsableRowError
        There are records, but the first 1,000, or all of them, cannot be used.

    Examples
    --------
    ::

        test = in_memory(CsvSource("test.csv", label="class"))
    """
    batches = list(source)
    if not batches and source.dead:
        raise NoUsableRowError(no_usable_row(source.name, source.put_aside))
    if not batches:
        raise SourceError(f"{source.name}: there are no rows in it")
    y = np.concatenate([batch.y for batch in batches])
    rows = ArraySource(
        joined_rows([batch.x for batch in batches]),
        Coded.numbered(y, source.labels.names) if source.target_names is None else y,
        task=np.concatenate([batch.task for batch in batches]),
        experience=np.concatenate([batch.experience for batch in batches]),
        id=_ids(batches),
        time=_times(batches),
        target=_goals([batch.target for batch in batches]),
        weight=_goals([batch.weight for batch in batches]),
        target_names=source.target_names,
        batch_size=source.options.batch_size,
        schema=None if batches[-1].schema is None else source.schema,
    )
    rows.feature_names, rows.in_use = source.feature_names, source.describe()
    rows.put_aside = source.put_aside
    rows.notices = [describe_change(record) for record in source.schema.changes.take()]
    return rows


def _ids(batches: list[Batch]) -> NDArray[Any] | None:
    ids = [[None] * len(batch) if batch.id is None else batch.id.tolist() for batch in batches]
    return id_column(list(chain.from_iterable(ids)))


def _times(batches: list[Batch]) -> NDArray[np.float64] | None:
    if all(batch.time is None for batch in batches):
        return None
    return np.concatenate([np.full(len(b), np.nan) if b.time is None else b.time for b in batches])


def _goals(columns: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    """Join columns that all batches of a source have, or none."""
    present = [column for column in columns if column is not None]
    return np.concatenate(present) if present else None


def _class_order(
    names: list[Name], given: Sequence[Name] | None, rng: np.random.Generator | None
) -> list[Name]:
    if given is not None:
        order = [name.item() if isinstance(name, np.generic) else name for name in given]
        if len(order) != len(names) or set(order) != set(names):
            raise ValueError(f"class_order must hold each of the classes {names} once, got {order}")
        return order
    ordered = sorted(names, key=lambda name: (isinstance(name, str), name))
    return ordered if rng is None else [ordered[i] for i in rng.permutation(len(ordered))]
