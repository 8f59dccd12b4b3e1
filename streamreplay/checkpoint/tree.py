"""Convert a state tree to JSON and named arrays, and back, without losing a bit."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
"""Arrays of plain NumPy numbers, by their path in the tree."""

_NUMBERS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
_TENSORS = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    | {"float16", "bfloat16", "float32", "float64"}
)
_MOST_COLUMNS = 1 << 24  # of one kind, in a packed row
_JSON_INT = 2**63  # larger ones are written in base 16: Python limits the digits of decimal ones


def encode(value: Any, path: str, columns: Columns) -> Any:
    """Return what JSON can hold of a tree; arrays go into ``columns``.

    Raises
    ------
    TypeError
        A leaf or a key is of another type; the message names its path.
    """
    if value is None or isinstance(value, bool | str | int | float):
        return _encode_scalar(value)
    if isinstance(value, list | tuple):
        return [encode(each, _join(path, i), columns) for i, each in enumerate(value)]
    if isinstance(value, dict):
        return _encode_dict(value, path, columns)
    if isinstance(value, np.ndarray):
        return _encode_array(value, path, columns)
    torch = sys.modules.get("torch")  # without it there are no tensors, and it is slow to import
    if torch is not None and isinstance(value, torch.Tensor):
        return _encode_tensor(value, path, columns)
    raise TypeError(f"{path}: {type(value).__name__} cannot be part of a state")


def decode(node: Any, columns: Columns) -> Any:
    """Return the tree that `encode` was given.

    Raises
    ------
    ValueError
        It is not what `encode` returns.
    """
    if isinstance(node, list):
        return [decode(each, columns) for each in node]
    if isinstance(node, dict):
        return _decode_dict(node, columns)
    return node


def _encode_scalar(value: Any) -> Any:
    if isinstance(value, int) and abs(value) >= _JSON_INT:
        return {"$int": hex(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    return value


def _encode_dict(tree: dict[Any, Any], path: str, columns: Columns) -> Any:
    for key in tree:
        if not isinstance(key, int | str) or isinstance(key, bool):
            raise TypeError(f"{path}: keys must be str or int, got {key!r}")
    encoded = {key: encode(value, _join(path, key), columns) for key, value in tree.items()}
    if all(isinstance(key, str) and not key.startswith("$") for key in encoded):
        return encoded
    return {"$dict": [[key, value] for key, value in encoded.items()]}


def _decode_dict(node: dict[str, Any], columns: Columns) -> Any:
    match node:
        case {"$dict": list(pairs)}:
            tree: Any = {_key(pair): decode(pair[1], columns) for pair in pairs}
        case {"$int": str(digits)}:
            tree = int(digits, 16)
        case {"$float": "nan" | "inf" | "-inf" as word}:
            tree = float(word)
        case {"$array": str(name), "dtype": str() | list() as dtype} if name in columns:
            tree = _decode_array(columns[name], dtype)
        case {"$tensor": str(name), "dtype": str(dtype)} if name in columns:
            tree = _decode_tensor(columns[name], dtype)
        case _ if any(key.startswith("$") for key in node):
            raise ValueError(f"no value is written as {_short(node)}")
        case _:
            tree = {key: decode(value, columns) for key, value in node.items()}
    return tree


def _key(pair: Any) -> int | str:
    match pair:
        case [int() | str() as key, _] if not isinstance(key, bool):
            return key
    raise ValueError(f"no key and value: {_short(pair)}")


def _short(node: object) -> str:
    text = repr(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _encode_array(array: NDArray[Any], path: str, columns: Columns) -> Any:
    dtype = array.dtype.newbyteorder("<")
    column = np.asarray(array, dtype, order="C")
    if dtype.kind == "U":
        width = dtype.itemsize // 4
        codes = np.zeros((*array.shape, width), np.uint32)
        if codes.size:
            codes[...] = column[..., None].view(np.uint32)
        column = codes
    elif dtype.names is not None:  # packed rows: their bytes
        raw = np.frombuffer(column.tobytes(), np.uint8).reshape(*array.shape, dtype.itemsize)
        fields = [[name, dtype[name].base.str, list(dtype[name].shape)] for name in dtype.names]
        return {"$array": _put(raw, path, columns), "dtype": fields}
    elif dtype.str[1:] not in _NUMBERS:
        raise TypeError(f"{path}: an array of {array.dtype} cannot be part of a state")
    return {"$array": _put(column, path, columns), "dtype": dtype.str}


def _decode_array(column: NDArray[Any], name: str | list[Any]) -> NDArray[Any]:
    if isinstance(name, list):
        packed = np.dtype([_field(each) for each in name])
        if column.dtype != np.uint8 or column.shape[-1:] != (packed.itemsize,):
            raise ValueError(f"rows of {packed.itemsize} bytes are in {_described(column)}")
        return np.frombuffer(column.tobytes(), packed).reshape(column.shape[:-1]).copy()
    if name[1:] in _NUMBERS and column.dtype.str == name:
        return column
    width = re.fullmatch(r"<U(\d{1,9})", name, re.ASCII)
    if width is None or column.dtype != np.uint32 or column.shape[-1:] != (int(width[1]),):
        raise ValueError(f"an array of {_short(name)} is in {_described(column)}")
    if column.max(initial=0) > sys.maxunicode:
        raise ValueError("an array of text has numbers that are no characters")
    array = np.zeros(column.shape[:-1], name)
    if array.size and array.dtype.itemsize:
        array[...] = column.view(name)[..., 0]
    return array


def _field(field: Any) -> tuple[str, str, tuple[int, ...]]:
    match field:
        case [str(name), str(kind), [*shape]] if kind[1:] in _NUMBERS:
            if all(type(n) is int and 0 <= n < _MOST_COLUMNS for n in shape) and len(shape) <= 2:
                return name, kind, tuple(shape)
    raise ValueError(f"no field of a row is written as {_short(field)}")


def _described(column: NDArray[Any]) -> str:
    return f"a column of {column.dtype}{list(column.shape)}"


def _encode_tensor(tensor: Any, path: str, columns: Columns) -> Any:
    import torch  # noqa: PLC0415 - slow, and imported by now

    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _TENSORS or tensor.layout != torch.strided:
        raise TypeError(f"{path}: a {tensor.layout} tensor of {dtype} cannot be part of a state")
    tensor = tensor.detach().cpu().contiguous()
    if dtype == "bfloat16":  # NumPy has none: its bits
        tensor = tensor.view(torch.uint16)
    return {"$tensor": _put(tensor.numpy(), path, columns), "dtype": dtype}


def _decode_tensor(column: NDArray[Any], dtype: str) -> Any:
    import torch  # noqa: PLC0415 - slow, and not needed where there are no tensors

    tensor = torch.from_numpy(column)
    if str(tensor.dtype) != f"torch.{'uint16' if dtype == 'bfloat16' else dtype}":
        raise ValueError(f"a tensor of {_short(dtype)} is in {_described(column)}")
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


def _put(column: NDArray[Any], path: str, columns: Columns) -> str:
    name = path.encode("ascii", "backslashreplace").decode()
    while name in columns or name in ("", "__metadata__"):
        name += "'"
    columns[name] = column
    return name


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
