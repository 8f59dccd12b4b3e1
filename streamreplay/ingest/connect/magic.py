"""Tell binary data by their first bytes."""

from __future__ import annotations

CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\f\r\x1b"})
"""Characters that text does not have."""


def begins_with(first: bytes, *magic: bytes) -> bool | None:
    r"""Return whether data begin with one of some magic numbers; None if more bytes are needed.

    Behind a magic number that is letters, text goes on with text: there data are binary only if a
    control character follows.

    Examples
    --------
    >>> begins_with(b"PAR1\x15\x04", b"PAR1"), begins_with(b"PAR1,b\n", b"PAR1")
    (True, False)
    >>> begins_with(b"PA", b"PAR1") is None
    True
    """
    answers = [_begins_with(first, each) for each in magic]
    return True if True in answers else None if None in answers else False


def _begins_with(first: bytes, magic: bytes) -> bool | None:
    if len(first) <= len(magic):
        return None if magic.startswith(first) else False
    if not first.startswith(magic):
        return False
    return not magic.isalnum() or first[len(magic)] in CONTROLS
