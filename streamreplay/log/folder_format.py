"""The format of run folders: a number in ``format.json``.

It goes up when a file of a run folder, other than logs and checkpoints, moves or changes its
meaning. Logs and checkpoints have numbers of their own: ``v`` in each line, ``version`` in each
manifest. From version 1 on, a later streamreplay reads the logs of an earlier one. A checkpoint of
another version is refused in words: the run can be read, but not gone on from.
"""

from __future__ import annotations

import json
from pathlib import Path

from streamreplay import __version__
from streamreplay.errors import RunFolderError
from streamreplay.regular_files import read_file, replace_file

__all__ = ["FORMAT_FILE", "check_format", "write_format"]

FORMAT_FILE = "format.json"
FOLDER_VERSION = 1
_MOST_BYTES = 1 << 12


def write_format(run: Path) -> None:
    """Note the format of a run folder.

    Raises
    ------
    OSError
        It cannot be written.
    """
    said = {"format": "streamreplay run folder", "version": FOLDER_VERSION, "library": __version__}
    replace_file(run / FORMAT_FILE, json.dumps(said).encode() + b"\n")


def check_format(run: Path) -> None:
    """Raise an error unless this version reads run folders of this format.

    A folder without a number is of a version before there were any, and is read.

    Raises
    ------
    RunFolderError
        It is of a later version, or the number cannot be read.
    """
    path = run / FORMAT_FILE
    try:
        said = json.loads(read_file(path, _MOST_BYTES))
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise RunFolderError(f"{path}: is damaged") from None
    match said:
        case {"format": "streamreplay run folder", "version": int(version)} if version >= 1:
            if version > FOLDER_VERSION:
                raise RunFolderError(
                    f"{path}: is of version {version} of run folders, this streamreplay "
                    f"{__version__} reads up to {FOLDER_VERSION}"
                )
        case _:
            raise RunFolderError(f"{path}: is damaged")
