"""Build the stage of a job's ``[[drift]]``, with its actions bound to the stages they change.

A stage knows only records and callables; which stage an action changes is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from streamreplay.batch import Objective
from streamreplay.boost import check_boost
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.config.building.learners import Learner, require_torch, torch_learner
from streamreplay.config.building.river_models import construct_detector
from streamreplay.config.job import DriftSection
from streamreplay.config.parsing.expressions import construct
from streamreplay.errors import ConfigError
from streamreplay.evaluation.drift.monitor import Action, Detector, DriftMonitor, Record
from streamreplay.ingest.experiences import Experiences
from streamreplay.mixing.mixer import Mixer
from streamreplay.randomness import Seed, spawn_seed


@dataclass(frozen=True)
class StageParts:
    """The stages that actions may change.

    Attributes
    ----------
    experiences : Experiences or None
        None if the stream itself says where experiences begin.
    buffer : ExemplarsBuffer or None
        None if several learners share it.
    mixer : Mixer
    learner : TorchLearner or RiverLearner
    alone : bool
        Whether the job has no other learner.
    """

    experiences: Experiences | None
    buffer: ExemplarsBuffer | None
    mixer: Mixer
    learner: Learner
    alone: bool


def make_monitor(
    settings: Sequence[DriftSection],
    parts: StageParts,
    seed: Seed,
    objective: Objective,
    delay: int = 0,
) -> DriftMonitor:
    """Return the stage that monitors signals for drift.

    Parameters
    ----------
    settings : sequence of DriftSection
    parts : StageParts
    seed : int or numpy.random.SeedSequence
    objective : {"classes", "numbers", "labels"}
    delay : int
        Rows by which labels come late.

    Raises
    ------
    ConfigError
        A detector cannot be constructed, or an action has no stage to change.
    """
    makers = _makers(parts)
    detectors: list[Detector] = []
    for place, each in enumerate(settings):
        key = f"drift[{place}]"
        if each.on.startswith("label") and objective == "numbers":
            raise ConfigError(f"{key}.on: {each.on} needs classes or labels, got source.target")
        detectors.append(_detector(key, each, spawn_seed(seed, key), makers))
    names = [detector.name for detector in detectors]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"drift[{place}].name: must be its own, got {name!r} twice")
    return DriftMonitor(detectors, delay=delay)


def _detector(
    key: str, settings: DriftSection, seed: Seed, makers: Mapping[str, Callable[..., Action]]
) -> Detector:
    try:
        return Detector(
            construct_detector(f"{key}.detector", settings.detector, seed),
            settings.on,
            settings.name or "",
            _actions(f"{key}.actions", settings.actions, makers),
            _actions(f"{key}.warning_actions", settings.warning_actions, makers),
            settings.cooldown,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from None


def _actions(
    key: str, texts: list[str], makers: Mapping[str, Callable[..., Action]]
) -> dict[str, Action]:
    made: dict[str, Action] = {}
    for place, text in enumerate(texts):
        if text.strip() in made:
            raise ConfigError(f"{key}[{place}]: is there already, got {text!r} twice")
        made[text.strip()] = construct(f"{key}[{place}]", text, makers)
    return made


def _makers(parts: StageParts) -> dict[str, Callable[..., Action]]:
    """Return what makes each action that a job may write in ``drift.actions``."""
    return {
        "new_experience": partial(_new_experience, parts),
        "replay": partial(_replay, parts),
        "lr": partial(_lr, parts),
        "restart_schedule": partial(_restart_schedule, parts),
        "shrink": partial(_shrink, parts),
        "forget": partial(_forget, parts),
        "checkpoint": _checkpoint,
    }


def _new_experience(parts: StageParts) -> Action:
    if not parts.alone:
        raise ConfigError(
            "drift.actions: new_experience is for one learner: the drifts of several would each "
            "begin one for all"
        )
    experiences = parts.experiences
    if experiences is None:
        raise ConfigError(
            'drift.actions: new_experience needs a section [experiences], with by = "drift"'
        )
    return lambda _record: experiences.begin()


def _replay(parts: StageParts, factor: float, rows: int | None = None) -> Action:
    _check(factor, rows)
    instead = _instead_of_rehearsal(parts)
    if instead:
        raise ConfigError(
            f"drift.actions: replay needs a learner that rehearses with each batch, got {instead}"
        )
    return lambda _record: parts.mixer.boost(factor, rows)


def _instead_of_rehearsal(parts: StageParts) -> str:
    """Return the setting that keeps the learner from rehearsing; "" if it rehearses."""
    if not parts.mixer.batch_size_mem:
        return f"mixer.batch_size_mem = {parts.mixer.batch_size_mem}"
    if parts.buffer is not None and _is_none(parts.buffer):
        return "a buffer without room"
    torch = torch_learner(parts.learner)
    if torch is not None and torch.method.retrain is not None:
        return "a method that retrains from memory"
    return ""


def _lr(parts: StageParts, factor: float, rows: int | None = None) -> Action:
    _check(factor, rows)
    learner = require_torch(parts.learner, "drift.actions: lr")
    return lambda _record: learner.scale_lr(factor, rows)


def _restart_schedule(parts: StageParts) -> Action:
    learner = torch_learner(parts.learner)
    if learner is None or not learner.scheduled:
        raise ConfigError("drift.actions: restart_schedule needs learner.schedule, got none")
    return lambda _record: learner.restart_schedule()


def _shrink(parts: StageParts, share: float) -> Action:
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    buffer = _own_buffer(parts, "shrink")
    return lambda _record: buffer.resize(max(1, int(buffer.max_size * share)))


def _forget(parts: StageParts, rows: int) -> Action:
    _check(1.0, rows)
    buffer = _own_buffer(parts, "forget")

    def forget(record: Record) -> None:
        oldest = record["position"] - rows
        buffer.forget(where=lambda stored: stored.t < oldest)

    return forget


def _checkpoint() -> Action:
    return lambda _record: None  # the driver finds the action in the record


def _own_buffer(parts: StageParts, action: str) -> ExemplarsBuffer:
    if parts.buffer is None:
        raise ConfigError(f"drift.actions: {action} goes without buffer.shared")
    if _is_none(parts.buffer):
        raise ConfigError(f"drift.actions: {action} needs a buffer, got one without room")
    return parts.buffer


def _is_none(buffer: ExemplarsBuffer) -> bool:
    """Return whether a buffer stores nothing. A capacity in bytes becomes one in rows later."""
    return buffer.max_size == 0 and buffer.max_bytes is None


def _check(factor: float, rows: int | None) -> None:
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int)):
        raise TypeError(f"rows must be a whole number, got {rows!r}")
    check_boost(factor, rows)
