"""The small real streams that come with the package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["data_path"]


def data_path(name: str) -> Path:
    """Return where a bundled file is; ``data/README.md`` says what there is, and its licences.

    Raises
    ------
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> data_path("digits.npz").name
    'digits.npz'
    """
    package = Path(__file__).parent
    # a wheel carries the folder inside the package; a checkout has it beside the package
    for folder in (package / "data", package.parent / "data"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"no bundled file {name!r}; see data/README.md")
