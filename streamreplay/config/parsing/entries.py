"""Arrays of tables in a job file: several learners, which take after the job's sections, drift."""

from __future__ import annotations

from typing import Any

from streamreplay.config.buffer_keys import EITHER, GOES_WITH
from streamreplay.config.job import BufferSection
from streamreplay.errors import ConfigError

__all__ = ["find_learner", "find_monitor", "inherit"]

_EXCLUDES = (*EITHER, ("max_size", "max_bytes"))


def find_learner(tree: dict[str, Any], keys: tuple[str, ...], *, grow: bool) -> int | None:
    """Return which of several learners a setting is about; None if the job has one ``[learner]``.

    A learner is named by its place, 0 for the first, or by its name.

    Parameters
    ----------
    tree : dict
        What the job file says.
    keys : tuple of str
        ``("learner", "0", "lr")`` for ``learner.0.lr``.
    grow : bool
        Whether the place after the last makes a new learner.

    Raises
    ------
    ConfigError
        There is no such learner.

    Examples
    --------
    >>> tree = {"learner": [{"name": "small"}, {}]}
    >>> keys = ("1", "small", "learner2")
    >>> [find_learner(tree, ("learner", key, "lr"), grow=False) for key in keys]
    [1, 0, 1]
    """
    setting = ".".join(keys)
    learners = tree.get("learner", [] if keys[1:] and keys[1].isdigit() else None)
    if keys[0] != "learner" or len(keys) < 2 or learners is None:
        return None
    if not isinstance(learners, list):
        if keys[1].isdigit():
            raise ConfigError(f"command line: {setting}: there is one [learner], not several")
        return None
    names = [_name(learner, place) for place, learner in enumerate(learners)]
    place = names.index(keys[1]) if keys[1] in names else -1
    if keys[1].isdigit():
        place = int(keys[1])
    if not 0 <= place < len(learners) + grow or len(keys) < 3:
        choices = ", ".join(f"learner.{name}" for name in (*range(len(names)), *names))
        raise ConfigError(
            f"command line: {setting}: there are several learners, name one and its key: {choices}"
        )
    if place == len(learners):
        tree["learner"] = [*learners, {}]
    elif not isinstance(learners[place], dict):
        raise ConfigError(f"command line: {setting}: learner[{place}] is not a section")
    return place


def find_monitor(tree: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    """Return which ``[[drift]]`` a setting is about; None if it is about something else.

    It is named by its place, 0 for the first, or by its name; the place after the last makes a new
    one.

    Raises
    ------
    ConfigError
        There is no such one.

    Examples
    --------
    >>> tree = {"drift": [{"name": "slow"}]}
    >>> [find_monitor(tree, ("drift", key, "on")) for key in ("0", "slow", "1")]
    [0, 0, 1]
    """
    if keys[0] != "drift":
        return None
    setting, monitors = ".".join(keys), tree.setdefault("drift", [])
    if not isinstance(monitors, list) or len(keys) != 3:
        raise ConfigError(
            f"command line: {setting}: drift is an array [[drift]]: name one by its place or its "
            "name, and its key, as drift.0.on"
        )
    names = [each.get("name") if isinstance(each, dict) else None for each in monitors]
    place = int(keys[1]) if keys[1].isdecimal() else -1
    if keys[1] in names:
        place = names.index(keys[1])
    if not 0 <= place <= len(monitors):
        raise ConfigError(f"command line: {setting}: there is no [[drift]] {keys[1]!r}")
    if place == len(monitors):
        monitors.append({})
    elif not isinstance(monitors[place], dict):
        raise ConfigError(f"command line: {setting}: drift[{place}] is not a section")
    return place


def inherit(tree: dict[str, Any]) -> None:
    """Put into each learner's own ``buffer`` and ``mixer`` what it leaves out, from the job's.

    Keys that its kind of buffer does not have stay out, and those that exclude one of its own.

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
    for learner in learners if isinstance(learners, list) else ():
        for section in ("buffer", "mixer"):
            own = learner.get(section) if isinstance(learner, dict) else None
            given = tree.get(section)
            if isinstance(own, dict) and isinstance(given, dict):
                left_out = _unfit(given, own) if section == "buffer" else set()
                kept = {key: value for key, value in given.items() if key not in left_out}
                learner[section] = {**kept, **own}


def _unfit(given: dict[str, Any], own: dict[str, Any]) -> set[str]:
    kind = own.get("kind", given.get("kind", BufferSection.model_fields["kind"].default))
    unfit = {"shared"} | {key for key, kinds in GOES_WITH.items() if kind not in kinds}
    for one, other in _EXCLUDES:
        unfit |= {one} if other in own else set()
        unfit |= {other} if one in own else set()
    return unfit


def _name(learner: Any, place: int) -> str:
    name = learner.get("name") if isinstance(learner, dict) else None
    return name if isinstance(name, str) else f"learner{place + 1}"
