"""Turn the bytes of a JSON stream into text with one record a line."""

from __future__ import annotations

from codecs import BOM_UTF8

from streamreplay.ingest.connect.text import LINES, LOOK, TextDecoder
from streamreplay.ingest.decode.json_records import JsonRecords, is_split
from streamreplay.state import State


class JsonText(TextDecoder):
    r"""Converts JSON that is not one record a line: arrays, and objects over several lines.

    The first bytes decide. All other text is passed on as it is.

    Examples
    --------
    >>> text = JsonText()
    >>> text.decode(b'[{"a": 1},\n{"a": 2}]')
    b' {"a": 1}\n {"a": 2}\n'
    """

    def __init__(self) -> None:
        super().__init__(quotes=False)
        self._begun: bytes | None = b""  # text that does not decide yet
        self._records: JsonRecords | None = None

    @property
    def held(self) -> bytes:
        """The bytes taken in that are no part yet of the text returned."""
        return (self._begun or b"") + super().held

    def skip_detection(self) -> None:
        """Pass on all bytes as they are: the stream is read from a place behind its beginning."""
        super().skip_detection()
        self._begun = None

    def decode(self, block: bytes | None) -> bytes:
        """Return the text in the next bytes; None stands for the end of the stream."""
        text = super().decode(block)
        if self._begun is not None:
            self._begun += text
            first = self._begun[:LOOK]
            split = is_split(first.removeprefix(BOM_UTF8))
            if split is None and block is not None and len(first) < LOOK:
                return b""
            text, self._begun = self._begun, None
            if split:
                self._records, self.alters = JsonRecords(), True
                if text.startswith(BOM_UTF8):
                    text = text.replace(BOM_UTF8, b" " * len(BOM_UTF8), 1)
        return text if self._records is None else self._split(self._records, text, block is None)

    def _split(self, records: JsonRecords, text: bytes, ended: bool) -> bytes:  # noqa: FBT001
        found = records.split(text)
        if ended and records.is_open:
            self._records = JsonRecords()  # what has been cut short does not go on
        return found

    def state_dict(self) -> State:
        """Return in what brackets the text stands; nothing at the beginning of a stream."""
        if self._begun is not None:
            return {}
        return dict(LINES) if self._records is None else self._records.state_dict()

    def go_on(self, state: State, text: bytes) -> bytes:
        """Go on where another decoder stopped, and return its text."""
        if not state:
            return self.decode(text)
        self._begun = None
        if "splits" not in state:
            self._records, self.alters = JsonRecords(), True
            self._records.load_state_dict(state)
        elif not text:
            self._begun = b""  # at the beginning of a line
        return text
