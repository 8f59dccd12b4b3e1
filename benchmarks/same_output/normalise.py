"""Replace what differs between any two runs before files are compared."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import struct
from pathlib import Path

from benchmarks.same_output.rules import ON_BOTH, Rule


def comparable(name: str, data: bytes, folder: Path) -> bytes:
    """Return a file's bytes with what differs between any two runs replaced."""
    if name.endswith(".safetensors"):
        data = named_tensors(data)
    data = data.replace(str(folder).encode(), b"FOLDER")  # each checkout has a folder of its own
    return replaced(name, data, ON_BOTH)


def named_tensors(data: bytes) -> bytes:
    """Return a line for each tensor of a file, so that a difference names its tensor."""
    (size,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + size])
    lines = []
    for name, what in head.items():
        digest = ""
        if name != "__metadata__":
            first, last = what["data_offsets"]
            digest = hashlib.sha256(data[8 + size + first : 8 + size + last]).hexdigest()
        lines.append(f"{name} {json.dumps(what)} {digest}\n")
    return "".join(lines).encode()


def replaced(name: str, data: bytes, rules: tuple[Rule, ...]) -> bytes:
    """Return a file's bytes after all rules for its name."""
    for rule in rules:
        if fnmatch.fnmatchcase(name, rule.files):
            data = re.sub(rule.pattern.encode(), rule.put.encode(), data)
    return data
