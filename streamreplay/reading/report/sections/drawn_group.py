"""Groups that get charts of their own, where one chart has no room for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.report.data.seed_means import CurveGroup

MOST_DRAWN = 4
"""Number of groups that get charts of their own."""


@dataclass(frozen=True)
class DrawnGroup:
    """A group that gets charts of its own; they show its first learner.

    Attributes
    ----------
    group : SeedGroup
    place : int
    alone : bool
        Whether there is no other group.
    """

    group: CurveGroup
    place: int
    alone: bool

    @property
    def learner(self) -> LearnerCurves:
        """The learner that is shown."""
        return self.group.first

    def name(self, chart: str) -> str:
        """Return the name of this group's chart of some kind."""
        return f"{chart}-{self.place}" if self.place else chart

    def title(self, chart: str) -> str:
        """Return the title of a chart, with the group if there are several, and the seed."""
        if self.alone:
            return chart
        seed = f", seed {self.learner.seed}" if len(self.group) > 1 else ""
        return f"{chart}: {self.group.title}{seed}"


def drawn_groups(groups: Sequence[CurveGroup]) -> list[DrawnGroup]:
    """Return the first groups, which get charts of their own."""
    alone = len(groups) == 1
    return [DrawnGroup(group, place, alone) for place, group in enumerate(groups[:MOST_DRAWN])]
