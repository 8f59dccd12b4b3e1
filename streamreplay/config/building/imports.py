"""Objects that a job names by their import path."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamreplay.errors import ConfigError

__all__ = ["blame", "import_callable", "is_import_path"]


def import_callable(key: str, name: str, choices: str) -> Callable[..., Any]:
    """Import ``package.module:factory``; the working directory is looked in as well.

    Parameters
    ----------
    key : str
        The job's key, for messages.
    name : str
        What the job says.
    choices : str
        What else it could have said.

    Raises
    ------
    ConfigError
        It is no import path, cannot be imported, or is not callable.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(f"{key}: must be {choices} or package.module:factory, got {name!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {name!r} cannot be imported: {error}") from None
    except Exception as error:  # the file is somebody else's: it may raise anything
        raise blame(key, name, "cannot be imported", error) from error
    if not callable(factory):
        raise ConfigError(f"{key}: {name!r} is no callable")
    return factory  # type: ignore[no-any-return]


def is_import_path(text: str) -> bool:
    """Tell an import path from text that describes what is to be constructed."""
    return re.fullmatch(r"[\w.]+:\w+", text.strip()) is not None


def blame(key: str, name: str, what: str, error: Exception) -> ConfigError:
    """Return what to raise for an error that a user's own code has raised."""
    *_, last = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(last.filename).name}:{last.lineno})"
    ours = str(Path(__file__).parents[1])
    if last.filename.startswith(ours) or isinstance(error, SyntaxError):  # which says where itself
        where = ""
    return ConfigError(f"{key}: {name!r} {what}: {type(error).__name__}: {error}{where}")
