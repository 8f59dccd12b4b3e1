"""From a job's ``[experiences]`` and ``[[drift]]`` to stages, and actions bound to other stages.

A stage knows only records and callables. What a drift does to another stage is bound here, where
all of them are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from streamreplay.boost import check_boost
from streamreplay.buffers import ExemplarsBuffer
from streamreplay.config.building.river_models import construct_detector
from streamreplay.config.job import DriftSection, Job
from streamreplay.config.parsing.expressions import construct
from streamreplay.errors import ConfigError
from streamreplay.evaluation import Detector, DriftMonitor
from streamreplay.evaluation.drift.detector import Action, Record
from streamreplay.ingest import Experiences
from streamreplay.mixing import Mixer
from streamreplay.randomness import spawn_seed

__all__ = ["StageParts", "make_experiences", "make_monitor"]


@dataclass(frozen=True)
class StageParts:
    """What actions may change.

    Attributes
    ----------
    experiences : Experiences or None
        None where the stream says itself where they begin.
    buffer : ExemplarsBuffer or None
        None where several learners share it.
    mixer : Mixer
    learner : TorchLearner or RiverLearner
    alone : bool
        Whether there is no other learner.
    """

    experiences: Experiences | None
    buffer: ExemplarsBuffer | None
    mixer: Mixer
    learner: Any
    alone: bool


def make_experiences(job: Job) -> Experiences | None:
    """Make the stage that says where experiences begin, if a job has one.

    Raises
    ------
    ConfigError
        Keys do not go together, or the stream says so already.
    """
    settings, source = job.experiences, job.source
    if settings is None:
        return None
    for key in ("experience", "split"):
        if getattr(source, key) is not None:
            raise ConfigError(
                f"experiences: goes without source.{key}, which says where they begin"
            )
    wanted = {"count": "rows", "time": "seconds"}.get(settings.by)
    for key in ("rows", "seconds"):
        given = getattr(settings, key) is not None
        if given and key != wanted:
            raise ConfigError(f"experiences.{key}: does not go with by = {settings.by!r}")
        if not given and key == wanted:
            raise ConfigError(f"experiences.{key}: is missing, by = {settings.by!r} needs it")
    if settings.by == "time" and source.time is None:
        raise ConfigError("experiences.by: time needs source.time, the column with event times")
    named = [text for each in job.drift for text in (*each.actions, *each.warning_actions)]
    if settings.by == "drift" and not any("new_experience" in text for text in named):
        raise ConfigError(
            'experiences.by: drift needs a [[drift]] with actions = ["new_experience"], got none'
        )
    return Experiences(rows=settings.rows, seconds=settings.seconds)


def make_monitor(job: Job, parts: StageParts, source: Any) -> DriftMonitor | None:
    """Make the stage that watches for drift, if a job has one.

    Parameters
    ----------
    job : Job
        Of one learner.
    parts : Parts
    source : ArraySource or LineSource
        Who knows what features and classes are called.

    Raises
    ------
    ConfigError
        A detector cannot be made, or there is nothing that an action could be applied to.
    """
    if not job.drift:
        return None
    makers = _makers(parts)
    detectors = [_detector(job, place, makers) for place in range(len(job.drift))]
    names = [detector.name for detector in detectors]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"drift[{place}].name: must be its own, got {name!r} twice")
    named = job.backbone is None  # behind one, features are its outputs
    return DriftMonitor(
        detectors,
        feature_names=(lambda: getattr(source, "feature_names", None)) if named else None,
        label_names=lambda: source.target_names or source.labels.names,
    )


def _detector(job: Job, place: int, makers: Mapping[str, Callable[..., Action]]) -> Detector:
    settings, key = job.drift[place], f"drift[{place}]"
    seed = spawn_seed(job.seed, key)
    _check_signal(job, settings, key)
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


def _check_signal(job: Job, settings: DriftSection, key: str) -> None:
    if settings.on.startswith("label") and job.source.target is not None:
        raise ConfigError(f"{key}.on: {settings.on} needs classes or labels, got source.target")


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
    """Return what a job may write in ``drift.actions``."""
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
    mixer, buffer, learner = parts.mixer, parts.buffer, parts.learner
    retrains = getattr(getattr(learner, "method", None), "retrain", None) is not None
    nothing = buffer is not None and _is_none(buffer)
    if not mixer.batch_size_mem or nothing or retrains:
        raise ConfigError("drift.actions: replay needs a learner that rehearses with each batch")
    return lambda _record: mixer.boost(factor, rows)


def _lr(parts: StageParts, factor: float, rows: int | None = None) -> Action:
    _check(factor, rows)
    learner = parts.learner
    if not hasattr(learner, "scale_lr"):
        raise ConfigError("drift.actions: lr needs a torch module, got learner.river")
    return lambda _record: learner.scale_lr(factor, rows)


def _restart_schedule(parts: StageParts) -> Action:
    learner = parts.learner
    if not getattr(learner, "scheduled", False):
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
    return lambda _record: None  # whoever runs the pipeline finds it in the record


def _own_buffer(parts: StageParts, action: str) -> ExemplarsBuffer:
    if parts.buffer is None:
        raise ConfigError(f"drift.actions: {action} goes without buffer.shared")
    if _is_none(parts.buffer):
        raise ConfigError(f"drift.actions: {action} needs a buffer, got one without room")
    return parts.buffer


def _is_none(buffer: ExemplarsBuffer) -> bool:
    """Tell whether a buffer has no room; the capacity of one in bytes shows at its first row."""
    return buffer.max_size == 0 and buffer.max_bytes is None


def _check(factor: float, rows: int | None) -> None:
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int)):
        raise TypeError(f"rows must be a whole number, got {rows!r}")
    check_boost(factor, rows)
