"""The settings that all sources of lines share, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from streamreplay.ingest.dead_letters import DeadLetters
from streamreplay.ingest.decode.targets import TargetFields
from streamreplay.labels import Labels

ROLES = ("task", "experience", "id", "time", "weight")
"""What a field may be for besides a feature or what is predicted."""


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The names (or positions) of the fields that are not features."""

    label: str | int | None
    task: str | int | None = None
    experience: str | int | None = None
    id: str | int | None = None
    time: str | int | None = None
    weight: str | int | None = None
    goal: TargetFields | None = None

    def others(self) -> dict[str, Any]:
        """Return those that are given, but for the label and what is predicted in its place."""
        given = {role: getattr(self, role) for role in ROLES}
        return {role: name for role, name in given.items() if name is not None}

    def by_name(self, *, record: bool, features: Collection[Any] = ()) -> dict[str, str]:
        """Return the roles that a field of their name has, though it is not given.

        A table may have a feature called ``experience``: there it is only ``id``, and ``time``
        if its values show that it is one. In a record of the form ``{"x": [...], "y": ...}`` it is
        all of them. A field that is given for something else has no role by its name.
        """
        taken = self.names() | set(features)
        roles = ROLES if record else ("id", "time")
        return {each: each for each in roles if getattr(self, each) is None and each not in taken}

    def names(self) -> set[Any]:
        """Return the fields that are no features."""
        goal = () if self.goal is None else self.goal.fields
        return {self.label, *self.others().values(), *goal}

    def given(self, features: Collection[str | int]) -> set[str]:
        """Return the names among the fields, and features, that do not just have a role by name."""
        goal = () if self.goal is None else self.goal.fields
        others = [field for key, field in self.others().items() if field != key]
        names = [self.label, *goal, *others, *features]
        return {name for name in names if isinstance(name, str) and name}

    def described(self) -> dict[str, str]:
        """Return what is predicted, by what it is called in a job."""
        if self.goal is not None:
            key = "labels" if self.goal.labels else "target"
            return {key: ", ".join(map(str, self.goal.fields[:10]))}
        return {} if self.label in (None, "") else {"label": str(self.label)}

    def as_dict(self) -> dict[str, Any]:
        """Return all of them by what they are for."""
        goal = {} if self.goal is None else {"goal": self.goal.as_state()}
        return {"label": self.label, **self.others(), **goal}


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How lines are cut into batches, and where those go that cannot be read."""

    batch_size: int
    max_wait: float | None
    limit: int | None
    strict: bool
    max_line_bytes: int
    on_dead: DeadLetters | None
    stop: Callable[[], bool] | None

    def __post_init__(self) -> None:
        positive("batch_size", self.batch_size)
        positive("max_line_bytes", self.max_line_bytes)
        check_limit(self.limit)
        if self.max_wait is not None and not self.max_wait >= 0:
            raise ValueError(f"max_wait must be at least 0 seconds, got {self.max_wait}")

    @property
    def patience(self) -> float:
        """Seconds that the first row of a batch may wait."""
        return math.inf if self.max_wait is None else self.max_wait


def positive(name: str, value: int) -> int:
    """Return a size; raises ``ValueError`` if it is below 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


def check_limit(limit: int | None) -> int | None:
    """Return a limit of rows; raises ``ValueError`` if it is below 0."""
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be at least 0, got {limit}")
    return limit


def labels_or_new(labels: Labels | None, outputs: Sequence[str] | None = None) -> Labels:
    """Return the labels of a source: of its targets' columns, else those given, else none yet."""
    if outputs is not None:
        return Labels(outputs)
    return Labels() if labels is None else labels


def label_field(label: str | bool | None) -> str | None:  # noqa: FBT001 - false stands for "none"
    """Return the name of the label; None if there is none. Raises ``ValueError`` for true."""
    if label is True:
        raise ValueError(f"label must be a name, or false for none, got {label!r}")
    return label or None


def label_or_usual(
    label: str | bool | None,  # noqa: FBT001 - false stands for "none"
    goal: TargetFields | None,
) -> str | None:
    """Return the name of the label, ``y`` if it is left out; None with a target, or if asked."""
    if goal is not None:
        return None
    return "y" if label is None else label_field(label)


def check_features(features: Sequence[str], fields: FieldNames) -> None:
    """Raise ``ValueError`` unless features have different names, which nothing else has."""
    if not features or len(set(features)) != len(features):
        raise ValueError(f"features must be different names, at least one, got {features}")
    if fields.label in features:
        raise ValueError(f"features must not hold the label, got {fields.label!r} as both")
    for name in () if fields.goal is None else fields.goal.fields:
        if name in features:
            raise ValueError(f"features must not hold a target, got {name!r} as both")


def check_names(goal: TargetFields, what: str = "JSON fields") -> None:
    """Raise ``ValueError`` if a target is named by a position."""
    numbers = [name for name in goal.fields if isinstance(name, int)]
    if numbers:
        raise ValueError(f"{what} have names, got {numbers[0]}")


def label_column(label: str | int | None, goal: TargetFields | None) -> str | int | None:
    """Return the column that is asked for; "" for none, None for the usual one."""
    if label is True:
        raise ValueError(f"label must be a column, or false for none, got {label!r}")
    if goal is not None and label:
        raise ValueError(f"target and multilabel go without a label, got {label!r} as label")
    return "" if label is False or goal is not None else label
