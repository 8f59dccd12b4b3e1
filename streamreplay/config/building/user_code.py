"""Code that a job names by its import path: load it, and report its errors under the job's key."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError

_PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True)
class UserCode:
    """Code of the user's own, and the key of the job that names it.

    A ``with`` block runs such code: an error raised inside the block becomes a `ConfigError` that
    begins with the key. A `ConfigError` passes unchanged, as its message names its own key.

    Attributes
    ----------
    key : str
    name : str
        The value of the key.

    Examples
    --------
    >>> with UserCode("learner.loss", "mine:loss"):
    ...     int("three")
    Traceback (most recent call last):
    streamreplay.errors.ConfigError: learner.loss: 'mine:loss' failed: ValueError: invalid ...
    """

    key: str
    name: str

    def __enter__(self) -> None:
        """Begin to run code of the user's own."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise a `ConfigError` for an error of the block."""
        if isinstance(error, Exception) and not isinstance(error, ConfigError):
            raise self._fault("failed", error) from error

    def load(self, choices: str) -> Callable[..., Any]:
        """Import ``package.module:attribute``, also from the working directory.

        Parameters
        ----------
        choices : str
            The other values that the key allows, for the message.

        Raises
        ------
        ConfigError
            The name is not an import path, cannot be imported, or is not callable.
        """
        module, colon, attribute = self.name.partition(":")
        if not (module and colon and attribute):
            raise ConfigError(
                f"{self.key}: must be {choices} or package.module:factory, got {self.name!r}"
            )
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"{self.key}: {self.name!r} cannot be imported: {error}") from None
        except Exception as error:  # the module is the user's: it may raise anything
            raise self._fault("cannot be imported", error) from error
        if not callable(found):
            raise ConfigError(f"{self.key}: {self.name!r} is no callable")
        return found  # type: ignore[no-any-return]

    def make(self, factory: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Return what a factory makes.

        Raises
        ------
        ConfigError
            The factory raised an error.
        """
        try:
            return factory(*args, **options)
        except Exception as error:
            raise self._fault("cannot be built", error) from error

    def wrap(
        self, function: Callable[..., Any], convert: Callable[[Any], Any] | None = None
    ) -> Callable[..., Any]:
        """Return a function that reports errors under the key, with the name of the given one.

        Parameters
        ----------
        function : callable
        convert : callable, optional
            Applied to the result; its errors are reported in the same way.
        """

        @wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            with self:
                found = function(*args, **options)
                return found if convert is None else convert(found)

        return run

    def _fault(self, what: str, error: Exception) -> ConfigError:
        *_, last = traceback.extract_tb(error.__traceback__)
        where = f" ({Path(last.filename).name}:{last.lineno})"
        # an error of this package says what is wrong, a SyntaxError names its own line
        if Path(last.filename).is_relative_to(_PACKAGE) or isinstance(error, SyntaxError):
            where = ""
        message = f"{self.key}: {self.name!r} {what}: {type(error).__name__}: {error}{where}"
        return ConfigError(message)


def as_array(found: object) -> NDArray[Any]:
    """Return the result of a user's function as an array, to be checked by its caller."""
    return np.asarray(found)


def is_import_path(text: str) -> bool:
    """Return whether a text is an import path, not a description of an object to construct."""
    return re.fullmatch(r"[\w.]+:\w+", text.strip()) is not None
