"""Decide how the cells of a CSV stream are divided, and whether they have a header."""

from __future__ import annotations

from collections.abc import Collection

from streamreplay.errors import ConfigError
from streamreplay.ingest.decode.cells import cells_or_none
from streamreplay.ingest.decode.delimiters import choose_delimiter
from streamreplay.ingest.decode.detect_header import HeaderRule
from streamreplay.ingest.decode.values import shown


class Dialect:
    """What was given of a CSV stream's form; the rest is found in its first lines.

    Parameters
    ----------
    delimiter, decimal : str, optional
    header : bool, optional
    named : collection of str
        Names of columns that the job gives.
    usual : str, optional
        The name of the label's column, if the job gives none.

    Raises
    ------
    ValueError
        The marks cannot be told apart.
    """

    def __init__(
        self,
        delimiter: str | None,
        decimal: str | None,
        *,
        header: bool | None,
        named: Collection[str] = (),
        usual: str | None = None,
    ) -> None:
        _check_marks(delimiter, decimal)
        self.header = header
        self.delimiter = delimiter
        self.decimal = decimal
        self.point = decimal or "."
        self._rule = HeaderRule(named, usual, self.point)

    def settle(self, records: list[bytes], last: bool, named: str | None) -> str | None:  # noqa: FBT001 - a Settle
        """Return the delimiter; None if the first record alone does not show it, or the header."""
        mark = self.delimiter or named
        mark = mark or choose_delimiter(records, last=last, decimal=self.decimal)
        if last or mark is None or self.header is not None:
            return mark
        return None if self._rule.needs_next(cells_or_none(records[0], mark) or []) else mark

    def has_header(self, source: str, first: list[str], second: list[str] | None) -> bool:
        """Return whether the first line is a header.

        Parameters
        ----------
        source : str
            What messages call the stream.
        first : list of str
            The cells of the first line.
        second : list of str, optional
            Those of the next one that is not blank.

        Raises
        ------
        ConfigError
            It may be one or not.
        """
        header = self._rule.decide(first, second) if self.header is None else self.header
        if header is None:
            raise ConfigError(
                f"{source}: the first line, with the cells {shown(first)}, may be a header or a "
                "row: set source.header = true or false"
            )
        return header


def _check_marks(delimiter: str | None, decimal: str | None) -> None:
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise ValueError(f"delimiter must be one character, got {delimiter!r}")
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal must be . or , got {decimal!r}")
    if decimal is not None and decimal == delimiter:
        raise ValueError(f"decimal and delimiter must differ, got {decimal!r} as both")
