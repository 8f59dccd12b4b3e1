"""A drift detector of River's at work: where it fires, and what has changed by then."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError
from streamreplay.evaluation.drift.change import MOST, Change, find_change
from streamreplay.safepickle import check_versions, dump, live_versions, load
from streamreplay.state import State, expect

_CALM = 100  # rows without a warning that end a warning phase

Level: TypeAlias = Literal["warning", "drift"]

_PARTS = ("river.stats", "river._river_rust.drift", "river._river_rust.stats")
"""The modules of the sums and windows of numbers inside River's detectors."""


@final
class RunningDetector:
    """A copy of a detector that is fed one number after the other.

    Parameters
    ----------
    detector : river.base.DriftDetector or river.base.BinaryDriftDetector
        A pattern: it is copied and never changed.
    warns : bool
        Whether it gives warnings.
    """

    def __init__(self, detector: Any, *, warns: bool) -> None:
        self._detector = detector.clone()
        self._warns = warns
        self._calm = _CALM  # rows since the last warning, up to so many
        self._recent = np.empty(0)  # float64[n]: the last numbers since a drift changed them

    def feed(self, values: NDArray[Any]) -> list[tuple[int, Level, Change]]:
        """Feed numbers in order; return where there was a drift or a warning began, and the change.

        A warning phase ends with a drift, or after 100 numbers in a row without a warning: near its
        threshold a detector may warn at every other number.
        """
        detector, update, warns = self._detector, self._detector.update, self._warns
        found: list[tuple[int, Level, Change]] = []
        kept = 0  # numbers of this call that are among the recent ones
        for place, value in enumerate(values.tolist()):
            update(value)
            level: Level | None = None
            if detector.drift_detected:
                level, self._calm = "drift", _CALM
            elif warns and detector.warning_detected:
                level = "warning" if self._calm >= _CALM else None
                self._calm = 0
            elif self._calm < _CALM:
                self._calm += 1
            if level is not None:
                found.append((place, level, self._change(values[kept : place + 1], level)))
                kept = place + 1
        self._keep(values[kept:])
        return found

    def _keep(self, values: NDArray[Any]) -> None:
        if len(values):
            self._recent = np.concatenate([self._recent, values.astype(np.float64)])[-MOST:]

    def _change(self, values: NDArray[Any], level: Level) -> Change:
        """Keep the numbers up to an alarm; return what has changed in those that are kept."""
        self._keep(values)
        change = find_change(self._recent)
        if level == "drift" and change.rows is not None:
            self._recent = self._recent[-change.rows :]
        return change

    def state_dict(self) -> State:
        """Return the detector as bytes, which hold no code; see `streamreplay.safepickle`."""
        return {
            "detector": dump(self._detector),
            "versions": live_versions(),
            "calm": self._calm,
            "recent": self._recent,
        }

    def load_state_dict(self, state: State) -> None:
        """Load the state of a detector with the same settings.

        Raises
        ------
        CheckpointError
            It is of another detector, or of another version of River or Python.
        """
        check_versions(state["versions"])
        live = self._detector
        own = type(live).__module__
        if not own.startswith("river."):  # a user's own detector: nothing else of its module
            own = f"{own}.{type(live).__qualname__}"
        loaded = load(state["detector"], (own, *_PARTS))
        if type(loaded) is not type(live):
            raise CheckpointError(
                f"detector: saved {type(loaded).__name__}, this pipeline has {type(live).__name__}"
            )
        for name, saved, mine in _settings(loaded, live):
            expect(name, saved, mine)
        self._detector, self._calm = loaded, int(state["calm"])
        self._recent = np.array(state.get("recent", ()), np.float64)  # older states have none


def _settings(saved: Any, live: Any) -> list[tuple[str, object, object]]:
    """Return the settings that two detectors of one class were made with, by name."""
    params = live._get_params()  # noqa: SLF001 - as River's own clone does
    return [
        (name, getattr(saved, name, None), value)
        for name, value in params.items()
        if isinstance(value, bool | int | float | str | None)
    ]
