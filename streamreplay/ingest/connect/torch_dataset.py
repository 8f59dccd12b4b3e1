"""Streams from torch's datasets, map-style and iterable, read row by row."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TypeAlias, cast, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, SourceError
from streamreplay.ingest.connect.skip import Skip
from streamreplay.ingest.decode.options import check_limit, labels_or_new, positive
from streamreplay.ingest.decode.values import BadRecord, array_label
from streamreplay.ingest.second_pass import SecondPass
from streamreplay.labels import Labels, Name
from streamreplay.put_aside import PutAside
from streamreplay.state import State, Stateful, within

_Row: TypeAlias = tuple[NDArray[Any], Name | None]


@runtime_checkable
class MapDataset(Protocol):
    """A dataset whose rows can be asked for by number."""

    def __getitem__(self, row: int, /) -> Any: ...
    def __len__(self) -> int: ...


def open_dataset(
    dataset: MapDataset | Iterable[Any],
    *,
    label: int | str | None = 1,
    features: int | str = 0,
    batch_size: int = 32,
    limit: int | None = None,
    labels: Labels | None = None,
) -> DatasetSource:
    """Open a torch ``Dataset`` or ``IterableDataset`` as a stream of its rows, in their order.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Each item is a tuple or a mapping of one row.
    label, features : int or str, optional
        The places of label and features in an item, or their keys. No row has a label if ``label``
        is None; a row whose label is None or -1 has none.
    batch_size : int
        Most rows in a batch.
    limit : int, optional
        Rows of the whole stream to yield, those before a resume counted.
    labels : Labels, optional
        Names known from the start, to which new ones are added.

    Notes
    -----
    A resumed source asks a map-style dataset for the next row, after a check that the last row is
    still the one learned from. An iterable dataset with ``state_dict`` and ``load_state_dict`` is
    resumed by them; any other must yield the same rows from its start, and those learned from are
    read, compared and skipped. Transforms that draw random numbers make other rows of them, so that
    such a stream cannot be resumed.

    Raises
    ------
    ValueError
        A size is out of range; while iterating: rows differ in shape, or are not finite.
    TypeError
        The dataset is neither; while iterating: an item has no such place.
    SourceError
        While iterating after a resume: the rows are not those that were learned from.

    Examples
    --------
    >>> rows = [([0.0, 1.0], "cat"), ([1.0, 0.0], "dog"), ([1.0, 1.0], "cat")]
    >>> source = open_dataset(rows, batch_size=2)
    >>> [batch.y.tolist() for batch in source], source.labels.names
    ([[0, 1], [0]], ['cat', 'dog'])
    """
    return DatasetSource(
        dataset, label=label, features=features, batch_size=batch_size, limit=limit, labels=labels
    )


@final
class DatasetSource:
    """Rows of a torch dataset; see `open_dataset`, and `Source` for the attributes."""

    feature_names: Sequence[str] | None = None
    left_out: Sequence[str] = ()

    def __init__(
        self,
        dataset: MapDataset | Iterable[Any],
        *,
        label: int | str | None,
        features: int | str,
        batch_size: int,
        limit: int | None,
        labels: Labels | None,
    ) -> None:
        if not isinstance(dataset, MapDataset | Iterable):
            raise TypeError(f"dataset must be map-style or iterable, got {type(dataset).__name__}")
        self._dataset = dataset
        self._map = None if _is_iterable(dataset) else cast(MapDataset, dataset)
        self._places = (features, label)
        self.name = type(dataset).__name__
        self.batch_size = positive("batch_size", batch_size)
        self.limit = check_limit(limit)
        self.labels = labels_or_new(labels)
        self.continue_from_here = False
        self.whole_batches = False
        self.position = 0
        self.put_aside = PutAside()  # none: an item that cannot be used is an error
        self._bytes = self._crc = self._last_crc = 0  # of the rows yielded
        self._items: Iterator[Any] | None = None
        self._passes = SecondPass()

    @property
    def rows_total(self) -> int | None:
        """Rows of a map-style dataset; None for an iterable one."""
        return None if self._map is None else len(self._map)

    def __iter__(self) -> Iterator[Batch]:
        yield from self._passes.over(iter(self._next, None), self.name)
        self._passes.ended = not self.whole_batches

    def close(self) -> None:
        """Drop the iterator over the dataset; iterating again makes a new one and continues."""
        self.load_state_dict(self.state_dict())

    def state_dict(self) -> State:
        """Return the position, checksums of the rows, the labels, and the dataset's own state."""
        own = self._dataset if isinstance(self._dataset, Stateful) else None
        return {
            "rows": self.position,
            "bytes": self._bytes,
            "crc": self._crc,
            "last_crc": self._last_crc,
            "labels": self.labels.state_dict(),
            "dataset": None if own is None else own.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; the rows are found again at the next iteration.

        Raises
        ------
        CheckpointError
            It is of a dataset with state and this one has none, or the other way round.
        """
        own = self._dataset if isinstance(self._dataset, Stateful) else None
        if (state["dataset"] is None) != (own is None):
            saved = "without" if state["dataset"] is None else "with"
            live = "has none" if own is None else "has one"
            raise CheckpointError(f"dataset: saved {saved} a state, this dataset {live}")
        with within("labels"):
            self.labels.load_state_dict(state["labels"])
        if own is not None:
            own.load_state_dict(state["dataset"])
        self.position, self._bytes = int(state["rows"]), int(state["bytes"])
        self._crc, self._last_crc = int(state["crc"]), int(state["last_crc"])
        self._items, self._passes.ended = None, False

    def _next(self) -> Batch | None:
        room = self.batch_size
        if self.limit is not None:
            room = min(room, self.limit - self.position)
        if room <= 0 or (self.whole_batches and room < self.batch_size):
            return None
        before = self.state_dict() if self.whole_batches else None
        try:
            batch = self._read(room)
        except BaseException:  # which ends a generator: the next call makes a new one
            self._items = None
            raise
        if before is None or batch is None or len(batch) == room:
            return batch
        self.load_state_dict(before)
        return None

    def _read(self, room: int) -> Batch | None:
        """Return the next rows, at most ``room``; an error leaves the position in front of them."""
        if self._items is None:
            self._items = self._connect()
        rows = [self._row(item) for item in islice(self._items, room)]
        if not rows:
            return None
        start = self.position
        y = self.labels.indices([name for _, name in rows])
        batch = Batch.from_arrays([x for x, _ in rows], y, start=start, labels=self.labels)
        finite = np.isfinite(batch.x).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            at = start + int((~finite).argmax())
            raise ValueError(f"x must be finite in float32, row {at} is not")
        self.position += len(rows)
        for row in rows:
            self._count(_bytes_of(row))
        return batch

    def _row(self, item: Any) -> _Row:
        features, label = self._places
        try:
            x = np.asarray(item[features])
            given = None if label is None else item[label]
        except (IndexError, KeyError, TypeError) as error:
            raise TypeError(
                f"{self.name}: an item has no place {features!r} or {label!r}: name those of "
                "features and label, as in open_dataset(dataset, features=0, label=1)"
            ) from error
        try:
            return x, None if given is None else array_label(self._value(given))
        except BadRecord as error:
            raise TypeError(f"{self.name}: {error}") from None

    def _value(self, label: Any) -> Any:
        value = np.asarray(label)
        if value.size != 1:
            raise TypeError(
                f"{self.name}: the label of an item must be one value, got {describe_array(value)}"
            )
        return value.item()

    def _count(self, row: bytes) -> None:
        self._bytes += len(row)
        self._crc = zlib.crc32(row, self._crc)
        self._last_crc = zlib.crc32(row)

    def _connect(self) -> Iterator[Any]:
        rows = self._map
        if rows is not None:
            self._check_last(rows)
            return (rows[row] for row in range(self.position, len(rows)))
        items = iter(cast(Iterable[Any], self._dataset))
        own = isinstance(self._dataset, Stateful)
        if self.position and not self.continue_from_here and not own:
            self._skip(items)
        return items

    def _check_last(self, dataset: MapDataset) -> None:
        if len(dataset) < self.position:
            raise SourceError(
                f"{self.name}: {self.position} rows of it were learned from, but it has only "
                f"{len(dataset)}"
            )
        last = self.position - 1
        if last >= 0 and zlib.crc32(_bytes_of(self._row(dataset[last]))) != self._last_crc:
            raise SourceError(f"{self.name}: row {last} differs from the one that was learned")

    def _skip(self, items: Iterator[Any]) -> None:
        """Read the rows that were learned from, and compare them."""
        skip = Skip(self.name, self._bytes, self._crc)
        for item in islice(items, self.position):
            skip.over(_bytes_of(self._row(item)))
        if not skip.done:
            skip.over(b"", ended=True)


def _is_iterable(dataset: object) -> bool:
    """Return whether rows can only be iterated over: torch's ``IterableDataset`` may have a length.

    It also inherits the method to ask for a row by number, which it does not support.
    """
    data: Any = sys.modules.get("torch.utils.data")
    if data is not None and isinstance(dataset, data.IterableDataset):
        return True
    return not isinstance(dataset, MapDataset)


def _bytes_of(row: _Row) -> bytes:
    x, name = row
    return np.ascontiguousarray(x).tobytes() + repr((x.shape, x.dtype.str, name)).encode()
