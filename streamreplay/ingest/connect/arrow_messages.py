"""Cut the bytes of an Arrow IPC stream into messages, and read record batches from them.

See "Encapsulated message format" in https://arrow.apache.org/docs/format/Columnar.html.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from streamreplay.errors import SourceError
from streamreplay.ingest.decode.arrow_columns import errors_of_arrow

CONTINUATION = b"\xff\xff\xff\xff"
"""How each message of a stream begins."""

ChooseColumns: TypeAlias = Callable[[Any], list[str]]
"""Given the Arrow schema of a file or a stream, returns the names of the columns to read."""

_END, _SCHEMA, _RECORD_BATCH = 0, 1, 3  # the numbers of the message types, and 0 for the end mark


class MessageReader:
    """Reads the record batches of one or several Arrow streams, one after the other.

    Parameters
    ----------
    name : str
        What messages call the stream.
    choose : ChooseColumns
        Called for each stream.
    """

    def __init__(self, name: str, choose: ChooseColumns) -> None:
        self._name = name
        self._choose = choose
        self._data = bytearray()
        self._whole = _Fed()  # messages that came, up to the next record batch
        self._reader: Any = None
        self._columns: list[str] = []
        self._failure: SourceError | None = None

    @property
    def failed(self) -> bool:
        """Whether there is an error that the record batches returned last came before."""
        return self._failure is not None

    @property
    def partial(self) -> bool:
        """Whether half a message has come."""
        return bool(self._data)

    def feed(self, data: bytes) -> list[Any]:
        """Take the next bytes of the stream; return the record batches that they complete.

        Raises
        ------
        SourceError
            It is no Arrow stream. All that came before has been returned.
        """
        self.check()
        self._data += data
        found = []
        try:
            while (message := self._next_message()) is not None:
                batch = self._use(*message)
                if batch is not None:
                    found.append(batch)
        except SourceError as error:
            self._failure = error
        except (struct.error, IndexError) as error:
            self._failure = SourceError(f"{self._name}: not a readable Arrow stream ({error})")
        except errors_of_arrow() as error:
            self._failure = SourceError(f"{self._name}: not a readable Arrow stream ({error})")
        if not found:
            self.check()
        return found

    def check(self) -> None:
        """Raise the error that the record batches returned last came before, if there is one."""
        if self._failure is not None:
            raise self._failure

    def _next_message(self) -> tuple[int, bytes] | None:
        """Return the type and the bytes of the next message, if all of them have come."""
        if len(self._data) < 8:
            return None
        marker, size = struct.unpack_from("<4si", self._data)
        if marker != CONTINUATION or size < 0:
            raise SourceError(
                f"{self._name}: not an Arrow stream, or broken: a message is expected"
            )
        kind, length = _END, 8
        if size:
            if len(self._data) < 8 + size:
                return None
            kind, body = _header(bytes(self._data[8 : 8 + size]))
            length = 8 + size + body
        if len(self._data) < length:
            return None
        message = bytes(self._data[:length])
        del self._data[:length]
        return kind, message

    def _use(self, kind: int, message: bytes) -> Any:
        """Take in a message; return a record batch if it is one."""
        from pyarrow import ipc  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

        if kind in (_END, _SCHEMA):
            self._whole, self._reader = _Fed(), None
        if kind == _END:
            return None
        self._whole.data += message
        if kind == _SCHEMA:
            self._reader = ipc.open_stream(self._whole)
            self._columns = self._choose(self._reader.schema)
        elif self._reader is None:
            raise SourceError(f"{self._name}: an Arrow stream must begin with its schema")
        if kind != _RECORD_BATCH:
            return None
        return self._reader.read_next_batch().select(self._columns)


def write_messages(batches: Sequence[Any]) -> bytes:
    """Return record batches as Arrow streams, one for each schema."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import ipc  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    for schema, group in groupby(batches, key=lambda batch: batch.schema):
        with ipc.new_stream(sink, schema) as writer:
            for batch in group:
                writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


class _Fed:
    """A file with the bytes of whole messages, as PyArrow reads files."""

    closed = False

    def __init__(self) -> None:
        self.data = bytearray()

    def read(self, size: int) -> bytes:
        found = bytes(self.data[:size])
        del self.data[:size]
        return found

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        pass


def _header(metadata: bytes) -> tuple[int, int]:
    """Return the type of a message and the length of its body, from its FlatBuffers table."""
    (table,) = struct.unpack_from("<I", metadata)
    (back,) = struct.unpack_from("<i", metadata, table)
    fields = table - back  # where the places of the fields are listed, behind two sizes
    size = struct.unpack_from("<H", metadata, fields)[0]

    def place(field: int) -> int:
        at = 4 + 2 * field
        found = struct.unpack_from("<H", metadata, fields + at)[0] if at < size else 0
        return table + found if found else 0

    kind, body = place(1), place(3)
    length = struct.unpack_from("<q", metadata, body)[0] if body else 0
    if length < 0:
        raise IndexError(f"a body of negative length, {length}")
    return (metadata[kind] if kind else _END), length
