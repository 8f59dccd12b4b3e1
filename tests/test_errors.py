import inspect
import re

import pytest

from streamreplay import errors


def drawn() -> dict[str, str]:
    """Read the tree in the module's docstring: child -> parent."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^(\s*[│├└─ ]*)([A-Z]\w*(?:Error|Exception))\b", line)
        if not found or not line.startswith("    "):
            continue
        depth, name = len(found[1]), found[2]
        above = [(d, n) for d, n in above if d < depth]
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    real = {
        name: cls.__base__.__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__ == errors.__name__ and cls.__base__ is not None
    }
    assert drawn() == real
    assert len(real) == 9


@pytest.mark.parametrize("name", errors.__all__)
def test_all_are_of_one_base(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, errors.StreamReplayError)
    assert not issubclass(error, ValueError | TypeError | OSError)
    assert error.__doc__
