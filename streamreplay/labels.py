"""An open vocabulary: label names in the order in which the stream first showed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError, ConfigError

__all__ = ["Labels", "Name", "common_labels"]

Name: TypeAlias = int | str


class Labels:
    """Label names and their indices; a name never seen before gets the next index.

    ``1`` and ``"1"`` are two names.

    Parameters
    ----------
    names : iterable of str or int
        Names known from the start, in order of their indices.

    Attributes
    ----------
    most : int or None
        Most names, beyond which a new one is an error; None for no limit.
    column : str
        What that error calls the column.
    closed : bool
        No name is added: all new ones have the index behind the last.

    Examples
    --------
    >>> labels = Labels()
    >>> labels.index("cat"), labels.index(7), labels.index("cat")
    (0, 1, 0)
    >>> labels.find("dog"), labels.names
    (-1, ['cat', 7])
    """

    def __init__(self, names: Iterable[Name] = ()) -> None:
        self.most: int | None = None
        self.column = "label"
        self.closed = False
        self._names: list[Name] = []
        # None, an absent label, is looked up like the rest and never added
        self._index: dict[Name | None, int] = {None: -1}
        self.indices(list(names))

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Labels({self._names!r})"

    @property
    def names(self) -> list[Name]:
        """All names seen, in order of their indices."""
        return list(self._names)

    def name(self, index: int) -> Name:
        """Return the name at an index.

        Raises
        ------
        ValueError
            There is none.
        """
        if not 0 <= index < len(self._names):
            raise ValueError(f"label index must be 0 to {len(self._names) - 1}, got {index}")
        return self._names[index]

    def index(self, name: Name) -> int:
        """Return the index of a name, which is added if it is new, unless they are closed.

        Raises
        ------
        TypeError
            The name is neither a string nor an integer.
        ConfigError
            There are as many names already as there may be.
        """
        # True == 1 and 1.0 == 1: without this check they would be found as the integer
        if type(name) is not int and type(name) is not str:
            raise TypeError(f"a label is a string or an integer, got {name!r}")
        found = self._index.get(name)
        if found is None and self.closed:
            return len(self._names)
        if found is None:
            self._check_room([name])
            found = self._index[name] = len(self._names)
            self._names.append(name)
        return found

    def _check_room(self, new: Iterable[Name | None]) -> None:
        """Raise if there is no room for new names."""
        if self.most is None:
            return
        room = self.most - len(self._names)
        beyond = list(dict.fromkeys(new))[max(room, 0) :]
        if beyond:
            raise ConfigError(
                f"{self.column}: has more than {self.most:,} different values, the next is "
                f"{beyond[0]!r}: an id is no label; a number to predict is named in source.target; "
                "source.max_classes allows more classes"
            )

    def find(self, name: Name) -> int:
        """Return the index of a name, or -1 if it was never seen; never adds one."""
        return self._index.get(name, -1) if type(name) in (int, str) else -1

    def indices(self, names: Sequence[Name | None]) -> NDArray[np.int64]:
        """Return the index of each name, adding new ones in order; -1 for None.

        Names must be plain ``str``, ``int`` or None, as
        `streamreplay.ingest.decode.values` makes them.
        """
        try:
            found = list(map(self._index.__getitem__, names))
        except KeyError:
            self._check_room([name for name in names if name not in self._index])
            found = [-1 if name is None else self.index(name) for name in names]
        return np.array(found, np.int64)

    def state_dict(self) -> dict[str, Any]:
        """Return the names in order."""
        return {"names": self.names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all names by the saved ones.

        Raises
        ------
        CheckpointError
            The state is not a list of different strings and integers.
        """
        names: Any = state.get("names")
        if not isinstance(names, list):
            raise CheckpointError(f"names: must be a list, got {type(names).__name__}")
        wrong = [name for name in names if type(name) not in (int, str)]
        if wrong:
            raise CheckpointError(f"names: must be strings and integers, got {wrong[0]!r}")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise CheckpointError(f"names: must be different, got {twice!r} twice")
        self._names.clear()
        self._index = {None: -1}
        self.indices(names)


def common_labels(one: Labels | None, other: Labels | None) -> Labels | None:
    """Return the vocabulary of rows that come from two places: the larger of the two.

    A resumed stage and a resumed source each hold a `Labels` of their own, one of which may know
    more names. None stands for rows whose classes have no names.

    Raises
    ------
    ValueError
        An index stands for one name here and for another there.

    Examples
    --------
    >>> common_labels(Labels(["cat"]), Labels(["cat", "dog"]))
    Labels(['cat', 'dog'])
    >>> common_labels(Labels(["cat"]), Labels(["dog", "cat"]))
    Traceback (most recent call last):
    ValueError: labels differ: index 0 is 'cat' and 'dog': give both sources one Labels
    """
    if one is None or other is None or one is other:
        return other if one is None else one
    for index, (mine, theirs) in enumerate(zip(one.names, other.names, strict=False)):
        if mine != theirs:
            raise ValueError(
                f"labels differ: index {index} is {mine!r} and {theirs!r}: give both sources one "
                "Labels"
            )
    return other if len(other) >= len(one) else one
