"""The files of a run folder: regular files alone, and no links.

A run folder may come from somebody else. A symbolic link in it would lead a reader or a writer to
other files, and opening a named pipe waits for its other end. Whatever belongs to a run folder is
opened here. The folder itself is what the user has named, and may be a link.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "check_folder",
    "create",
    "exists",
    "fsync_folder",
    "open_to_append",
    "open_to_read",
    "read_file",
    "read_tail",
    "remove",
    "replace_file",
]

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def exists(path: Path) -> bool:
    """Return whether there is anything of this name, a link that leads nowhere included."""
    return os.path.lexists(path)


def open_to_read(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a regular file to read its bytes.

    Raises
    ------
    FileNotFoundError
        There is none.
    OSError
        It is a link, a folder, a pipe or a device, or cannot be read.
    """
    return os.fdopen(_descriptor(path, os.O_RDONLY), "rb", buffering)


def open_to_append(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a regular file to append bytes; create it if it does not exist.

    Raises
    ------
    OSError
        It is not a regular file, has a second name (a hard link), which may lie elsewhere, or
        cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return os.fdopen(_descriptor(path, flags), "ab", buffering)


def create(path: Path) -> BinaryIO:
    """Create a file to write bytes, in place of whatever had this name.

    Raises
    ------
    OSError
        It cannot be created.
    """
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return os.fdopen(_descriptor(path, flags), "wb")


def read_file(path: Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes.

    Raises
    ------
    OSError
        As by `open_to_read`; or it is larger.
    """
    with open_to_read(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if max(size, len(content)) > most:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", str(path))
    return content


def read_tail(path: Path, most: int) -> tuple[bytes, bool]:
    """Read the last ``most`` bytes of a regular file; return whether that is all of it, too.

    Raises
    ------
    OSError
        As by `open_to_read`.
    """
    with open_to_read(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        return file.read(most), size <= most


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and bring it to the disk.

    Raises
    ------
    OSError
        It cannot be written.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with create(temporary) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder(path: Path) -> None:
    """Raise an error for what is there and is not a folder, or a link to one.

    Raises
    ------
    NotADirectoryError
        It is something else.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, f"it is {_kind(mode)}, not a folder", str(path))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; of a link, the link alone."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    import shutil  # noqa: PLC0415 - slow, for what only reads

    shutil.rmtree(path)


def _descriptor(path: Path, flags: int) -> int:
    """Open a file and return its descriptor, if it is a regular one."""
    # O_NONBLOCK: a pipe is refused, not waited for; a regular file does not mind
    try:
        found = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _explained(error, path) from None
    state = os.fstat(found)
    refusal: OSError | None = None
    if not stat.S_ISREG(state.st_mode):
        refusal = _refusal(path, state.st_mode)
    elif flags & os.O_APPEND and state.st_nlink > 1:
        said = "it has another name (a hard link), whose file would be written too"
        refusal = OSError(errno.EMLINK, said, str(path))
    if refusal is not None:
        os.close(found)
        raise refusal
    return found


def _explained(error: OSError, path: Path) -> OSError:
    """Return an error that says what is there, where a link, a folder or a pipe is the reason."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return error
    return error if stat.S_ISREG(mode) else _refusal(path, mode)


def _refusal(path: Path, mode: int) -> OSError:
    return OSError(errno.EINVAL, f"it is {_kind(mode)}, not a regular file", str(path))


def _kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "a device")
