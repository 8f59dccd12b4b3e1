"""Learners that differ only in their seed as one group, the groups' names, and their settings."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from streamreplay.plain_text import printable

if TYPE_CHECKING:
    from streamreplay.reading.run import RunLearner

AnyLearner = TypeVar("AnyLearner", bound="RunLearner")


@dataclass(frozen=True)
class SeedGroup(Generic[AnyLearner]):
    """Learners with the same settings and different seeds; often there is only one.

    Attributes
    ----------
    name : str
        Different from the names of all other groups.
    learners : list of RunLearner
    """

    name: str
    learners: list[AnyLearner]

    def __iter__(self) -> Iterator[AnyLearner]:
        return iter(self.learners)

    def __len__(self) -> int:
        return len(self.learners)

    @property
    def first(self) -> AnyLearner:
        """The learner that is shown where there is room for one only."""
        return self.learners[0]

    @property
    def title(self) -> str:
        """The name, with the number of seeds if there are several."""
        return self.name if len(self) == 1 else f"{self.name} ({len(self)} seeds)"

    def values(self, kind: str, field: str) -> list[Any]:
        """Return a field of the learners' last records of a kind, without those that lack it."""
        found = (learner.last.get(kind, {}).get(field) for learner in self)
        return [value for value in found if value is not None]


def group_by_seed(learners: Sequence[AnyLearner]) -> list[SeedGroup[AnyLearner]]:
    """Group learners whose settings differ only in the seed, in the order given.

    A learner whose settings are not known is a group of its own, and so is one with a seed that its
    group already has: it is no further sample.

    Examples
    --------
    >>> group_by_seed([])
    []
    """
    groups: list[list[AnyLearner]] = []
    for learner in learners:
        for group in groups:
            if _differs_in_seed(learner, group):
                group.append(learner)
                break
        else:
            groups.append([learner])
    names = _group_names(groups, _run_names([each.run.folder for each in learners]))
    return [SeedGroup(name, group) for name, group in zip(names, groups, strict=True)]


def _differs_in_seed(learner: RunLearner, group: Sequence[RunLearner]) -> bool:
    """Return whether a learner has the settings of a group, but for a seed of its own."""
    own, other = ({**each.settings, "seed": None} for each in (learner, group[0]))
    return bool(learner.settings) and own == other and learner.seed not in {e.seed for e in group}


def name_learners(learners: Sequence[RunLearner]) -> list[str]:
    """Return a name of its own for each learner: that of its run, its own, or both."""
    names = _run_names([each.run.folder for each in learners])
    return _group_names([[learner] for learner in learners], names)


def _run_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Return for each folder the shortest end of its path that tells it from the others."""
    parts = {folder: Path(os.path.normpath(folder.absolute())).parts for folder in folders}
    names: dict[Path, str] = {}
    for length in range(1, 1 + max(map(len, parts.values()), default=0)):
        names = {folder: "/".join(path[-length:]) for folder, path in parts.items()}
        if len({*names.values()}) == len({*parts.values()}):
            break
    return names


def _group_names(groups: Sequence[Sequence[RunLearner]], runs: dict[Path, str]) -> list[str]:
    """Return a different name for each group, without the run's part where all have the same."""
    parts = [
        (_common_name([runs[each.run.folder] for each in group]), _common_learner(group))
        for group in groups
    ]
    same_run = len({run for run, _ in parts}) == 1
    names = [
        learner if same_run and learner else ": ".join(filter(None, (run, learner)))
        for run, learner in parts
    ]
    return [
        name if name not in names[:place] else f"{name}, {1 + names[:place].count(name)}"
        for place, name in enumerate(names)
    ]


def _common_learner(group: Sequence[RunLearner]) -> str:
    names = dict.fromkeys(each.learner for each in group)
    return "/".join(filter(None, names))


def _common_name(names: Sequence[str]) -> str:
    """Return what names have in common, without the end that introduces a seed.

    Examples
    --------
    >>> _common_name(["er-seed0", "er-seed1"]), _common_name(["class 10", "class 11"])
    ('er', 'class')
    >>> _common_name(["a", "b"]), _common_name(["a"])
    ('a and others', 'a')
    """
    if len({*names}) == 1:
        return names[0]
    start = takewhile(lambda letters: len({*letters}) == 1, zip(*names, strict=False))
    same = "".join(letters[0] for letters in start)
    if any(name[len(same) :][:1].isdigit() for name in names):
        same = same.rstrip("0123456789")  # of a number that is not the same
    return re.sub(r"[-_. /=:]+(seed|s)?[-_. /=:]*$", "", same) or f"{names[0]} and others"


def setting_differences(groups: Sequence[SeedGroup[Any]]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all groups, each with the groups' values.

    The seed of a group with several is the list of their seeds.
    """
    settings = [_settings(group) for group in groups]
    keys = dict.fromkeys(key for own in settings for key in own)
    values = {key: [own.get(key) for own in settings] for key in keys}
    return {key: found for key, found in values.items() if any(v != found[0] for v in found)}


def _settings(group: SeedGroup[Any]) -> dict[str, Any]:
    seeds = {"seed": [learner.seed for learner in group]} if len(group) > 1 else {}
    return {**group.first.settings, **seeds}


def setting_text(value: Any) -> str:
    """Write the value of a setting; "-" if it is not set.

    Examples
    --------
    >>> setting_text(None), setting_text("er"), setting_text([8, 8]), setting_text(True)
    ('-', 'er', '[8, 8]', 'true')
    """
    if value is None:
        return "-"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
