"""Random CSV and JSON: dialects, encodings and shapes, with bad records among good ones."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.fuzz.changes import changed_line
from tests.fuzz.rows import Input, Table, make_table

__all__ = ["csv_input", "json_input"]

LONGEST = 3000
GAPS = ("", "", "NA", "?", "null", "NaN")


# -- CSV ------------------------------------------------------------------------------------------


def csv_input(dice: Random) -> Input:
    """Draw a CSV stream."""
    table = make_table(dice)
    mark = dice.choice(",,;\t|")
    options: dict[str, Any] = {"max_line_bytes": LONGEST}
    if mark != "," and dice.random() < 0.3:
        options["decimal"] = ","
    header = dice.random() < 0.8
    if not header:
        options |= {"header": False, "id": 0, "label": -1}
    if not header or dice.random() < 0.3:
        options["delimiter"] = mark
    if header and dice.random() < 0.3:
        options["header"] = True
    writer = _CsvWriter(dice, mark, options.get("decimal", "."))
    utf16 = dice.random() < 0.15
    lines, bad, changed = _csv_lines(dice, table, writer, header=header, utf16=utf16)
    end = writer.end.encode()
    data = end.join(lines) + (end if dice.random() < 0.7 else b"")
    form = f"csv {'utf-16' if utf16 else 'utf-8'}"
    files = {"rows.csv": _encoded(dice, data, utf16)}
    return Input(form, "csv", files, options, table.expected, bad, changed)


class _CsvWriter:
    """Writes cells as one program does."""

    def __init__(self, dice: Random, mark: str, decimal: str) -> None:
        self.dice, self.mark, self.decimal = dice, mark, decimal
        self.end = dice.choice(("\n", "\n", "\r\n", "\r"))
        self.quotes = dice.choice(("never", "needed", "all", "any"))
        self.inner = dice.choice((self.end, "\n")) if self.end != "\r" else "\n"
        self.spaces = dice.random() < 0.1 and mark != "\t"

    def line(self, values: list[Any]) -> bytes:
        return self.mark.join(map(self.cell, values)).encode()

    def cell(self, value: Any) -> str:
        if value is None:
            return self.dice.choice(GAPS)
        if isinstance(value, bool):
            return self.dice.choice((str(value), str(value).lower()))
        if isinstance(value, int | float):
            text = repr(value).replace(".", self.decimal)
        elif self.quotes == "never":
            text = value
            for character in (*",;\t|", '"', "\r", "\n"):
                text = text.replace(character, " ")
        else:
            text = value.replace("\n", self.inner)
        needs = any(c in text for c in (self.mark, '"', "\r", "\n"))
        if needs or self.quotes == "all" or (self.quotes == "any" and self.dice.random() < 0.5):
            text = '"' + text.replace('"', '""') + '"' + " " * self.spaces
        return text


def _csv_lines(
    dice: Random, table: Table, writer: _CsvWriter, *, header: bool, utf16: bool
) -> tuple[list[bytes], int, int]:
    bad = changed = 0
    order = table.names
    if header:
        dice.shuffle(order)
    lines = [writer.line(order)] if header else []
    share = dice.choice((0.0, 0.0, 0.1, 0.5))
    changes = dice.choice((0.0, 0.0, 0.2)) if not utf16 else 0.0
    for i, record in enumerate(table.records):
        if header and i and dice.random() < 0.05:
            dice.shuffle(order)
            lines.append(writer.line(order))
        values = [record[name] if name != "y" else record["y"] for name in order]
        cells = [
            "" if name == "y" and value is None else writer.cell(value)
            for name, value in zip(order, values, strict=True)
        ]
        if writer.quotes != "never" and dice.random() < 0.1:
            text = [j for j, name in enumerate(order) if table.kinds.get(name) == "text"]
            for j in text:  # a line end in a cell
                cells[j] = writer.cell(f"two{writer.inner}lines{writer.inner} of it")
        if (i or header) and dice.random() < share:
            lines.append(_bad_line(dice, writer, len(order), utf16=utf16))
            bad += 1
        lines.append(writer.mark.join(cells).encode())
        if dice.random() < changes and b"\n" not in lines[-1] and b"\r" not in lines[-1]:
            quotes = not changed  # those of two lines could close each other's
            lines.append(changed_line(dice, lines[-1], quotes=quotes, structure=True))
            changed += 1
        if dice.random() < 0.05:
            lines += [b""] * dice.randint(1, 3)
    return lines, bad, changed


def _bad_line(dice: Random, writer: _CsvWriter, width: int, *, utf16: bool) -> bytes:
    mark = writer.mark.encode()
    cells = [b"bad"] * width
    place = dice.randrange(width)
    match dice.randrange(6):
        case 0:
            return mark.join(cells * 2 + [b"more"])
        case 1:
            return mark.join(cells[:-1])
        case 2:
            cells[place] = b"half\xff" if not utf16 else b"nul\0"
        case 3:
            cells[place] = b"nul\0"
        case 4:
            cells[place] = b'"open'
        case 5:
            cells[place] = b"o" * LONGEST
    return mark.join(cells)


def _encoded(dice: Random, data: bytes, utf16: bool) -> bytes:
    if utf16:
        return (
            data.decode().encode("utf-16")
            if dice.random() < 0.5
            else (codecs.BOM_UTF16_BE + data.decode().encode("utf-16-be"))
        )
    return codecs.BOM_UTF8 + data if dice.random() < 0.15 else data


# -- JSON -----------------------------------------------------------------------------------------


def json_input(dice: Random) -> Input:
    """Draw a stream of JSON records: lines, an array, or objects over several lines."""
    table = make_table(dice)
    width = dice.randint(1, 4)
    array = dice.random() < 0.35
    shape = dice.choice(("lines", "lines", "array", "array of lines", "pretty", "objects"))
    share = dice.choice((0.0, 0.0, 0.1, 0.5))
    texts: list[bytes] = []
    bad = changed = 0
    changes = dice.choice((0.0, 0.0, 0.2))
    structure = shape in ("lines", "array of lines")
    for record in table.records:
        # the first record decides about the shape of arrays, and whether objects have more lines
        if dice.random() < share and (texts or not (array or shape == "objects")):
            texts.append(_bad_record(dice, shape, array=array, width=width))
            bad += 1
        fields = _array_fields(dice, record, width) if array else _fields(dice, record)
        texts.append(_dumped(dice, fields, shape))
        if dice.random() < changes:
            text = changed_line(dice, texts[-1], quotes=structure, structure=structure)
            texts.append(text)
            changed += 1
    end = b"\r\n" if dice.random() < 0.1 else b"\n"
    data = _laid_out(dice, texts, shape, end)
    if shape == "lines" and dice.random() < 0.1:
        data = codecs.BOM_UTF8 + data
    options: dict[str, Any] = {"max_line_bytes": LONGEST}
    files = {"rows.jsonl": data}
    return Input(f"json {shape}", "jsonl", files, options, table.expected, bad, changed)


def _fields(dice: Random, record: dict[str, Any]) -> dict[str, Any]:
    fields = dict(record)
    if dice.random() < 0.3:
        fields["nested"] = dice.choice(({"a": [1, {"b": None}]}, [[], {}], "{[", {"x": "}"}))
    if dice.random() < 0.1:
        fields["odd"] = dice.choice((float("nan"), 1e400, -0.0, 10**30, "\N{GRINNING FACE}", "\\"))
    if dice.random() < 0.3:
        fields = {name: value for name, value in fields.items() if value is not None}
    if dice.random() < 0.3:
        fields = dict(dice.sample(list(fields.items()), len(fields)))
    return fields


def _array_fields(dice: Random, record: dict[str, Any], width: int) -> dict[str, Any]:
    x = [dice.choice((0, 1.5, -2, 1e30)) for _ in range(width)]
    fields = {"id": record["id"], "x": x, "y": record["y"]}
    return fields | ({"task": dice.randrange(3)} if dice.random() < 0.3 else {})


def _dumped(dice: Random, fields: dict[str, Any], shape: str) -> bytes:
    indent = dice.choice((1, 2, 4)) if shape in ("pretty", "objects") else None
    separators = (",", ":") if indent is None and dice.random() < 0.5 else None
    plain = dice.random() < 0.5
    return json.dumps(fields, indent=indent, separators=separators, ensure_ascii=plain).encode()


def _laid_out(dice: Random, texts: list[bytes], shape: str, end: bytes) -> bytes:
    if shape in ("lines", "objects"):
        blank = dice.choice((b"", end, end * 3))
        return end.join([*texts[:1], *(dice.choice((b"", b"", blank)) + t for t in texts[1:])]) + (
            end if dice.random() < 0.7 else b""
        )
    between = b", " if shape == "array" else b"," + end
    return b"[" + (b"" if shape == "array" else end) + between.join(texts) + end + b"]"


def _bad_record(dice: Random, shape: str, *, array: bool, width: int) -> bytes:
    wrong: list[Callable[[], Any]] = [
        lambda: {"id": "bad", "x": [1] * width, "z": 1, "size": 1, "y": [1]},
        lambda: {"id": 1.5, "x": [1] * width, "size": 1},
        lambda: {"id": "b\0", "x": [1] * width, "size": 1},
        lambda: {"id": "o" * 300, "x": [1] * width, "size": 1},
        lambda: {"id": "bad", "size": 1, "x": [1] * width, "more": "o" * LONGEST},
    ]
    if array:
        wrong += [
            lambda: {"id": "bad", "x": [1] * (width + 1), "y": 1},
            lambda: {"id": "bad", "x": None, "y": 1},
            lambda: {"id": "bad", "x": ["a"] * width},
            lambda: {"id": "bad", "x": [1] * width, "task": "a"},
        ]
    if shape != "objects":
        wrong += [lambda: 5, lambda: "text", lambda: None, lambda: True]
    found = json.dumps(dice.choice(wrong)()).encode()
    if shape == "lines" and dice.random() < 0.4:
        return dice.choice(
            (b"broken", b'{"id": "bad', b"{", b'{"x": [1, 2]', b"\xff\xfd", b"}]", b"[1]")
        )
    if shape == "array of lines" and dice.random() < 0.3:
        return dice.choice(
            (b"broken", b'{"id": "bad', b'{"id": "bad", "x": 3', b'{"id": "bad", "q": 1]')
        )
    return found
