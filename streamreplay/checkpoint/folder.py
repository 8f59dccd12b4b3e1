"""A state tree on disk: a folder of arrays, JSON and checksums. Nothing is pickled or unpickled.

::

    ckpt-000000120000/
        arrays.safetensors   NumPy arrays and torch tensors, named by their path in the tree
        state.json           the rest of the tree, with a reference where an array was
        manifest.json        format version, position, size and sha256 of the two others

The state of a stream that has ended is in ``ckpt-000000120000.end``, next to the checkpoint from
which a longer stream goes on.

The same state gives the same bytes. A folder appears under its name only when it is complete and
on the disk; a process that dies while writing leaves a `.tmp-` folder, which the next save removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import psutil
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save_file as save_arrays

from streamreplay import __version__
from streamreplay.checkpoint.tree import Columns, decode, encode
from streamreplay.errors import CheckpointError, CorruptCheckpointError
from streamreplay.regular_files import check_folder, exists, fsync_folder, read_file, remove
from streamreplay.state import State

Manifest: TypeAlias = dict[str, Any]

_VERSION = 4
_ARRAYS, _STATE, _MANIFEST = "arrays.safetensors", "state.json", "manifest.json"
_FILES = (_ARRAYS, _STATE)
_MOST_MANIFEST = 1 << 16  # bytes; ours have less than a thousand
_MOST_ROWS = 10**18
_NAME = re.compile(r"ckpt-(\d{12,18})(\.end)?(\.old)?", re.ASCII)
_TEMPORARY = re.compile(r"\.tmp-(\d{1,9})-", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found and read.

    Attributes
    ----------
    path : Path
    state : State
    manifest : dict
    skipped : tuple of str
        Why each newer one could not be used, newest first.
    """

    path: Path
    state: State
    manifest: Manifest
    skipped: tuple[str, ...] = ()

    @property
    def position(self) -> int:
        """Rows of the stream that the state accounts for."""
        return int(self.manifest["position"])


def save_checkpoint(
    folder: str | PathLike[str],
    state: State,
    *,
    position: int,
    keep: int = 3,
    ended: bool = False,
) -> Path:
    """Write a state into ``folder/ckpt-<position>``, whole or not at all.

    Parameters
    ----------
    folder : path
        Made if it is not there. One process writes to it at a time.
    state : State
        A tree of dicts (keys str or int), lists, strings, numbers, None, arrays and tensors.
        Tuples come back as lists, tensors on the CPU.
    position : int
        Rows of the stream that the state accounts for. A checkpoint of the same position is
        replaced.
    keep : int
        How many to keep: this one and the newest before it.
    ended : bool
        The stream has ended: the state is written into ``ckpt-<position>.end``, which does not
        count as one to keep. Any other save removes it.

    Raises
    ------
    TypeError
        The tree holds something else; the message names its path.
    CheckpointError
        The disk refuses.
    """
    if position < 0:
        raise ValueError(f"position must be at least 0, got {position}")
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}")
    folder = Path(folder)
    final = checkpoint_path(folder, position, ended=ended)
    temporary = folder / f".tmp-{os.getpid()}-{final.name}"
    columns: Columns = {}
    tree = encode(state, "", columns)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary.mkdir()
        _write(temporary, tree, columns, position)
        _swap(temporary, final)
        _prune(folder, final, keep)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            remove(temporary)
        raise CheckpointError(f"{final}: cannot be written: {_reason(error)}") from error
    return final


def load_checkpoint(path: str | PathLike[str]) -> tuple[State, Manifest]:
    """Read a checkpoint, checking every byte.

    Raises
    ------
    CorruptCheckpointError
        A file is missing, short or altered; the message names it.
    CheckpointError
        There is none at ``path``, or it is of a format this version does not know.
    """
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(f"{path}: there is no checkpoint folder here")
    manifest = _read_manifest(path)
    contents = {name: _read_checked(path / name, manifest["files"][name]) for name in _FILES}
    try:
        arrays = load_arrays(contents[_ARRAYS])
        state = decode(json.loads(contents[_STATE]), arrays)
    except (ValueError, SafetensorError, RecursionError) as error:
        raise CorruptCheckpointError(f"{path}: cannot be decoded ({error})") from error
    if not isinstance(state, dict):
        raise CorruptCheckpointError(f"{path}: cannot be decoded (it has no names of parts)")
    return state, manifest


def latest_checkpoint(folder: str | PathLike[str], *, ended: bool = True) -> Checkpoint | None:
    """Read the newest checkpoint of a folder that is whole; None if there is none at all.

    Parameters
    ----------
    folder : path
    ended : bool
        Whether that of an ended stream counts.

    Raises
    ------
    CorruptCheckpointError
        There are some, and all of them are damaged.
    CheckpointError
        The newest one is of a format this version does not know.
    """
    skipped: list[str] = []
    for path in _candidates(Path(folder)):
        if _is_ended(path) and not ended:
            continue
        try:
            _check_is_folder(path)
            state, manifest = load_checkpoint(path)
        except CorruptCheckpointError as error:
            skipped.append(str(error))
        else:
            return Checkpoint(path, state, manifest, tuple(skipped))
    if skipped:
        raise CorruptCheckpointError(f"no checkpoint is whole: {'; '.join(skipped)}")
    return None


def checkpoints_of(run: Path) -> Path:
    """Return the folder with the checkpoints of a run, whether or not it exists.

    Raises
    ------
    CheckpointError
        It is a link, which may lead out of the run folder, or a file.
    """
    folder = run / "checkpoints"
    try:
        check_folder(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: {error.strerror}") from None
    return folder


def checkpoint_path(folder: Path, position: int, *, ended: bool = False) -> Path:
    """Return where the checkpoint of a position, or of the stream's end, is or would be."""
    return folder / f"ckpt-{position:012d}{'.end' if ended else ''}"


def kept_positions(folder: Path) -> list[int]:
    """Return the positions of the checkpoints that are there, whole or not, newest first.

    That of an ended stream is left out.
    """
    return list(dict.fromkeys(_position(p) for p in _candidates(folder) if not _is_ended(p)))


def remove_ended(folder: Path) -> None:
    """Remove the checkpoints of an ended stream, as it goes on.

    Raises
    ------
    CheckpointError
        The disk refuses.
    """
    for path in filter(_is_ended, _candidates(folder)):
        try:
            _remove(path)
            fsync_folder(folder)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be removed: {_reason(error)}") from error


def _write(folder: Path, tree: Any, columns: Columns, position: int) -> None:
    save_arrays(dict(sorted(columns.items())), str(folder / _ARRAYS))
    (folder / _STATE).write_bytes(_dump(tree))
    manifest = {
        "format": "streamreplay checkpoint",
        "version": _VERSION,
        "library": __version__,
        "position": position,
        "files": {name: _measure(folder / name) for name in _FILES},
    }
    (folder / _MANIFEST).write_bytes(_seal(manifest))
    for name in (*_FILES, _MANIFEST):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    fsync_folder(folder)


def _swap(temporary: Path, final: Path) -> None:
    """Rename into place; at any moment the old one or the new one has a name that is found."""
    old = final.with_name(f"{final.name}.old")
    if exists(final):
        remove(old)
        final.rename(old)
    temporary.rename(final)
    fsync_folder(final.parent)
    _remove(old)


def _prune(folder: Path, written: Path, keep: int) -> None:
    """Remove checkpoints beyond those to keep, and those of another end of the stream."""
    found, position = _candidates(folder), _position(written)
    older = [p for p in found if not _is_ended(p) and _position(p) <= position]
    ends = [p for p in found if _is_ended(p) and p != written]
    for path in (*older[keep:], *ends):
        _remove(path)


def _remove(path: Path) -> None:
    """Take the name away first, so that a half-removed folder is not taken for a damaged one."""
    if exists(path):
        doomed = path.with_name(f".tmp-{os.getpid()}-{path.name}")
        path.rename(doomed)
        remove(doomed)


def _sweep(folder: Path) -> None:
    for path in folder.glob(".tmp-*-*"):
        found = _TEMPORARY.match(path.name)
        if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
            remove(path)


def _candidates(folder: Path) -> list[Path]:
    """Every checkpoint's path, newest first; one that was being replaced after its successor."""
    found = [path for path in folder.glob("ckpt-*") if _NAME.fullmatch(path.name)]
    return sorted(
        found, key=lambda p: (_position(p), _is_ended(p), p.suffix != ".old"), reverse=True
    )


def _check_is_folder(path: Path) -> None:
    try:
        check_folder(path)
    except OSError as error:
        raise CorruptCheckpointError(f"{path}: {error.strerror}") from None


def _is_ended(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    return bool(match and match[2])


def _position(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _reason(error: Exception) -> str:
    """Return why something cannot be written, without what the library says around it.

    Examples
    --------
    >>> _reason(SafetensorError("Error while serializing: I/O error: File too large (os error 27)"))
    'File too large'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return re.sub(r"^.*I/O error: | \(os error \d+\)$", "", str(error))


def _measure(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _seal(manifest: Manifest) -> bytes:
    digest = hashlib.sha256(_dump(manifest)).hexdigest()
    return json.dumps({**manifest, "sha256": digest}, indent=1).encode() + b"\n"


def _unseal(raw: bytes) -> tuple[Any, bool]:
    """Return what a manifest says, None if that cannot be read, and whether it is undamaged."""
    try:
        manifest = json.loads(raw)
        bare = {key: value for key, value in manifest.items() if key != "sha256"}
        return manifest, _seal(bare) == raw
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None, False


def _read_manifest(folder: Path) -> Manifest:
    path = folder / _MANIFEST
    manifest, whole = _unseal(_read(path, _MOST_MANIFEST))
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if type(version) is int and version != _VERSION:
        said = f"{path}: format version {version}, this streamreplay {__version__} reads {_VERSION}"
        raise CheckpointError(said) if whole else CorruptCheckpointError(f"{said}, or is damaged")
    if not whole:
        raise CorruptCheckpointError(f"{path}: is damaged")
    match manifest:
        case {
            "format": "streamreplay checkpoint",
            "version": int(),
            "library": str(),
            "position": int(position),
            "files": {
                "arrays.safetensors": {"bytes": int(), "sha256": str()},
                "state.json": {"bytes": int(), "sha256": str()},
            },
        } if 0 <= position < _MOST_ROWS:
            pass
        case _:
            raise CorruptCheckpointError(f"{path}: is no manifest of a checkpoint")
    if _position(folder) not in (-1, position):
        raise CorruptCheckpointError(f"{path}: is of position {position}")
    return {key: value for key, value in manifest.items() if key != "sha256"}


def _read_checked(path: Path, expected: dict[str, Any]) -> bytes:
    memory = psutil.virtual_memory().total
    if not 0 <= expected["bytes"] < memory:
        raise CorruptCheckpointError(
            f"{path}: has {expected['bytes']:,} bytes, this machine has memory for {memory:,}"
        )
    raw = _read(path, expected["bytes"])
    if len(raw) != expected["bytes"]:
        raise CorruptCheckpointError(
            f"{path}: has {len(raw)} bytes, the manifest says {expected['bytes']}"
        )
    if hashlib.sha256(raw).hexdigest() != expected["sha256"]:
        raise CorruptCheckpointError(f"{path}: its checksum is not the manifest's")
    return raw


def _read(path: Path, most: int) -> bytes:
    try:
        return read_file(path, most)
    except FileNotFoundError:
        raise CorruptCheckpointError(f"{path}: is missing") from None
    except OSError as error:
        raise CorruptCheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _dump(tree: Any) -> bytes:
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).encode()
