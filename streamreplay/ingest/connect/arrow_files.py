"""Open Parquet files, Arrow files and Arrow streams, told by their first bytes."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.connect.arrow_messages import (
    CONTINUATION,
    ChooseColumns,
    MessageReader,
)
from streamreplay.ingest.connect.byte_stream import ByteStream, open_bytes, source_name
from streamreplay.ingest.connect.magic import begins_with
from streamreplay.ingest.decode.arrow_columns import errors_of_arrow, plain_rows

PARQUET, ARROW_FILE = b"PAR1", b"ARROW1"
_FEATHER_1, _ZIP = b"FEA1", b"PK\x03\x04"
MAGIC_SIZE = len(ARROW_FILE)
_ROWS = 1024
_PATIENCE = 0.5  # seconds to wait for more of the first rows

_WITH_INDEX = {PARQUET: "a Parquet file", ARROW_FILE: "an Arrow file", _ZIP: "an .npz file"}


class ArrowReader(Protocol):
    """Record batches of a file or a stream, in order.

    Attributes
    ----------
    regular : bool
        Reading never waits.
    reopens : bool
        It can be read again from its start.
    """

    @property
    def regular(self) -> bool: ...  # noqa: D102 - described above
    @property
    def reopens(self) -> bool: ...  # noqa: D102

    def ready(self, timeout: float) -> bool:
        """Wait until `read` would return at once, for at most ``timeout`` seconds."""

    def read(self) -> list[Any] | None:
        """Return the next record batches, if some have come whole; None at the end."""

    def close(self) -> None:
        """Close the file."""


class FileReader:
    """The record batches of a file with an index."""

    regular = reopens = True

    def __init__(self, name: str, batches: Iterator[Any]) -> None:
        self._name = name
        self._batches = batches

    def ready(self, timeout: float) -> bool:  # noqa: ARG002 - as in a pipe
        """Return True: a file never waits."""
        return True

    def read(self) -> list[Any] | None:
        """Return the next record batch; None at the end."""
        try:
            found = next(self._batches, None)
        except errors_of_arrow() as error:
            raise SourceError(f"{self._name}: cannot be read: {error}") from None
        return None if found is None else [found]

    def close(self) -> None:
        """Close the file."""
        self._batches = iter(())


class StreamReader:
    """The record batches of an Arrow stream in a file or a pipe, which may be compressed."""

    def __init__(self, stream: ByteStream, choose: ChooseColumns) -> None:
        self._stream = stream
        self._messages = MessageReader(stream.name, choose)
        self._first: bytes | None = b""  # until they show what it is
        self.regular, self.reopens = stream.regular, stream.reopens

    def ready(self, timeout: float) -> bool:
        """Wait until `read` would return at once, for at most ``timeout`` seconds."""
        return self._messages.failed or self._stream.ready(timeout)

    def read(self) -> list[Any] | None:
        """Read once; return the record batches that have come whole, None at the end."""
        self._messages.check()
        data = self._stream.read()
        if data is None:
            self._check_end()
            return None
        if self._first is not None:
            data = self._first + data
            self._first = data if len(data) < MAGIC_SIZE else None
            if self._first is not None:
                return []
            check_stream(self._stream.name, data)
        return self._messages.feed(data)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._stream.close()

    def _check_end(self) -> None:
        if self._first or self._messages.partial:
            raise SourceError(f"{self._stream.name}: ends in the middle of a record batch")


def check_stream(name: str, first: bytes) -> None:
    """Raise an error if something that cannot be gone back in is no Arrow stream.

    Raises
    ------
    SourceError
        The message says what it is, and what to do.
    """
    for magic, what in _WITH_INDEX.items():
        if first.startswith(magic):
            raise SourceError(
                f"{name}: is {what}, which has its index at its end and can only be read from an "
                "uncompressed file on a disk: give its path (--source FILE)"
            )
    if first.startswith(_FEATHER_1):
        raise SourceError(f"{name}: is Feather of version 1: convert it to version 2 (.arrow)")
    if not first.startswith(CONTINUATION):
        raise SourceError(f"{name}: neither a Parquet file nor an Arrow file nor an Arrow stream")


def open_reader(path: str | Path, choose: ChooseColumns) -> ArrowReader:
    """Open a file or a pipe.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input.
    choose : ChooseColumns
        Called when the columns are known, before the first rows.

    Raises
    ------
    SourceError
        It cannot be opened, or is something else.
    """
    stream = open_bytes(path)
    first = stream.first(MAGIC_SIZE) if stream.reopens else b""
    if not first.startswith((PARQUET, ARROW_FILE)):
        return StreamReader(stream, choose)
    stream.close()
    is_parquet = first.startswith(PARQUET)
    batches = _parquet_batches if is_parquet else _file_batches
    return FileReader(source_name(path), batches(Path(path), choose))


def first_rows(path: str, choose: ChooseColumns, most: int) -> list[Any]:
    """Return the first rows of a file, at most so many, as record batches of plain columns."""
    reader = open_reader(path, choose)
    found: list[Any] = []
    try:
        while most > 0 and (not found or reader.ready(_PATIENCE)):
            if (batches := reader.read()) is None:
                break
            for rows in batches:
                found.append(plain_rows(source_name(path), rows.slice(0, max(most, 0))))
                most -= found[-1].num_rows
    finally:
        reader.close()
    return found


def count_rows(path: str | Path) -> int | None:
    """Return the number of rows of a file, from its index; None if it has none.

    Raises
    ------
    SourceError
        The file's index is broken.
    """
    if not _is_file(path):
        return None
    file = Path(path)
    with file.open("rb") as opened:
        first = opened.read(MAGIC_SIZE)
    if first.startswith(PARQUET):
        return int(_open_parquet(file).metadata.num_rows)
    if not first.startswith(ARROW_FILE):
        return None
    reader = _open_file(file, [0])
    with _readable(file, "an Arrow"):
        return sum(int(reader.get_batch(i).num_rows) for i in range(reader.num_record_batches))


def shows_parquet(first: bytes) -> bool | None:
    """Return whether data that begin with some bytes are a Parquet file; None: more are needed."""
    return begins_with(first, PARQUET)


def shows_arrow(first: bytes) -> bool | None:
    """Return whether data that begin with some bytes are Arrow's; None: more are needed."""
    return begins_with(first, CONTINUATION, ARROW_FILE, _FEATHER_1)


def check_pyarrow() -> None:
    """Raise `ConfigError` if PyArrow is missing."""
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401, ICN001, PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "source: Parquet and Arrow need PyArrow: pip install 'streamreplay[arrow]'"
        ) from None


def _is_file(path: str | Path) -> bool:
    try:
        return str(path) != "-" and stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Name a file in errors of PyArrow."""
    try:
        yield
    except errors_of_arrow() as error:
        raise SourceError(f"{path.name}: not {what} file, or a broken one ({error})") from None


def _open_parquet(path: Path) -> Any:
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    with _readable(path, "a Parquet"):
        return parquet.ParquetFile(path)


def _open_file(path: Path, fields: list[int]) -> Any:
    """Open an Arrow file, of which some fields are read from each batch; all if none is given."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import ipc  # noqa: PLC0415

    with _readable(path, "an Arrow"):
        options = ipc.IpcReadOptions(included_fields=fields)
        return ipc.open_file(pa.OSFile(str(path)), options=options)


def _parquet_batches(path: Path, choose: ChooseColumns) -> Iterator[Any]:
    with _open_parquet(path) as file:
        columns = choose(file.schema_arrow)
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            yield batch.select(columns)


def _file_batches(path: Path, choose: ChooseColumns) -> Iterator[Any]:
    schema = _open_file(path, []).schema
    columns = choose(schema)
    reader = _open_file(path, sorted(map(schema.get_field_index, columns)))
    for i in range(reader.num_record_batches):
        yield reader.get_batch(i).select(columns)
