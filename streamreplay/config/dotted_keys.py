"""A job's settings by their dotted names."""

from __future__ import annotations

from typing import Any


def flatten(tree: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of a tree of settings, by name.

    Examples
    --------
    >>> flatten({"seed": 0, "learner": [{"lr": 0.1, "hidden": [8]}]})
    {'seed': 0, 'learner[0].lr': 0.1, 'learner[0].hidden': [8]}
    """
    if isinstance(tree, dict):
        parts = {f"{path}.{key}" if path else key: value for key, value in tree.items()}
    elif isinstance(tree, list) and any(isinstance(each, dict) for each in tree):
        parts = {f"{path}[{place}]": each for place, each in enumerate(tree)}
    else:
        return {path: tree}
    return {
        key: value for part, each in parts.items() for key, value in flatten(each, part).items()
    }
