"""Choose the delimiter of a CSV stream by its first records."""

from __future__ import annotations

import re

CANDIDATES = ",;\t|"

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = re.compile(r"(?:^|(?<=[;\t|]))\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*(?=[;\t|]|$)")

_SEP = re.compile(rb'(?:\xef\xbb\xbf)?("?)sep=([^"\r\n])\1\r?', re.IGNORECASE)


def named_delimiter(record: bytes) -> str | None:
    r"""Return the delimiter that a line for Excel names, ``sep=;``; None for any other line.

    Examples
    --------
    >>> named_delimiter(b"sep=;\r"), named_delimiter(b'"sep=,"'), named_delimiter(b"sep=;1")
    (';', ',', None)
    """
    found = _SEP.fullmatch(record)
    return None if found is None else found[2].decode("latin-1")


def choose_delimiter(records: list[bytes], *, last: bool, decimal: str | None) -> str | None:
    r"""Return the delimiter of the first one or two records; None if one does not show it.

    It is the character of ``,``, ``;``, tab and ``|`` that occurs most often outside quotes, and
    equally often in both records. Commas do not count if all of them make decimal numbers between
    the others.

    Parameters
    ----------
    records : list of bytes
    last : bool
        No further record comes.
    decimal : str, optional
        The decimal mark: not a delimiter.

    Examples
    --------
    >>> choose_delimiter([b"a;b"], last=False, decimal=None)
    ';'
    >>> choose_delimiter([b"1,5;2,5;k"], last=False, decimal=None)
    ';'
    >>> choose_delimiter([b"a;b,c"], last=False, decimal=None) is None
    True
    >>> choose_delimiter([b"a;b,c", b"1;2"], last=True, decimal=None)
    ';'
    """
    counts = [_counts(record, decimal) for record in records]
    present = [mark for mark, count in counts[0].items() if count]
    if len(present) < 2:
        return present[0] if present else next(m for m in CANDIDATES if m != decimal)
    if len(records) < 2 and not last:
        return None
    consistent = [mark for mark in present if counts[-1][mark] == counts[0][mark]]
    return max(consistent or present, key=lambda mark: (counts[0][mark], mark != ","))


def _counts(record: bytes, decimal: str | None) -> dict[str, int]:
    text = _QUOTED.sub("", record.decode("utf-8", "replace")).rstrip("\r")
    counts = {mark: text.count(mark) for mark in CANDIDATES if mark != decimal}
    if "," in counts and "," not in _DECIMAL_COMMA.sub("", text):
        counts[","] = 0
    return counts
