"""One of River's drift detectors on one signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, final

from numpy.typing import NDArray

from streamreplay.errors import CheckpointError
from streamreplay.evaluation.drift.signals import check_signal, is_binary
from streamreplay.safepickle import check_versions, dump, live_versions, load
from streamreplay.state import State, expect

_CALM = 100  # rows without a warning that end a warning phase

Record: TypeAlias = dict[str, Any]
"""A log record of kind ``drift``; see ``streamreplay schema --log``."""

Action: TypeAlias = Callable[[Record], object]
"""What a drift sets off: called with its record, after the batch in which it was found."""

Level: TypeAlias = Literal["warning", "drift"]

_PARTS = ("river.stats", "river._river_rust.drift", "river._river_rust.stats")
"""The modules of the sums and windows of numbers inside River's detectors."""


@dataclass(frozen=True, eq=False)
class Detector:
    """One of River's detectors, the signal that it watches, and the actions that a drift sets off.

    Attributes
    ----------
    detector : river.base.DriftDetector or river.base.BinaryDriftDetector
        A pattern: it is copied and never changed.
    on : str
        ``error`` (0 or 1; of numbers the absolute error, of labels whether one is wrong), ``loss``,
        ``feature:NAME`` (or its index), ``label:NAME`` (1 for a row of that class, else 0), or
        ``features`` and ``labels``: a detector for each column or class, `MOST` at most.
    name : str, optional
        Its name in the log; by default the detector's class in lower case, and ``on``.
    actions : mapping of str to callable
        Called on a drift in this order; the keys are their names in the log.
    warning_actions : mapping of str to callable
        Called on a warning.
    cooldown : int
        Rows after a drift in which nothing is reported, and after a warning in which no warning is.

    Raises
    ------
    ValueError
        ``on`` or ``cooldown`` is out of range; the detector takes 0 and 1, and the signal has other
        values; the detector draws random numbers, and has no seed.
    TypeError
        ``detector`` is not one of River's.

    Examples
    --------
    >>> from river.drift import ADWIN
    >>> Detector(ADWIN(delta=0.01), actions={"tell": print}).name
    'adwin-error'
    """

    detector: Any
    on: str = "error"
    name: str = ""
    actions: Mapping[str, Action] = field(default_factory=dict)
    warning_actions: Mapping[str, Action] = field(default_factory=dict)
    cooldown: int = 0

    def __post_init__(self) -> None:
        check_signal(self.on)
        if self.cooldown < 0:
            raise ValueError(f"cooldown must be at least 0, got {self.cooldown}")
        kind = type(self.detector).__name__
        if not _is_detector(self.detector):
            raise TypeError(f"detector must be one of river.drift, got {kind}")
        if self.binary and is_binary(self.on) is False:
            raise ValueError(
                f"{kind} takes 0 and 1: on must be error, labels or label:NAME, got {self.on!r}"
            )
        if getattr(self.detector, "seed", 0) is None:
            raise ValueError(f"{kind} draws random numbers: give it a seed, as {kind}(seed=1)")
        if not self.warns and self.warning_actions:
            raise ValueError(f"{kind} gives no warnings, got warning_actions")
        object.__setattr__(self, "name", self.name or f"{kind.lower()}-{self.on}")

    @property
    def binary(self) -> bool:
        """Whether it takes only 0 and 1."""
        from river.base import BinaryDriftDetector  # noqa: PLC0415 - an extra

        return isinstance(self.detector, BinaryDriftDetector)

    @property
    def warns(self) -> bool:
        """Whether it also gives warnings."""
        return hasattr(self.detector, "warning_detected")


def _is_detector(detector: object) -> bool:
    from river.base import BinaryDriftDetector, DriftDetector  # noqa: PLC0415 - an extra

    return isinstance(detector, DriftDetector | BinaryDriftDetector)


@final
class RunningDetector:
    """A copy of a detector that is fed one number after the other.

    Parameters
    ----------
    pattern : Detector
    """

    def __init__(self, pattern: Detector) -> None:
        self._detector = pattern.detector.clone()
        self._warns = pattern.warns
        self._calm = _CALM  # rows since the last warning, up to so many

    def feed(self, values: NDArray[Any]) -> list[tuple[int, Level]]:
        """Feed numbers in order; return the places at which there was a drift or a warning began.

        A warning phase ends with a drift, or after 100 numbers in a row without a warning: near its
        threshold a detector may warn at every other number.
        """
        detector, update, warns = self._detector, self._detector.update, self._warns
        found: list[tuple[int, Level]] = []
        for place, value in enumerate(values.tolist()):
            update(value)
            if detector.drift_detected:
                found.append((place, "drift"))
                self._calm = _CALM
            elif warns and detector.warning_detected:
                if self._calm >= _CALM:
                    found.append((place, "warning"))
                self._calm = 0
            elif self._calm < _CALM:
                self._calm += 1
        return found

    def state_dict(self) -> State:
        """Return the detector as bytes, which hold no code; see `streamreplay.safepickle`."""
        return {
            "detector": dump(self._detector),
            "versions": live_versions(),
            "calm": self._calm,
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


def _settings(saved: Any, live: Any) -> list[tuple[str, object, object]]:
    """Return the settings that two detectors of one class were made with, by name."""
    params = live._get_params()  # noqa: SLF001 - as River's own clone does
    return [
        (name, getattr(saved, name, None), value)
        for name, value in params.items()
        if isinstance(value, bool | int | float | str | None)
    ]
