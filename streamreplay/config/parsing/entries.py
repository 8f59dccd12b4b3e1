"""Find an entry of ``[[learner]]`` or ``[[drift]]``, and fill in the settings it inherits."""

from __future__ import annotations

from typing import Any

from streamreplay.config.job import EITHER, GOES_WITH, BufferSection
from streamreplay.errors import ConfigError

_EXCLUDES = (*EITHER, ("max_size", "max_bytes"))


def find_learner(tree: dict[str, Any], keys: tuple[str, ...], *, grow: bool) -> int | None:
    """Return the index of the ``[[learner]]`` that a setting names; None for one ``[learner]``.

    A setting names a learner by its index or its name.

    Parameters
    ----------
    tree : dict
        The job file, to which a learner may be added.
    keys : tuple of str
        ``("learner", "0", "lr")`` for ``learner.0.lr``.
    grow : bool
        Whether the index after the last one adds a learner.

    Raises
    ------
    ConfigError
        No learner has that index or name.

    Examples
    --------
    >>> tree = {"learner": [{"name": "small"}, {}]}
    >>> keys = ("1", "small", "learner2")
    >>> [find_learner(tree, ("learner", key, "lr"), grow=False) for key in keys]
    [1, 0, 1]
    """
    if keys[0] != "learner" or len(keys) < 2:
        return None
    by_index = keys[1].isdigit()
    learners = tree.get("learner", [] if by_index else {})
    if by_index and not isinstance(learners, list):
        raise ConfigError(f"command line: {'.'.join(keys)}: there is one [learner], not several")
    if not isinstance(learners, list):
        return None
    names = list(map(_name, learners, range(len(learners))))
    place = _place(keys[1], names, by_index=by_index)
    if not 0 <= place < len(learners) + grow or len(keys) < 3:
        choices = ", ".join(f"learner.{name}" for name in (*range(len(names)), *names))
        raise ConfigError(
            f"command line: {'.'.join(keys)}: there are several learners, name one and its key: "
            f"{choices}"
        )
    tree["learner"] = _with_entry(learners, place, keys)
    return place


def find_drift(tree: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    """Return the index of the ``[[drift]]`` that a setting names; None for other settings.

    A setting names an entry by its index or its name; the index after the last one adds an entry.

    Raises
    ------
    ConfigError
        No entry has that index or name.

    Examples
    --------
    >>> tree = {"drift": [{"name": "slow"}]}
    >>> [find_drift(tree, ("drift", key, "on")) for key in ("0", "slow", "1")]
    [0, 0, 1]
    """
    if keys[0] != "drift":
        return None
    entries = tree.get("drift", [])
    if not isinstance(entries, list) or len(keys) != 3:
        raise ConfigError(
            f"command line: {'.'.join(keys)}: drift is an array [[drift]]: name one by its place "
            "or its name, and its key, as drift.0.on"
        )
    names = [each.get("name") if isinstance(each, dict) else None for each in entries]
    place = _place(keys[1], names, by_index=keys[1].isdecimal() and keys[1] not in names)
    if not 0 <= place <= len(entries):
        raise ConfigError(f"command line: {'.'.join(keys)}: there is no [[drift]] {keys[1]!r}")
    tree["drift"] = _with_entry(entries, place, keys)
    return place


def _place(key: str, names: list[Any], *, by_index: bool) -> int:
    """Return the index that a key names; -1 if there is none."""
    if by_index:
        return int(key)
    return names.index(key) if key in names else -1


def _with_entry(entries: list[Any], place: int, keys: tuple[str, ...]) -> list[Any]:
    """Return the entries, with an empty one added if the place is after the last."""
    if place == len(entries):
        return [*entries, {}]
    if not isinstance(entries[place], dict):
        where = f"{keys[0]}[{place}]"
        raise ConfigError(f"command line: {'.'.join(keys)}: {where} is not a section")
    return entries


def inherit(tree: dict[str, Any]) -> None:
    """Add to each learner's own ``buffer`` and ``mixer`` the keys of the job's that it leaves out.

    Keys that do not go with the learner's kind of buffer, or exclude one of its own keys, are not
    added.

    Examples
    --------
    >>> tree = {
    ...     "buffer": {"max_size": 200, "groups": 10},
    ...     "learner": [{"buffer": {"kind": "reservoir"}}, {"buffer": {"ttl": 500}}],
    ... }
    >>> inherit(tree)
    >>> [learner["buffer"] for learner in tree["learner"]]
    [{'max_size': 200, 'kind': 'reservoir'}, {'max_size': 200, 'groups': 10, 'ttl': 500}]
    """
    learners = tree.get("learner")
    if not isinstance(learners, list):
        return
    for learner in learners:
        if isinstance(learner, dict):
            _inherit_section(learner, tree, "buffer")
            _inherit_section(learner, tree, "mixer")


def _inherit_section(learner: dict[str, Any], tree: dict[str, Any], section: str) -> None:
    own, given = learner.get(section), tree.get(section)
    if isinstance(own, dict) and isinstance(given, dict):
        left_out = _unfit(given, own) if section == "buffer" else set()
        inherited = {key: value for key, value in given.items() if key not in left_out}
        learner[section] = {**inherited, **own}


def _unfit(given: dict[str, Any], own: dict[str, Any]) -> set[str]:
    """Return the keys that a learner's own buffer does not inherit."""
    kind = own.get("kind", given.get("kind", BufferSection.model_fields["kind"].default))
    unfit = {"shared"} | {key for key, kinds in GOES_WITH.items() if kind not in kinds}
    for one, other in _EXCLUDES:
        unfit |= {one} if other in own else set()
        unfit |= {other} if one in own else set()
    return unfit


def _name(learner: Any, place: int) -> str:
    name = learner.get("name") if isinstance(learner, dict) else None
    return name if isinstance(name, str) else f"learner{place + 1}"
