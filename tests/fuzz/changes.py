"""Change bytes as a fault, a bug or an editor may."""

from __future__ import annotations

from random import Random

__all__ = ["changed", "changed_line"]

_PLAIN = (b",", b";", b"\t", b"|", b"\0", b"\xff", b"\xef\xbb\xbf", b":", b"NaN", b"1e999", b" ")
_WORDS = (b"null", b"id", b"y", b"9" * 400, b"-", b"\xc3\xa9", b"1,5")
_STRUCTURE = (b"{", b"}", b"[", b"]", b"\\")
_QUOTES = (b'"', b'""', b'",', b',"')
_ENDS = (b"\n", b"\r", b"\r\n")
_TOKENS = (*_PLAIN, *_WORDS, *_STRUCTURE, *_QUOTES, *_ENDS)


def changed(dice: Random, data: bytes) -> bytes:
    """Change data at one place."""
    at, kind = dice.randrange(len(data) + 1), dice.random()
    if kind < 0.2:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if kind < 0.45:
        return data[:at] + dice.choice(_TOKENS) + data[at:]
    if kind < 0.6:
        return data[:at] + dice.choice(_TOKENS) + data[at + 1 :]
    if kind < 0.8:
        return data[:at] + data[at + dice.randint(1, 8) :]
    if kind < 0.95:
        part, to = data[at : at + dice.randint(1, 60)], dice.randrange(len(data) + 1)
        return data[:to] + part + data[to:]
    return data[:at]


def changed_line(dice: Random, line: bytes, *, quotes: bool, structure: bool) -> bytes:
    """Change a line at one or two places without ending it.

    It gets quotes, brackets and backslashes, and loses them, only if asked to.
    """
    tokens = [*_PLAIN, *_WORDS, *(_QUOTES if quotes else ()), *(_STRUCTURE if structure else ())]
    kept = (b"" if quotes else b'"') + (b"" if structure else b"{}[]\\") + b"\r\n"
    for _ in range(dice.randint(1, 2)):
        at = dice.randrange(len(line) + 1)
        end = min(at + dice.randrange(5), len(line))
        while any(byte in kept for byte in line[at:end]):
            end -= 1
        token = dice.choice(tokens) if dice.random() < 0.7 else b""
        line = line[:at] + token + line[end:]
    return line
